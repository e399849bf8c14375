#!/bin/bash
# Filesystems that the kernel filled must read as the kernel itself reads them, to the
# nanosecond and the last attribute.
source "$(dirname "$0")/common.sh"
need mke2fs python3 mount
need_loop

fs_dump=$EMBR_BUILD/tests/functional/fs-dump
tests=$EMBR_SOURCE/tests/functional
mkdir mnt
on_exit "mountpoint -q '$TEST_DIR/mnt' && umount '$TEST_DIR/mnt'"
count=0

# check NAME BLOCK LONGEST-XATTR MKE2FS-OPTION...
check()
{
    local name=$1 block=$2 xattr=$3
    shift 3
    rm -f image
    truncate -s "${SIZE:-128M}" image
    mke2fs -q -F -b "$block" "$@" image </dev/null >mke2fs.txt 2>&1 ||
        { cat mke2fs.txt >&2; fail "mke2fs $*"; }
    if ! mount -o loop,acl,user_xattr image mnt 2>mount.txt; then
        echo "$name: not mounted by this kernel: $(cat mount.txt)"
        return
    fi
    python3 "$tests/make-tree.py" mnt "block=$block" "xattr=$xattr" "many=${MANY:-3000}" \
        2>left-out.txt || { cat left-out.txt >&2; fail "$name: make-tree.py"; }
    umount mnt
    mount -o loop,ro image mnt
    python3 "$tests/fs-tree.py" dump mnt >theirs
    umount mnt
    "$fs_dump" image >ours 2>errors.txt || { cat errors.txt >&2; fail "$name: fs-dump"; }
    same_through_engram image image "$name"
    if grep '^warning' errors.txt >&2; then
        fail "$name: a warning about a clean filesystem"
    fi
    python3 "$tests/fs-tree.py" compare ours theirs >&2 || fail "$name: not as mounted"
    count=$((count + 1))
}

check ext4 4096 3000 -t ext4
check ext2 4096 3000 -t ext2
check ext3 1024 600 -t ext3 -N 8000
MANY=9000 check ext4-1k 1024 600 -t ext4 -N 8000
check ext4-2k 2048 1500 -t ext4
check old-inodes 4096 3000 -t ext4 -I 128
check large-inodes 4096 3000 -t ext4 -I 1024
check no-extents 1024 600 -t ext4 -O ^extents,^64bit
check inline-data 4096 3000 -t ext4 -O inline_data
check inline-data-large 4096 3000 -t ext4 -O inline_data -I 1024
check bigalloc 4096 3000 -t ext4 -O bigalloc -C 65536
check no-checksums 4096 3000 -t ext4 -O ^metadata_csum
check uninit-bg 4096 3000 -t ext4 -O ^metadata_csum,uninit_bg
check meta-bg 1024 600 -t ext4 -O meta_bg,^resize_inode -N 8000
check ea-inode 4096 60000 -t ext4 -O ea_inode
check ea-inode-1k 1024 60000 -t ext4 -O ea_inode,inline_data -N 8000
check quota 4096 3000 -t ext4 -O project,quota -E quotatype=usrquota:grpquota:prjquota
check encrypt-feature 4096 3000 -t ext4 -O encrypt,large_dir
check casefold 4096 3000 -t ext4 -O casefold -E encoding=utf8

[ "$count" -gt 0 ] || skip "this kernel mounts none of them"
echo "$count kinds of filesystems"
