#!/bin/bash
# Flipped bits: no crash, no hang; and with version 5 nothing wrong is said without an error,
# while what is not damaged is still listed.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/xfs-common.sh"

# Nothing but metadata, all of it in the first group.  Targets that do not fit their inodes
# are left out: mkfs.xfs may not write their heads.
python3 "$tests/xfs-proto.py" make tree empty
rm tree/deep/link-*
python3 "$tests/xfs-proto.py" write tree >proto

# check NAME checked|unchecked ROUNDS MKFS-OPTION...
check()
{
    local name=$1 checked=$2 rounds=$3
    shift 3
    new_xfs 320M -p proto "$@" || fail "$name: mkfs.xfs $*"
    python3 "$tests/damage.py" "$fs_dump" image "$checked" "$rounds" 8000000 || fail "$name"
}

# What each kind of damage is called, and that all else is there.
named()
{
    local what=$1 at=$2 pattern=$3
    cp --sparse=always image damaged
    printf '\xa5\x5a' | dd of=damaged bs=1 seek="$at" conv=notrunc status=none
    "$fs_dump" damaged >ours 2>errors.txt && fail "$what: no error"
    grep -qE "$pattern" errors.txt || { cat errors.txt >&2; fail "$what: not named"; }
}

# byte_of XFS_DB-OPTION...: where xfs_db says that is.
byte_of()
{
    echo $(($(xfs_db -r "$@" -c 'daddr' image | tail -1 | awk '{ print $NF }') * 512))
}

check v5 checked 40 -m crc=1,rmapbt=1
check v5-small-blocks checked 40 -m crc=1,finobt=0 -b size=1024
check v4 unchecked 30 -m crc=0 -b size=512

new_xfs 320M -p proto -m crc=1
"$fs_dump" image >whole 2>/dev/null
ino=$(awk '$1 == "node" { sub("ino=", "", $2); print $2 }' whole)

# A superblock that is damaged, or gone, has copies.
for damage in 'bs=1 seek=200 count=2' 'bs=512 count=1' 'bs=4096 count=1'; do
    cp --sparse=always image damaged
    # shellcheck disable=SC2086
    dd if=/dev/urandom of=damaged conv=notrunc status=none $damage
    "$fs_dump" damaged >ours 2>errors.txt || { cat errors.txt >&2; fail "superblock: $damage"; }
    grep -qE '^warning.*superblock: .*; a copy of it is used' errors.txt ||
        { cat errors.txt >&2; fail "superblock: $damage: no warning"; }
    same ours whole "superblock: $damage"
done
"$EMBR_IMG" volumes --output=json damaged | grep -q '"filesystem": "xfs"' || fail "a copy is not known"
"$EMBR_IMG" volumes --output=json damaged >ours
grep -q "$(xfs_db -r -c 'sb 0' -c 'print uuid' image | awk '{ print $3 }')" ours || fail "a copy's UUID"
dd if=/dev/urandom of=damaged conv=notrunc status=none bs=1M seek=80 count=1
dd if=/dev/urandom of=damaged conv=notrunc status=none bs=1M seek=160 count=1
dd if=/dev/urandom of=damaged conv=notrunc status=none bs=1M seek=240 count=1
expect_failure 1 'no filesystem found' "$fs_dump" damaged
named "directory block" $(($(byte_of -c "inode $ino" -c 'dblock 0') + 100)) \
    "directory inode $ino: .*directory block: checksum is"
missing=$(($(wc -l <whole) - $(wc -l <ours)))
[ "$missing" -gt 0 ] && [ "$missing" -lt 300 ] || fail "$missing names are missing"
ino=$(awk '$1 == "short" { sub("ino=", "", $2); print $2 }' whole)
named "inode" $(($(byte_of -c "inode $ino") + $(xfs_db -r -c "inode $ino" -c addr image |
    sed -n 's/.*byte offset \([0-9]*\).*/\1/p' | tail -1) % 512 + 8)) \
    "inode $ino: checksum is 0x[0-9a-f]+, expected 0x"

# A volume that ends early is read as far as it goes.
cp --sparse=always image cut
truncate -s 200M cut
"$fs_dump" cut >ours 2>errors.txt || true
grep -q 'warning.*spans 0x14000000 bytes, but the volume ends at 0xc800000' errors.txt ||
    { cat errors.txt >&2; fail "a volume that is cut off"; }
[ "$(wc -l <ours)" -gt 2000 ] || fail "nothing is read of a volume that is cut off"
