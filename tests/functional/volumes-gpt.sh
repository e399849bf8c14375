#!/bin/bash
# GUID partition tables made by sgdisk, sfdisk and fdisk: what embr-img says of them is what
# sfdisk says, and the same when half of it is damaged.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/volumes-common.sh"
need sgdisk sfdisk fdisk

# gpt SGDISK-OPTION...
gpt()
{
    sgdisk "$@" disk >sgdisk.txt 2>&1 || {
        cat sgdisk.txt >&2
        fail "sgdisk failed"
    }
}

check()
{
    volumes table.json
    no_warnings table.json
    as_sfdisk table.json
}

# damage OFFSET BYTES: from the end of the disk, if OFFSET is negative.
damage()
{
    python3 -c 'import os, sys
offset, length = map(int, sys.argv[1:])
with open("disk", "r+b") as file:
    file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
    data = file.read(length)
    file.seek(-len(data), os.SEEK_CUR)
    file.write(bytes(byte ^ 0xff for byte in data))' "$1" "$2"
}

new_disk 64M
gpt -o
check

# Out of order, with gaps, names of other alphabets, attributes.
gpt -n 3:2048:+4M -t 3:ef02 -c 3:'BIOS boot' \
    -n 1:40960:+8M -t 1:8300 -c 1:'Wurzel äöü 漢字 𝄞' -A 1:set:2 \
    -n 2:20480:+1M -t 2:8200 -A 2:set:60 \
    -n 128:30000:+100K -t 128:0700
check
cp table.json good.json
cp disk good.img

# The last header is in the last sector, its entries in the 32 before.
for where in "512 1" "600 1" "1024 16" "512 512" "512 16896" "1200 4000"; do
    cp good.img disk
    # shellcheck disable=SC2086
    damage $where
    volumes table.json
    warns table.json 'the backup table at LBA 131071 is used$'
    same_volumes table.json good.json
done
for where in "-512 1" "-16896 16384" "-16800 1" "-16896 16896"; do
    cp good.img disk
    # shellcheck disable=SC2086
    damage $where
    volumes table.json
    warns table.json '\(the backup; the primary table is good\)$'
    same_volumes table.json good.json
done
cp good.img disk
damage 520 1
damage -500 1
expect_failure 1 'GPT header at offset 0x200: .*; and its backup is no better: ' \
    "$EMBR_IMG" volumes disk

# A disk whose end is missing, and one that was made larger.
cp good.img disk
truncate -s 30M disk
volumes table.json
warns table.json 'past the end of the disk \(31457280 bytes\) \(the backup;'
same_volumes table.json good.json
truncate -s 20M disk
volumes table.json
warns table.json 'partition 1 \(offset 0x1400000, 8388608 bytes\) reaches past the end'
same_volumes table.json good.json
cp good.img disk
truncate -s 100M disk
volumes table.json
warns table.json 'the backup GPT is at LBA 131071, not at the end of the disk \(204799\)'
same_volumes table.json good.json
gpt -e
check

# A hybrid MBR does not count, a missing one does no harm.
cp good.img disk
gpt -h 1:3
volumes table.json
warns table.json 'hybrid MBR: its 2 partitions are left aside'
same_volumes table.json good.json
cp good.img disk
dd if=/dev/zero of=disk bs=512 count=1 conv=notrunc status=none
volumes table.json
warns table.json 'GPT without a protective MBR'
same_volumes table.json good.json

# Sorted, transposed, other disk GUID: sgdisk's other ways to write.
cp good.img disk
gpt -s
check
gpt -G -r 1:2
check

# Many entries, and few.
new_disk 64M
gpt -S 1024 -a 1
python3 -c 'print("label: gpt\ntable-length: 1024\nfirst-lba: 258")
for i in range(1000):
    print(f"{(i * 7) % 1000 + 1}: start={3000 + i * 16}, size={i % 16 + 1}, name=part-{i}")
' >script
sfdisk -q disk <script
check
[ "$(grep -c '"number"' table.json)" = 1000 ] || fail "not all of 1000 partitions"
new_disk 4M
gpt -S 4 -a 1 -n 4:100:200
check

# Sectors of 4096 bytes: fdisk is told so.
new_disk 64M
printf '%s\n' g n 3 '' +8M n 1 '' +1M n 2 '' +2M t 2 19 w | fdisk -b 4096 disk >fdisk.txt
volumes table.json
no_warnings table.json
fdisk -b 4096 -l -o Device,Start,Sectors,Type-UUID,UUID disk |
    sed -n 's/^disk\([0-9]\)/\1/p' | tr A-F a-f | tr -s ' ' >expected
python3 -c 'import json
for v in json.load(open("table.json"))["volumes"]:
    print(v["number"], v["offset"] // 4096, v["size"] // 4096, v["type"], v["partition-uuid"])
' >found
[ -s expected ] || fail "fdisk lists nothing"
sort -o expected expected
same found expected "fdisk's and embr-img's 4096-byte table"
cp table.json good.json
damage 4096 100
volumes table.json
warns table.json 'the backup table at LBA 16383 is used$'
same_volumes table.json good.json
