#!/bin/bash
# What to do without a superblock, without descriptors, without the end of the volume, and
# with features or journals that cannot be had.
source "$(dirname "$0")/common.sh"
need mke2fs debugfs python3

fs_dump=$EMBR_BUILD/tests/functional/fs-dump
tests=$EMBR_SOURCE/tests/functional
mkdir src
python3 "$tests/make-tree.py" src plain many=500 block=1024 xattr=600 2>/dev/null

# make MKE2FS-OPTION...: whole, and how it is listed, in whole.txt
make()
{
    rm -f whole
    truncate -s 64M whole
    mke2fs -q -F -t ext4 -N 4000 -d src "$@" whole
    "$fs_dump" whole >whole.txt 2>errors.txt
    cp whole image
}

# patch OFFSET FORMAT VALUE: into image, FORMAT as of Python's struct
patch()
{
    python3 -c 'import struct, sys
with open("image", "r+b") as file:
    file.seek(int(sys.argv[1], 0))
    file.write(struct.pack(sys.argv[2], int(sys.argv[3], 0)))' "$@"
}

# same_tree PATTERN: image is listed as before, with a warning that matches
same_tree()
{
    "$fs_dump" image >ours 2>errors.txt || { cat errors.txt >&2; fail "fs-dump ($1)"; }
    same_through_engram image image "$1"
    grep -qE "^warning: .*$1" errors.txt || { cat errors.txt >&2; fail "no warning of $1"; }
    same whole.txt ours "the tree ($1)"
}

for options in "-b 1024" "-b 4096" "-b 1024 -O ^metadata_csum" "-b 1024 -O sparse_super2" \
               "-b 1024 -O meta_bg,^resize_inode" "-b 1024 -g 2048 -O bigalloc -C 8192"; do
    make $options
    if [[ $options != *4096* && $options != *C* ]]; then
        # Wiped: all of the first block.
        dd if=/dev/zero of=image bs=1024 seek=1 count=1 conv=notrunc status=none
        same_tree 'magic is 0x0000, expected 0xef53; the copy in group 1 is used'
        cp whole image
    fi
    if [[ $options != *metadata_csum* && $options != *4096* && $options != *C* ]]; then
        # Another number of inodes: the checksum tells.
        patch 1024 '<I' 12345
        same_tree 'superblock checksum .*; the copy in group 1 is used'
        cp whole image
    fi
    if [[ $options != *csum* && $options != *4096* && $options != *C* ]]; then
        # The place of the first inode table, in the descriptors.
        patch 2056 '<I' 77
        same_tree 'descriptor of group 0: checksum .*; a copy of it is used'
    fi
done

make -b 1024
# The volume ends early: what lies beyond is an error, the rest is there.
truncate -s 1800K image
"$fs_dump" image >ours 2>errors.txt && fail "nothing lies beyond the end"
grep -q '^warning: .*the filesystem spans 0x4000000 bytes, but the volume ends at 0x1c2000' \
    errors.txt || fail "no warning of a short volume"
[ "$(grep -vc ' error' ours)" -gt 50 ] || fail "too little is left of a short volume"

make -b 1024 -O ^metadata_csum
patch $((1024 + 0x60)) '<I' 0x12c2
expect_failure 1 'incompatible feature 0x1000 \(dirdata\) is not supported' "$fs_dump" image
patch $((1024 + 0x60)) '<I' 0x800002c2
expect_failure 1 'incompatible feature 0x80000000 \(unknown\) is not supported' \
    "$fs_dump" image
# In use, with a journal that is elsewhere.
patch $((1024 + 0x60)) '<I' 0x2c6
patch $((1024 + 0xe0)) '<I' 0
patch $((1024 + 0xe4)) '<I' 0x801
same_tree 'the journal is on another device \(8:1\)'
# In use, with a damaged journal.
cp whole image
patch $((1024 + 0x60)) '<I' 0x2c6
journal=$(debugfs -R 'blocks <8>' whole 2>/dev/null | cut -d' ' -f1)
patch $((journal * 1024)) '<I' 0
same_tree "the journal's magic is 0x00000000.*the journal is not replayed"
# No inode of a journal: the superblock has a copy of its map.
cp whole image
debugfs -w -R 'clri <8>' image >/dev/null 2>&1
patch $((1024 + 0x60)) '<I' 0x2c6
same_tree "the superblock's copy of the journal's map is used"

truncate -s 8M image
mke2fs -q -F -b 4096 -O journal_dev image
expect_failure 1 '^fs-dump: image: .*external journal' "$fs_dump" image
grep -q '^type=jbd' .stderr || fail "an external journal is not called jbd"
