#!/bin/bash
# A log that is clean is known for that, wherever its head is; logs and files on other devices
# are told of, and features that cannot be read.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/xfs-common.sh"

# warns IMAGE PATTERN: of what fs-dump says of it; without the log, files may be half there.
warns()
{
    local status=0
    "$fs_dump" "$1" >ours 2>errors.txt || status=$?
    [ "$status" -le 1 ] && [ -s ours ] || { cat errors.txt >&2; fail "fs-dump $1: $status"; }
    grep -qE "^warning: .*$2" errors.txt || { cat errors.txt >&2; fail "$1: not told: $2"; }
}

# set_feature BIT: of those that must be known.
set_feature()
{
    python3 - image "$1" <<'PYTHON'
import struct, sys

def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82f63b78 * (crc & 1)
    return crc ^ 0xffffffff

with open(sys.argv[1], 'r+b') as file:
    sector = bytearray(file.read(512))
    incompat = struct.unpack_from('>I', sector, 216)[0] | int(sys.argv[2], 0)
    struct.pack_into('>II', sector, 216, incompat, 0)
    struct.pack_into('>I', sector, 224, 0)
    struct.pack_into('<I', sector, 224, crc32c(sector))
    file.seek(0)
    file.write(sector)
PYTHON
}

new_xfs 320M -m crc=1
set_feature 0x100
expect_failure 1 'incompatible feature 0x100 \(metadir\) is not supported' "$fs_dump" image
new_xfs 320M -m crc=1
set_feature 0x40000000
expect_failure 1 'incompatible feature 0x40000000 \(unknown\)' "$fs_dump" image
new_xfs 320M -m crc=1
set_feature 0x10
warns image 'needing repair'

# A log of zeroes holds nothing.
new_xfs 320M -m crc=1
start=$(xfs_db -r -c 'sb 0' -c 'print logstart' image | awk '{ print $3 }')
start=$(xfs_db -r -c "convert fsb $start byte" image | sed 's/.*(\([0-9]*\)).*/\1/')
dd if=/dev/zero of=image bs=4096 seek=$((start / 4096)) count=1000 conv=notrunc status=none
dump_ours ours || fail "a log of zeroes"

truncate -s 100M log
if new_xfs 320M -l logdev=log,size=64m; then
    warns image 'log is on another device'
fi

# Files on the realtime device are listed, their content is refused; others are read.
echo content >content
printf '/dev/null\n0 0\nd--755 0 0\nplain ---644 0 0 %s\nthere ---644 0 0 %s\n$\n' \
    "$PWD/content" "$PWD/content" >proto
new_xfs 320M -m crc=1 -p proto
dump_ours ours || fail "two files"
ino=$(awk '$1 == "there" { sub("ino=", "", $2); print $2 }' ours)
xfs_db -x -c "inode $ino" -c 'write core.realtime 1' image >/dev/null
expect_failure 1 "there: .*inode $ino: its content is on the realtime device" "$fs_dump" image
grep -q '^plain .* sum=' .stdout || fail "a file that is not on the realtime device"
grep -q '^there .* size=8 ' .stdout || fail "a file on the realtime device is not listed"

need_xfs_mount

# Records of 256 KiB go round a log of 64 MiB soon; wherever that stops, an unmount makes it
# clean.
new_xfs 320M -m crc=1 -l size=64m,version=2,su=256k
for round in 1 37 250 120; do
    mount -o loop image mnt
    python3 - mnt "$round" <<'PYTHON'
import os, sys
for i in range(int(sys.argv[2])):
    name = '%s/%s-%d' % (sys.argv[1], sys.argv[2], i)
    with open(name, 'w') as file:
        file.write(name)
        os.fsync(file.fileno())
PYTHON
    umount mnt
    dump_ours ours || fail "after $round: warnings about a clean log"
    grep -q "^$round-0 " ours || fail "after $round: a file is not there"
done

# With newer features that change little, the kernel's word counts again.
for feature in 0x40 0x80; do
    new_xfs 320M -m crc=1
    set_feature "$feature"
    if mount -o loop image mnt 2>/dev/null; then
        python3 "$tests/make-tree.py" mnt block=4096 target=1024 many=200 2>/dev/null
        umount mnt
        dump_theirs theirs
        dump_ours ours || fail "feature $feature: fs-dump"
        python3 "$tests/fs-tree.py" compare ours theirs >&2 || fail "feature $feature"
    else
        echo "feature $feature: not mounted by this kernel"
    fi
done
