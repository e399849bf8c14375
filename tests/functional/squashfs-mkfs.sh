#!/bin/bash
# What mksquashfs packed must be the tree it was made of, also where the kernel does not mount
# it; what cannot be read is refused by name.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/squashfs-common.sh"

# What a tree has and squashfs has not, or differently.
left_out="ino allocated atime ctime crtime flags dir:size dir:nlink xattr:system.*"

mkdir tree
on_exit "chattr -ia '$TEST_DIR'/tree/flags/* 2>/dev/null"
python3 "$tests/make-tree.py" tree plain block=4096 many=100 longest=2000000 2>/dev/null
mkdir tree/times
for time in 0 1 2147483647 2147483648 4294967295; do
    : >tree/times/$time
    touch -d "@$time" tree/times/$time
done
touch -d @1000000000 tree tree/times

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
    python3 "$tests/fs-tree.py" dump tree >theirs
    dump_ours ours || fail "$name: fs-dump"
    python3 "$tests/fs-tree.py" compare ours theirs $left_out >&2 ||
        fail "$name: not as the tree is"
    same_links ours theirs || fail "$name"
}

OPTIONAL=1 check lzma -comp lzma
check no-exports -comp gzip -no-exports -nopad -Xcompression-level 1

# field OFFSET BYTES: a damaged superblock.
field()
{
    cp image odd
    printf '%b' "$2" | dd of=odd bs=1 seek="$1" conv=notrunc status=none
}

chattr -ia tree/flags/* 2>/dev/null || true
rm -rf tree
mkdir tree
random_file tree/file 20000 1
pack -comp gzip
field 28 '\3\0\1\0'
"$EMBR_IMG" volumes odd | grep -q ' squashfs3 ' || fail "version 3 is not known"
expect_failure 1 'version is 3.1 \(little-endian\); version 4.0 \(little-endian\) can be read' \
    "$fs_dump" odd
field 0 'sqsh'
expect_failure 1 'version is [0-9]+.[0-9]+ \(big-endian\)' "$fs_dump" odd
field 20 '\7'
expect_failure 1 'compression is 7, which is not known' "$fs_dump" odd
field 12 '\0\2\0\0'
expect_failure 1 'block size is 512 \(log2 17\), expected a power of 2' "$fs_dump" odd
field 64 '\377\377\377\377\0\0\0\0'
expect_failure 1 'which does not fit' "$fs_dump" odd
# All but the superblock and a little more is missing.
head -c 2048 image >odd
expect_failure 1 'squashfs at offset 0x[0-9a-f]+: table of IDs .* reaches past the end \(0x800\)' \
    "$fs_dump" odd
field 40 '\0\0\40\0'
"$fs_dump" odd >ours 2>errors.txt || { cat errors.txt >&2; fail "a volume that is cut off"; }
grep -qE 'warning: odd: squashfs spans 0x200000 bytes, but the volume ends at 0x[0-9a-f]+' errors.txt ||
    { cat errors.txt >&2; fail "a volume that is cut off"; }
