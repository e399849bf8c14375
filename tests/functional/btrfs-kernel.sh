#!/bin/bash
# Btrfs filesystems that the kernel filled must read as the kernel itself reads them, to the
# nanosecond and the last attribute.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/btrfs-common.sh"
need_btrfs_mount
count=0

# What make-tree.py does not make.
cat >more.py <<'PYTHON'
import errno, fcntl, os, struct, sys

os.chdir(sys.argv[1])
# More names of one file in one directory than fit an item of references.
os.mkdir('names-of-one')
open('names-of-one/file', 'w').close()
try:
    for i in range(1000):
        os.link('names-of-one/file', 'names-of-one/%s-%05d' % ('long-name' * 20, i))
except OSError as error:
    assert error.errno == errno.EMLINK
# Names with one hash (they were looked for).
os.mkdir('hashes')
for name in ('ue2r43xy', 'c54cvxdh', 'qlvw434k', 'flotycs9'):
    open('hashes/' + name, 'w').close()
with open('attributes', 'wb') as file:
    for i in range(300):
        try:
            os.setxattr(file.fileno(), 'user.%s%d' % ('a' * (i % 60), i), b'v%d' % i * (i % 50))
        except OSError:
            break
for i in (1, 100, 2000, 2047, 2048, 2049, 3900, 4095, 4096, 4097):
    with open('inline-%d' % i, 'wb') as file:
        file.write(os.urandom(i))
with open('terabyte', 'wb') as file:
    for at in (0, 1 << 30, (1 << 40) - 100):
        os.pwrite(file.fileno(), b'far away', at)
    file.truncate((1 << 40) + 1)
# FS_IOC_ENABLE_VERITY, where the kernel has it
with open('verity', 'wb') as file:
    file.write(b'verified' * 5000)
with open('verity', 'rb') as file:
    try:
        fcntl.ioctl(file.fileno(), 0x40806685, struct.pack('IIIIQIIQ11Q', 1, 1, 4096, 0, 0, 0, 0, 0, *[0] * 11))
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY):
            raise
# An inline extent, and behind it a hole.
with open('inline-hole', 'wb') as file:
    file.write(b'x' * 100)
    file.flush()
    os.fsync(file.fileno())
    file.truncate(1 << 20)
PYTHON

# check NAME MKFS-OPTION...
check()
{
    local name=$1
    shift
    if ! new_btrfs "${SIZE:-400M}" "$@"; then
        [ "${OPTIONAL:-}" ] || fail "$name: mkfs.btrfs $*"
        echo "$name: not made by this mkfs.btrfs: $(tail -1 mkfs.txt)"
        return
    fi
    ${PREPARE:-true}
    if ! mount -o "loop${MOUNT:+,$MOUNT}" image mnt 2>mount.txt; then
        echo "$name: not mounted by this kernel: $(cat mount.txt)"
        return
    fi
    python3 "$tests/make-tree.py" mnt "block=4096" xattr=3500 many="${MANY:-500}" target=3500 \
        2>left-out.txt || { cat left-out.txt >&2; fail "$name: make-tree.py"; }
    python3 more.py mnt
    ${MORE:-true}
    umount mnt
    dump_theirs theirs
    dump_ours ours || fail "$name: fs-dump"
    compare_dumps "$name" ours theirs
    count=$((count + 1))
    check_free "$name"
}

check plain
MANY=3000 check small-nodes -n 4096
check large-nodes -n 65536 -d dup
check mixed -M
OPTIONAL=1 check raid0 -d raid0 -m single
MOUNT=nodatacow check old-features -O ^no-holes,^skinny-metadata,^extref -R ^free-space-tree
new_uuid() { btrfstune -f -m image >tune.txt 2>&1 || { cat tune.txt >&2; fail "btrfstune"; }; }
PREPARE=new_uuid check other-uuid

[ "$count" -gt 0 ] || skip "this kernel mounts none of them"
echo "$count kinds of filesystems"
