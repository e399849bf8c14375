#!/bin/bash
# GUID partition tables that embr-img writes: sgdisk, sfdisk and parted accept them and read
# what was meant; what is refused changes nothing; what is damaged is repaired.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/volumes-common.sh"
source "$EMBR_SOURCE/tests/functional/part-common.sh"

new_disk 100M
part create disk
accept
part add -s 10M -t efi --name 'EFI äö 漢字 𝄞' disk
grep -qx p1 part.txt || fail "add says '$(cat part.txt)'"
part add -n 7 -s 4999999 -t lvm -b --uuid 12345678-1234-1234-1234-123456789abc disk
part add --start 50M -s 1k -t 21686148-6449-6E6F-744E-656564454649 --attributes 0x8000000000000001 disk
part add -t swap disk
accept
sgdisk -i 7 disk | grep -qi 'GUID: 12345678-1234-1234-1234-123456789ABC' || fail "GUID of p7"
sgdisk -i 2 disk | grep -q 'Attribute flags: 8000000000000001' || fail "attributes of p2"
sgdisk -i 1 disk | grep -q "Partition name: 'EFI äö 漢字 " || fail "name of p1: $(sgdisk -i 1 disk)"
"$EMBR_IMG" part list --output=json disk >list.json
"$EMBR_IMG" volumes --output=json disk >table.json
python3 - <<'END' || fail "part list: $(cat list.json)"
import json
mine, table = json.load(open('list.json')), json.load(open('table.json'))
assert (mine['disk-id'], mine['sector-size'], mine['max-partitions']) == (table['disk-id'], 512, 128)
assert [(p['number'], p['offset'], p['size'], p['type'], p['uuid']) for p in mine['partitions']] == \
    [(v['number'], v['offset'], v['size'], v['type'], v['partition-uuid']) for v in table['volumes']]
assert mine['partitions'][1]['attributes'] == 0x8000000000000001
assert mine['usable-offset'] == 34 * 512 and mine['disk-size'] == 100 << 20
END
"$EMBR_IMG" part list disk | grep -qE '^p7 +[0-9]+ +[0-9]+ +4.77 MiB  Linux LVM \(boot\)$' ||
    fail "part list: $("$EMBR_IMG" part list disk)"

refuse 'there is a partition table of type .gpt.' create disk
refuse 'there is a partition 7' add -n 7 -s 1M disk
refuse 'no partition 129: the table has room for 128' add -n 129 -s 1M disk
refuse 'overlap with partition 1, which has 2048 to 22527' add --start 2M -s 1M disk
refuse 'not within those that may be used, 34 to 204766' add --start 99M -s 2M disk
refuse 'not within those that may be used' add --start 512 -s 1M disk
refuse 'no multiple of the sectors. 512 bytes' add --start 1000 disk
refuse 'no room for .* the largest free space has' add -s 90M disk
refuse 'a partition of 0 bytes' add -s 0 disk
refuse "no type of a GPT's partition" add -s 1k -t 83 disk
refuse 'is no GUID' add -s 1k --align 512 --uuid 1234 disk
refuse 'there is a partition of GUID' add -s 1k --align 512 \
    --uuid 12345678-1234-1234-1234-123456789abc disk
refuse 'is no name of at most 36' add -s 1k --align 512 --name "$(printf '𝄞%.0s' {1..19})" disk
refuse 'no extended and no logical' add -s 1k --align 512 --logical disk
refuse 'no partition 5; nothing was deleted' delete disk 1 5
refuse 'is no number' delete disk one
part delete disk p7 2
accept
[ "$(grep -c '"number"' table.json)" = 2 ] || fail "deleted others"
part create --force --uuid 11111111-2222-3333-4444-555555555555 --entries 4 disk
accept
grep -q '"disk-id": "11111111-2222-3333-4444-555555555555"' table.json || fail "disk ID"
for _ in 1 2 3 4; do
    part add -s 1M disk
done
refuse 'all 4 entries of the table are in use' add -s 1M disk
accept

# Repairs.
cp disk good.img
for damage in "512 16" "1024 100" "-512 100" "-1024 200" "0 512" "446 16" "458 4"; do
    cp good.img disk
    python3 - $damage <<'END'
import os, sys
offset, length = map(int, sys.argv[1:])
with open('disk', 'r+b') as file:
    file.seek(offset, os.SEEK_END if offset < 0 else os.SEEK_SET)
    data = file.read(length)
    file.seek(-length, os.SEEK_CUR)
    file.write(bytes(length) if offset in (0, 446) else bytes(b ^ 255 for b in data))
END
    status=0
    "$EMBR_IMG" part verify disk >verify.txt || status=$?
    # Without a protective entry there is no GPT.
    if [ "$damage" = "446 16" ]; then
        grep -q 'No problems were found.*dos' verify.txt || fail "not a GPT: $(cat verify.txt)"
        continue
    fi
    [ $status = 2 ] || fail "damage at $damage: verify exits with $status: $(cat verify.txt)"
    [ "${damage%% *}" -ge 512 ] || [ "${damage%% *}" -lt 0 ] ||
        grep -q 'protective MBR' verify.txt || fail "damage at $damage: $(cat verify.txt)"
    case $damage in
    0* | 4*) ;;
    *) refuse 'a damaged table is not changed' delete disk 1 ;;
    esac
    part verify -r disk
    same disk good.img "what was repaired ($damage)"
done
cp good.img disk
truncate -s 120M disk
"$EMBR_IMG" part verify disk >verify.txt && fail "a larger disk"
grep -q 'not at the end of the disk' verify.txt || fail "a larger disk: $(cat verify.txt)"
cp disk grown.img
python3 -c 'with open("disk", "r+b") as file:
    file.seek(1024)
    file.write(b"damage")'
"$EMBR_IMG" part verify disk >verify.txt && fail "a larger disk with a damaged primary"
part verify -r disk
accept
cp disk repaired.img
cp grown.img disk
part verify -r disk
accept
same disk repaired.img "a larger disk, from either copy"
part delete disk 4
part add -s 30M disk
accept
for at in 520 -500; do
    printf x | dd of=disk bs=1 seek=$((at < 0 ? (120 << 20) + at : at)) conv=notrunc status=none
done
cp disk before.img
expect_failure 1 'and its backup is no better' "$EMBR_IMG" part verify -r disk
same disk before.img "what cannot be repaired"
