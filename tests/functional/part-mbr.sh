#!/bin/bash
# Master boot records that embr-img writes, with logical partitions: sfdisk and parted accept
# them and read what was meant; what is refused changes nothing; one kind of table after another.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/volumes-common.sh"
source "$EMBR_SOURCE/tests/functional/part-common.sh"

new_disk 100M
part create -t dos --uuid 0xdeadbeef disk
accept
part add -s 10M -t efi -b disk
part add --extended -s 60M disk
part add disk
accept
for i in 5 6 7; do
    part add --logical -s 10M disk
    grep -qx p$i part.txt || fail "add --logical says '$(cat part.txt)'"
done
part add --logical -t swap disk
accept
refuse 'no room for' add -s 1M disk
refuse 'no room for' add --logical -s 8M disk
refuse 'there is an extended partition' add --extended --start 512 -s 512 disk
refuse 'the next logical partition is number 9, not 12' add --logical -n 12 -s 512 disk
refuse 'is a logical one' add -n 9 --start 512 -s 512 disk
refuse 'have no names' add --name x -s 1k disk
refuse 'holds partition 5, which is not to be deleted' delete disk 2
refuse 'overlap with partition 6' add --logical --start 30M -s 1M disk
refuse 'overlap with a part of the table' add --logical --start $((47102 * 512)) -s 1k disk
refuse 'no partition 9' delete disk 5 9
part delete disk 6
accept
part delete disk 5 7
accept
[ "$(grep -c '"number"' table.json)" = 4 ] || fail "not the partitions that are left"
part add --logical -s 3M disk
part add --logical -s 3M -b disk
accept
part delete disk 5 6 7
accept
part add --logical --start 12M -s 1M disk
accept
part delete disk 2 5
accept
part add -n 4 -s 1M disk
part add -n 2 -s 1M -t 8e disk
accept
refuse 'all 4 entries of the MBR are in use' add -s 1M disk
python3 -c 'with open("disk", "r+b") as file:
    file.seek(446 + 16 + 8)
    file.write((3000).to_bytes(4, "little"))'
expect_failure 1 'has no copy to repair it from' "$EMBR_IMG" part verify -r disk
"$EMBR_IMG" part verify --output=json disk >verify.json && fail "an overlap is not found"
python3 -c 'import json
check = json.load(open("verify.json"))
assert check["type"] == "dos" and not check["repaired"], check
assert any("overlap" in text for text in check["findings"]), check' || fail "$(cat verify.json)"

# From one kind to the other; over a filesystem only if it is said.
refuse 'there is a partition table of type .dos.' create disk
part create --force disk
accept
part create --force -t dos disk
accept
new_disk 20M
mke2fs -q -F -t ext4 disk >mke2fs.txt 2>&1
refuse 'the disk holds ext4' create disk
refuse 'no partition table' add -s 1M disk
refuse 'no partition table' delete disk 1
expect_failure 1 'no partition table' "$EMBR_IMG" part verify disk
for type in gpt dos; do
    part create --force -t $type disk
    accept
    new_disk 20M
    mke2fs -q -F -t ext4 disk >mke2fs.txt 2>&1
done
new_disk 20k
refuse 'are too few for a GPT' create disk
new_disk 64M
refuse 'expected 512 or 4096' create --sector-size 1k disk
refuse 'is no partition table that can be made' create -t apm disk
refuse 'is no disk ID' create -t dos --uuid xyz disk
refuse 'expected 1 to 16384' create --entries 100000 disk

# Sectors of 4096 bytes: fdisk is told so.
part create --sector-size 4096 disk
part add -s 8M -t lvm disk
part add -t home disk
"$EMBR_IMG" part verify disk >verify.txt || fail "sectors of 4096 bytes: $(cat verify.txt)"
fdisk -b 4096 -l -o Device,Start,Sectors,Type disk | grep -E '^disk[0-9]' | tr -s ' ' >found
printf '%s\n' 'disk1 256 2048 Linux LVM' 'disk2 2304 14075 Linux home' >expected
same found expected "fdisk's 4096-byte table"

# A format that cannot be written says so.
"$EMBR_IMG" convert -O engram disk disk.engram 2>/dev/null
expect_failure 1 'cannot be written' "$EMBR_IMG" part delete disk.engram 1
expect_failure 1 'is none of add, create, delete, list, verify' "$EMBR_IMG" part move disk
