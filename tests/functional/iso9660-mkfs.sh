#!/bin/bash
# What xorriso, genisoimage and mkzftree pack must be the tree that it was made of, with attributes,
# ACLs and hard links' counts; what is odd is read or refused by name.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/iso9660-common.sh"
need genisoimage mkzftree

# What a tree has and ISO 9660 has not, or differently.
left_out="ino allocated atime ctime crtime flags fraction dir:size dir:nlink"

# same_tree NAME IMAGE TREE FIELD...
same_tree()
{
    local name=$1 image=$2 tree=$3
    shift 3
    python3 "$tests/fs-tree.py" dump "$tree" >theirs
    dump_ours ours "$image" || fail "$name: fs-dump"
    python3 "$tests/fs-tree.py" compare ours theirs $left_out "$@" >&2 ||
        fail "$name: not as the tree is"
}

make_iso_tree many=300 longest=1500000 xattr=50000 || fail "make-tree.py"
# xorriso leaves these out.
rm -rf tree/xattrs/{empty,acl-dir}
touch -d @1000000000 tree/xattrs tree
pack image -R --acl --xattr-any --hardlinks || fail "xorriso"
same_tree attributes image tree
pack image -R -J -joliet-long || fail "xorriso"
same_tree plain image tree 'xattr:*' nlink path:xattrs/acl

# Compressed files.
rm -rf tree
mkdir tree
seq 1 150000 >tree/text
head -c 300001 /dev/zero >tree/zeroes
{ seq 1 9000; head -c 500000 /dev/zero; seq 5 70000; } >tree/holes
random_file tree/random 300000 1
: >tree/empty
echo small >tree/small
touch -d @1000000000 tree/* tree
for options in level=9:block_size=32k level=1:block_size=128k:version_2=on:susp_z2=off \
    version_2=on:susp_z2=on:block_size_v2=1m; do
    rm -f image
    xorriso -zisofs "$options" -outdev image -map tree / \
        -find / -type f -exec set_filter --zisofs -- -commit >xorriso.txt 2>&1 ||
        { cat xorriso.txt >&2; fail "xorriso -zisofs $options"; }
    [ "$(stat -c %s image)" -lt 2000000 ] || fail "$options: nothing is compressed"
    same_tree "$options" image tree
    "$EMBR_IMG" cat image /holes | cmp - tree/holes || fail "$options: cat"
done
sed 's/PZ\x06\x11/ZD\x06\x11/g; s/PZ\x06\x14/ZD\x06\x14/g' image >odd
expect_failure 1 "zisofs: compression is 'ZD'; 'PZ' can be read" "$EMBR_IMG" cat odd /text
mkzftree tree ztree
touch -d @1000000000 ztree
mv tree plain
mv ztree tree
pack_old image -R -z || fail "genisoimage -z"
same_tree mkzftree image plain 'path:.'

# What has no Rock Ridge: names of each level, of ISO 9660:1999, of Joliet.
rm -rf tree plain
mkdir -p tree/Folder
echo lower >tree/Folder/a.txt
echo long >"tree/A Name that is not Short.text"
names()
{
    dump_ours ours image || fail "$1: fs-dump"
    cut -d ' ' -f 1 ours | LC_ALL=C sort | tr '\n' ' ' >names.txt
    [ "$(<names.txt)" = "$2" ] || fail "$1: names are $(<names.txt)"
}
pack_old image -iso-level 1 2>/dev/null
names level1 '. a_name_t.tex folder folder/a.txt '
pack_old image -iso-level 3 -l
names level3 '. a_name_that_is_not_short.text folder folder/a.txt '
pack_old image -iso-level 4
names enhanced '. A%20Name%20that%20is%20not%20Short.text Folder Folder/a.txt '
pack image --norock -iso-level 4
names enhanced-xorriso '. A%20Name%20that%20is%20not%20Short.text Folder Folder/a.txt '
pack image --norock -J
names joliet '. A%20Name%20that%20is%20not%20Short.text Folder Folder/a.txt '
grep -q '^Folder/a.txt .* mode=100555 nlink=1 uid=0 gid=0 ' ours || fail "metadata without Rock Ridge"

# A second session: what the first descriptors lead to is the last one.
rm -f image
mkdir second
echo second >second/b
xorriso -outdev image -map tree / -commit >/dev/null 2>&1
xorriso -dev image -map second / -rm_r /Folder -- -commit >/dev/null 2>&1
[ "$("$EMBR_IMG" ls image /)" = $'A Name that is not Short.text\nb' ] || fail "sessions"
[ "$("$EMBR_IMG" cat image /b)" = second ] || fail "content of the second session"

odd() { python3 "$tests/iso9660-odd.py" odd "$1" || fail "iso9660-odd.py $1"; }

odd pieces
"$EMBR_IMG" cat odd /small | cmp - <(printf 'one %.0s' {1..512}; printf 'two %.0s' {1..512}; printf three) ||
    fail "cat of pieces"
[ "$("$EMBR_IMG" cat odd /behind)" = "attributes before the content" ] || fail "attribute records"
odd interleaved
expect_failure 1 'inode [0-9]+: its content cannot be read: it is interleaved' "$EMBR_IMG" cat odd /mixed
[ "$("$EMBR_IMG" cat odd /good)" = good ] || fail "beside an interleaved file"
odd sparse
expect_failure 1 'its content cannot be read: it is sparse \(Rock Ridge field SF\)' "$EMBR_IMG" cat odd /sparse
odd disagree
"$fs_dump" odd >ours 2>errors.txt && fail "disagree: no error"
grep -q 'directory record: the block is 0x28 in little-endian and 0x4d in big-endian form' errors.txt ||
    { cat errors.txt >&2; fail "disagree"; }
[ "$(cut -d ' ' -f 1 ours | tr '\n' ' ')" = '. good last ' ] || { cat ours >&2; fail "what is good"; }
[ "$("$EMBR_IMG" cat odd /last)" = last ] || fail "what is behind damage"
sed 's/last/lost/' odd >other
expect_failure 1 'directory inode 40960: .* the block is 0x28' "$EMBR_IMG" cat other /last
odd xa
[ "$("$EMBR_IMG" ls -l odd / | awk '{print $1, $3, $4, $NF}' | tr '\n' ' ')" = \
    '-r-------- 1000 100 .hidden -rw-r--r-- 1000 100 Case ' ] || fail "CD-ROM XA"
odd no-primary
[ "$("$EMBR_IMG" ls odd / 2>errors.txt)" = $'...\ngröße💿.txt' ] || fail "no primary descriptor"
grep -q 'warning: odd: iso9660 at offset 0x8000: there is no primary volume descriptor' errors.txt ||
    { cat errors.txt >&2; fail "no warning"; }
odd loop
expect_failure 1 'SUSP: fields go on at 0x19000 with 28 bytes, expected at most 16' "$EMBR_IMG" ls -l odd /loop
[ "$("$EMBR_IMG" cat odd /good)" = good ] || fail "beside a loop"

# A volume that ends early is read as far as it goes.
random_file tree/random 300000 2
pack_old image -R || fail "genisoimage"
head -c 200192 image >odd
"$EMBR_IMG" ls odd / >ours 2>errors.txt || { cat errors.txt >&2; fail "a volume that is cut off"; }
grep -q 'warning: odd: iso9660 spans 0x[0-9a-f]* bytes, but the volume ends at 0x30e00' errors.txt ||
    { cat errors.txt >&2; fail "a volume that is cut off"; }
expect_failure 1 'inode [0-9]+: .*file content .* reaches past the end of the volume \(0x30e00\)' \
    "$EMBR_IMG" cat odd /random
