#!/bin/bash
# What mksquashfs packs in all its ways must read as the kernel itself reads it, to the last
# attribute.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/squashfs-common.sh"
need_squashfs_mount
count=0

mkdir tree
on_exit "chattr -ia '$TEST_DIR'/tree/flags/* 2>/dev/null"
python3 "$tests/make-tree.py" tree block=4096 many=150 xattr=60000 longest=1500000 \
    2>left-out.txt || { cat left-out.txt >&2; fail "make-tree.py"; }
random_file tree/noise 1300000 1
cp tree/noise tree/twin
random_file tree/tail 140000 2
python3 - <<'PYTHON'
import os
# Runs of one head are cut where the numbers of inodes or their blocks are too far away.
os.mkdir('tree/index')
for i in range(600):
    os.symlink('%d' % i, 'tree/index/%s-%05d' % ('long-name' * 12, i))
with open('tree/text', 'wb') as file:
    for i in range(20000):
        file.write(b'line %d of a long text\n' % (i * i))
PYTHON

# The kernel counts attributes as blocks of their file.
left_out="ino allocated"

# check NAME OPTION...
check()
{
    local name=$1
    shift
    pack "$@" || {
        [ "${OPTIONAL:-}" ] || fail "$name: mksquashfs $*"
        echo "$name: not made by this mksquashfs: $(tail -1 pack.txt)"
        return 0
    }
    mount -o loop,ro image mnt 2>mount.txt || {
        echo "$name: not mounted by this kernel: $(cat mount.txt)"
        return 0
    }
    umount mnt
    dump_theirs theirs
    dump_ours ours || fail "$name: fs-dump"
    python3 "$tests/fs-tree.py" compare ours theirs $left_out >&2 || fail "$name: not as mounted"
    same_links ours theirs || fail "$name"
    count=$((count + 1))
}

check gzip -comp gzip
check gzip-options -comp gzip -b 4096 -Xwindow-size 8 -Xstrategy huffman_only,fixed
OPTIONAL=1 check lzo -comp lzo -b 32768
OPTIONAL=1 check lz4 -comp lz4 -Xhc -always-use-fragments
OPTIONAL=1 check xz -comp xz -Xbcj x86,arm -b 262144
OPTIONAL=1 check zstd -comp zstd -Xcompression-level 3 -b 1048576
check raw -comp gzip -noI -noD -noF -noX -b 16384
check raw-data -comp gzip -noD -no-duplicates
check raw-fragments -comp gzip -noF -always-use-fragments -no-exports
check no-fragments -comp gzip -no-fragments -no-sparse
left_out=ino
check no-xattrs -comp gzip -no-xattrs -no-hardlinks
OPTIONAL=1 check tailends -comp gzip -tailends -no-xattrs -b 8192

[ "$count" -gt 0 ] || skip "this kernel mounts none of them"
echo "$count kinds of filesystems"
