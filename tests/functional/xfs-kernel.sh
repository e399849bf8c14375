#!/bin/bash
# XFS filesystems that the kernel filled must read as the kernel itself reads them, to the
# nanosecond and the last attribute.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/xfs-common.sh"
need_xfs_mount
count=0

# What make-tree.py does not make: forms that take many entries, extents, attributes.
cat >more.py <<'PYTHON'
import os, sys

block = int(sys.argv[2])
pieces = 3000 * 4096 // max(block, 4096)
os.chdir(sys.argv[1])
for form, names in (('short', 3), ('block', 20), ('leaf', 300), ('node', 5000)):
    os.mkdir('form-' + form)
    for i in range(names):
        os.link('content/3', 'form-%s/%s-%05d' % (form, 'n' * (i % 40), i))
os.mkdir('form-btree')
# Files of other directories in between: this one's blocks do not lie together.
with open('filler', 'wb') as filler:
    for i in range(6000):
        os.link('content/3', 'form-btree/%s-%05d' % ('long-name' * 20, i))
        if i % 20 == 0 and i < 2 * pieces:
            filler.write(b'f' * block)
            filler.flush()
            os.fsync(filler.fileno())
with open('many-extents', 'wb') as file:
    for i in range(pieces):
        os.pwrite(file.fileno(), b'%d' % i * 50, i * 2 * block)
with open('attributes', 'wb') as file:
    for i in range(900):
        os.setxattr(file.fileno(), 'user.%s%d' % ('a' * (i % 60), i), b'v%d' % i * (i % 50))
    for i in range(20):
        os.setxattr(file.fileno(), 'user.remote%d' % i, bytes([i]) * 3500 * (i + 1)
                    if (i + 1) * 3500 < 65536 else b'x' * 65536)
PYTHON

cat >reflink.py <<'PYTHON'
import fcntl, os, sys

os.chdir(sys.argv[1])
with open('content/pieces', 'rb') as source:
    for i in range(3):
        with open('clone-%d' % i, 'w+b') as clone:
            fcntl.ioctl(clone.fileno(), 0x40049409, source.fileno())    # FICLONE
            os.pwrite(clone.fileno(), b'changed', i * 40000)
PYTHON

# check NAME BLOCK MKFS-OPTION...
check()
{
    local name=$1 block=$2
    shift 2
    if ! new_xfs "${SIZE:-320M}" -b "size=$block" "$@"; then
        [ "${OPTIONAL:-}" ] || fail "$name: mkfs.xfs $*"
        echo "$name: not made by this mkfs.xfs: $(tail -1 mkfs.txt)"
        return
    fi
    ${PREPARE:-true}
    if ! mount -o loop image mnt 2>mount.txt; then
        echo "$name: not mounted by this kernel: $(cat mount.txt)"
        return
    fi
    python3 "$tests/make-tree.py" mnt "block=$block" target=1024 xattr=60000 many=1500 \
        2>left-out.txt || { cat left-out.txt >&2; fail "$name: make-tree.py"; }
    python3 more.py mnt "$block"
    if [ "${REFLINK:-}" ]; then
        python3 reflink.py mnt
    fi
    umount mnt
    dump_theirs theirs
    dump_ours ours || fail "$name: fs-dump"
    python3 "$tests/fs-tree.py" compare ours theirs >&2 || fail "$name: not as mounted"
    count=$((count + 1))
    check_free "$name" "$block"
}

# form FILE FIELD PATTERN: the test is about what it says it is about.
form()
{
    local ino found
    ino=$(awk -v f="$1" '$1 == f { sub("ino=", "", $2); print $2 }' ours)
    found=$(xfs_db -r -c "inode $ino" -c "print $2" image)
    grep -qE "$3" <<<"$found" || fail "$1 is not of the form meant: $found"
}

REFLINK=1 check v5 4096 -m reflink=1,rmapbt=1 -n size=4096
form form-short core.format local
form form-block core.size '= 4096$'
form form-btree core.format btree
form many-extents core.format btree
form attributes core.aformat 'extents|btree'
OPTIONAL=1 check v4 4096 -m crc=0 -n ftype=0
check small-blocks 1024 -m crc=1,finobt=0,bigtime=0,inobtcount=0
check large-inodes 4096 -i size=2048,sparse=0 -m bigtime=1
check dir-blocks 1024 -n size=16384
check dir-blocks-64k 4096 -n size=65536 -i size=1024
OPTIONAL=1 check nrext64 4096 -i nrext64=1 -m reflink=1
OPTIONAL=1 check sectors 4096 -s size=4096
OPTIONAL=1 check ascii-ci 4096 -n version=ci
SIZE=1200M check groups 4096 -d agcount=11
SIZE=600M OPTIONAL=1 check large-blocks 16384 -m reflink=0
SIZE=1200M OPTIONAL=1 check largest-blocks 65536 -m reflink=0
new_uuid() { xfs_admin -U generate image >admin.txt 2>&1 || { cat admin.txt >&2; fail "xfs_admin"; }; }
PREPARE=new_uuid check other-uuid 4096 -m crc=1

[ "$count" -gt 0 ] || skip "this kernel mounts none of them"
echo "$count kinds of filesystems"
