#!/bin/bash
# What ls, cat and extract find in a chain of qcow2 images must be what the kernel finds
# on the disk: everything about every file.
source "$(dirname "$0")/common.sh"
need qemu-img sfdisk mke2fs mount python3 tar getfattr
need_loop

tests=$EMBR_SOURCE/tests/functional

# Two volumes that the kernel fills, and two that hold no files.
truncate -s 400M disk.raw
sfdisk -q disk.raw <<'END'
label: gpt
start=2048, size=8192, type=21686148-6449-6E6F-744E-656564454649
start=10240, size=512000, type=L
start=524288, size=8192, type=S
start=532480, size=280000, type=L
END
attach_loop disk.raw -o $((532480 * 512)) --sizelimit $((280000 * 512))
second=$LOOP
attach_loop disk.raw -o $((10240 * 512)) --sizelimit $((512000 * 512))
first=$LOOP
attach_loop disk.raw -o $((524288 * 512)) --sizelimit $((8192 * 512))
mkswap "$LOOP" >/dev/null
mkdir p2 p4
on_exit "mountpoint -q '$TEST_DIR/p2' && umount '$TEST_DIR/p2'"
on_exit "mountpoint -q '$TEST_DIR/p4' && umount '$TEST_DIR/p4'"
mke2fs -q -F -t ext4 -b 4096 "$first" && mke2fs -q -F -t ext2 -b 4096 "$second"
mount -o acl,user_xattr "$first" p2 2>mount.txt || skip "not mounted: $(cat mount.txt)"
python3 "$tests/make-tree.py" p2 many=2000 2>left-out.txt || fail "make-tree.py"
umount p2
sync disk.raw
qemu-img convert -O qcow2 disk.raw base.qcow2

# The overlay has the second volume, and changes in the first.
mount "$second" p4
python3 "$tests/make-tree.py" p4 plain many=500 2>left-out.txt || fail "make-tree.py"
umount p4
mount -o acl,user_xattr "$first" p2
rm -r p2/dirs/3* p2/many
echo "written later" >p2/content/later
umount p2
sync disk.raw
qemu-img convert -O qcow2 -B base.qcow2 -F qcow2 disk.raw overlay.qcow2
mount -o ro "$first" p2
mount -o ro "$second" p4

for volume in p2 p4; do
    for mode in auto threads; do
        EMBR_AIO=$mode "$EMBR_IMG" ls -R --output=json overlay.qcow2 /$volume >list.json
        python3 "$tests/tree-check.py" list $volume /$volume list.json || fail "ls of $volume"
    done
    "$EMBR_IMG" ls -R overlay.qcow2 /$volume >paths
    python3 "$tests/tree-check.py" paths $volume /$volume >expected
    same paths expected "ls -R of $volume"
done
{ echo /p1; echo /p2; python3 "$tests/tree-check.py" paths p2 /p2; echo /p3; echo /p4
    python3 "$tests/tree-check.py" paths p4 /p4; } >expected
"$EMBR_IMG" ls -R overlay.qcow2 >paths 2>errors.txt
same paths expected "ls -R of the whole disk"
[ ! -s errors.txt ] || fail "ls -R: $(cat errors.txt)"

# ls -l is GNU's, but for columns, and marks of ACLs.
for dir in types times links names xattrs; do
    (cd p2/$dir && ls -lnA --time-style=full-iso) | tail -n +2 | sed -E 's/^(.{10})[+.]/\1/' |
        tr -s ' ' >theirs
    "$EMBR_IMG" ls -l overlay.qcow2 /p2/$dir | tr -s ' ' >ours
    same ours theirs "ls -l of $dir"
done

# Contents, one after the other.
python3 "$tests/tree-check.py" files p2 >files
(cd p2 && xargs -0 cat -- <../files) >expected
sed -z 's|^|/p2/|' files | xargs -0 "$EMBR_IMG" cat overlay.qcow2 >content
same content expected "the contents of all files"
"$EMBR_IMG" cat overlay.qcow2 /p2/content/sparse | cmp - p2/content/sparse ||
    fail "a file of 5 GiB"

# compare NAME DIR FIELD...: DIR is p2, its links and its holes, too.
compare()
{
    local name=$1 dir=$2
    shift 2
    python3 "$tests/fs-tree.py" dump "$dir" >ours
    python3 "$tests/fs-tree.py" compare ours theirs ino allocated ctime crtime flags \
        dir:size "$@" >&2 || fail "$name"
    python3 "$tests/tree-check.py" groups "$dir" >groups.ours
    same groups.ours groups.theirs "$name: hard links"
    [ "$(du -s "$dir" | cut -f1)" -lt $(($(du -s p2 | cut -f1) * 3 / 2)) ] ||
        fail "$name: holes are filled"
}
python3 "$tests/fs-tree.py" dump p2 >theirs
python3 "$tests/tree-check.py" groups p2 >groups.theirs

# Reading does not change atime: p2 is mounted read-only.
"$EMBR_IMG" extract overlay.qcow2 /p2 -C out || fail "extract -C"
compare "extract -C" out/p2

"$EMBR_IMG" extract overlay.qcow2 /p2 -o p2.tar 2>errors.txt || fail "extract -o"
grep -q 'p2/types/socket: sockets cannot be told to tar' errors.txt || fail "no word of sockets"
[ "$(wc -l <errors.txt)" = 1 ] || fail "extract -o: $(cat errors.txt)"
[ $(($(stat -c %s p2.tar) % 10240)) = 0 ] || fail "not whole records"
mkdir gnu
tar -C gnu -xp --numeric-owner --acls --xattrs --xattrs-include='*' -f p2.tar 2>tar.txt ||
    { cat tar.txt >&2; fail "GNU tar"; }
compare "extract -o, tar -x" gnu/p2 atime path:types/socket dir:nlink
"$EMBR_IMG" extract overlay.qcow2 /p2 -o - 2>/dev/null | cmp - p2.tar || fail "extract -o -"
if tar --help | grep -q -- --compare; then
    tar -C gnu -df p2.tar 2>diff.txt || { cat diff.txt >&2; fail "tar -d"; }
fi

# Parts of a tree; a file; a link as such.
"$EMBR_IMG" extract overlay.qcow2 /p2/links/dir/ -C part
[ "$(cd part && find . | LC_ALL=C sort | xargs)" = ". ./dir ./dir/c" ] || fail "a directory"
"$EMBR_IMG" extract overlay.qcow2 /p2/links/to-58 -C part
[ "$(readlink part/to-58)" = "$(readlink p2/links/to-58)" ] || fail "a symbolic link"
"$EMBR_IMG" extract overlay.qcow2 p2/content/later -o - | tar -xO | cmp - p2/content/later ||
    fail "a file"

# The whole disk; what has no files is an empty folder.
"$EMBR_IMG" extract overlay.qcow2 / -C all 2>errors.txt || fail "extract /"
[ "$(echo all/*)" = "all/p1 all/p2 all/p3 all/p4" ] || fail "folders of the volumes"
python3 "$tests/fs-tree.py" dump p4 >theirs.p4
python3 "$tests/fs-tree.py" dump all/p4 >ours
python3 "$tests/fs-tree.py" compare ours theirs.p4 ino allocated ctime crtime flags dir:size >&2 ||
    fail "p4 is not the same"

echo "$(wc -l <theirs) files"
