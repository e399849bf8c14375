#!/bin/bash
# Filesystems of every kind that mke2fs makes from a tree must read as that tree.
source "$(dirname "$0")/common.sh"
need mke2fs tune2fs e2fsck debugfs python3

fs_dump=$EMBR_BUILD/tests/functional/fs-dump
tests=$EMBR_SOURCE/tests/functional
not_carried=(ino allocated atime ctime crtime flags dir:size path:lost+found)
count=0
declare -A HASH_NUMBER=([legacy]=0 [half_md4]=1 [tea]=2)

# check NAME BLOCK MKE2FS-OPTION...
check()
{
    local name=$1 block=$2 src=src-$2
    shift 2
    if [ ! -d "$src" ]; then
        mkdir "$src"
        python3 "$tests/make-tree.py" "$src" plain many=1500 "block=$block" \
            "xattr=$((block < 4096 ? block * 3 / 5 : 3000))"
        python3 "$tests/fs-tree.py" dump "$src" >"$src.txt"
    fi
    rm -f image
    truncate -s "${SIZE:-96M}" image
    mke2fs -q -F -b "$block" -d "$src" "$@" image </dev/null >mke2fs.txt 2>&1 ||
        { cat mke2fs.txt >&2; fail "mke2fs $*"; }
    if [ -n "${HASH:-}" ]; then
        tune2fs -E "hash_alg=$HASH" image >mke2fs.txt
        e2fsck -fyD image >>mke2fs.txt 2>&1 || [ $? = 1 ] ||
            { cat mke2fs.txt >&2; fail "e2fsck -D"; }
        debugfs -R 'htree_dump /many' image 2>/dev/null |
            grep -q "Hash Version: ${HASH_NUMBER[$HASH]}" ||
            fail "$name: the large directory has no such index"
    fi
    "$fs_dump" image >image.txt 2>errors.txt || { cat errors.txt >&2; fail "$name: fs-dump"; }
    if grep '^warning' errors.txt >&2; then
        fail "$name: a warning about a clean filesystem"
    fi
    EMBR_AIO=threads "$fs_dump" image >threads.txt 2>/dev/null || fail "$name: with threads"
    same image.txt threads.txt "$name: what io_uring and threads read"
    if command -v blkid >/dev/null; then
        blkid -p -o value -s TYPE -s LABEL -s UUID image | sort >blkid.txt
        sed -nE 's/^type=(.*) label=(.*) uuid=(.*) size=.*/\1\n\2\n\3/p' errors.txt |
            grep . | sort >ident.txt
        same ident.txt blkid.txt "$name: type, label and UUID"
    fi
    # The root has a directory more, lost+found; its time and owner are not carried over.
    sed -E '1s/ (nlink|mtime|uid|gid)=[0-9.]+//g' image.txt >ours
    sed -E '1s/ (nlink|mtime|uid|gid)=[0-9.]+//g' "$src.txt" >theirs
    python3 "$tests/fs-tree.py" compare ours theirs "${not_carried[@]}" ${WITHOUT:-} >&2 ||
        fail "$name: not the tree it was made from"
    same_through_engram image image "$name"
    count=$((count + 1))
}

check ext2 4096 -t ext2
check ext3 4096 -t ext3 -L 'größe label'
check ext4 4096 -t ext4
check ext2-1k 1024 -t ext2 -I 128
check ext4-1k 1024 -t ext4
check ext4-2k 2048 -t ext4
WITHOUT='xattr:*' check revision-0 1024 -r 0 -O none -N 8000
check no-filetype 4096 -t ext2 -O ^filetype,^dir_index
check no-extents 1024 -t ext4 -O ^extents,^64bit
check old-inodes 4096 -t ext4 -I 128
check large-inodes 4096 -t ext4 -I 1024
check largest-inodes 4096 -t ext4 -I 4096 -N 3000
# mke2fs 1.47.0 loses the hole at the end of a file when there is inline data.
WITHOUT='path:content/sparse path:content/hole'
check inline-data 4096 -t ext4 -O inline_data
check inline-data-large 4096 -t ext4 -O inline_data -I 1024
check inline-data-1k 1024 -t ext4 -O inline_data,^has_journal
WITHOUT=
check bigalloc 4096 -t ext4 -O bigalloc -C 65536
check bigalloc-1k 1024 -t ext4 -O bigalloc -C 16384
check no-64bit 4096 -t ext4 -O ^64bit
check no-checksums 4096 -t ext4 -O ^metadata_csum
check uninit-bg 4096 -t ext4 -O ^metadata_csum,uninit_bg
check uninit-bg-1k 1024 -t ext4 -O ^metadata_csum,uninit_bg,^64bit
check meta-bg 1024 -t ext4 -O meta_bg,^resize_inode
check meta-bg-4k 4096 -t ext4 -O meta_bg,^resize_inode,^flex_bg
check no-flex-bg 1024 -t ext4 -O ^flex_bg -g 4096
check sparse-super2 1024 -t ext4 -O sparse_super2
check no-sparse-super 1024 -t ext4 -O ^sparse_super,^resize_inode
check checksum-seed 4096 -t ext4 -O metadata_csum_seed -U 12345678-1234-1234-1234-123456789abc
check project-quota 4096 -t ext4 -O project,quota -E quotatype=usrquota:grpquota:prjquota
check casefold 4096 -t ext4 -O casefold -E encoding=utf8
check encrypt 4096 -t ext4 -O encrypt
check verity 4096 -t ext4 -O verity
check large-dir 4096 -t ext4 -O large_dir
check ea-inode 4096 -t ext4 -O ea_inode
check mmp 4096 -t ext4 -O mmp
check orphan-file 4096 -t ext4 -O orphan_file
check stable-inodes 4096 -t ext4 -O stable_inodes
check fast-commit 4096 -t ext4 -O fast_commit
for hash in half_md4 tea legacy; do
    HASH=$hash check "hash-$hash" 1024 -t ext4
    HASH=$hash check "hash-$hash" 4096 -t ext4 -O ^metadata_csum
done
SIZE=512M check 16k 16384 -t ext4 -N 4000
SIZE=1G check 64k 65536 -t ext4 -N 4000

echo "$count kinds of filesystems"
