#!/bin/bash
# Without privileges: what ls, cat and extract find is the tree that mke2fs -d was given,
# and what debugfs says.
source "$(dirname "$0")/common.sh"
need mke2fs debugfs python3 qemu-img

tests=$EMBR_SOURCE/tests/functional
mkdir src
python3 "$tests/make-tree.py" src plain many=500 2>left-out.txt || fail "make-tree.py"
truncate -s 256M bare.raw
mke2fs -q -F -t ext4 -b 4096 -E root_owner=0:0 -d src bare.raw 2>mke2fs.txt ||
    { cat mke2fs.txt >&2; fail "mke2fs"; }
qemu-img convert -c -O qcow2 bare.raw bare.qcow2
rmdir_lost='import json, sys
files = json.load(sys.stdin)
json.dump([f for f in files if f["path"] != "/lost+found"], sys.stdout)'

# A bare filesystem has its root at /.
"$EMBR_IMG" ls -R --output=json bare.qcow2 | python3 -c "$rmdir_lost" >list.json
python3 "$tests/tree-check.py" list src '' list.json ino allocated atime ctime mtime nlink size ||
    fail "ls -R"
"$EMBR_IMG" ls bare.qcow2 /dirs >ours
(cd src/dirs && printf '%s\n' *) >expected
same ours expected "ls of a directory"
"$EMBR_IMG" ls bare.qcow2 | grep -qx 'lost+found' || fail "no lost+found"

for file in content/33 content/4097 "names/ " 'names/größe'; do
    "$EMBR_IMG" cat bare.qcow2 "$file" | cmp - "src/$file" || fail "cat $file"
    debugfs -R "cat \"/$file\"" bare.raw 2>/dev/null | cmp - "src/$file" || fail "debugfs: $file"
done
"$EMBR_IMG" cat bare.qcow2 /content/33 content//../content/./66 /links/a >ours
cat src/content/33 src/content/66 src/links/a >expected
same ours expected "cat of several files"

"$EMBR_IMG" extract bare.qcow2 / -o bare.tar 2>errors.txt || { cat errors.txt >&2; fail extract; }
rm -rf with && mkdir with
"$EMBR_IMG" extract bare.qcow2 /names -o names.tar || fail "extract /names"
mv src/names with/
python3 "$tests/tree-check.py" tar names.tar with || fail "names.tar"
mv with/names src/
mkdir src/lost+found && chmod 700 src/lost+found
touch -d "@$(debugfs -R 'stat /lost+found' bare.raw 2>/dev/null |
    sed -nE 's/^ *mtime: 0x([0-9a-f]+):.*/\1/p' | python3 -c 'print(int(input(), 16))').0" src/lost+found
if [ "$(id -u)" = 0 ]; then
    python3 "$tests/tree-check.py" tar bare.tar src || fail "bare.tar"
fi

# What is wrong is said in one line, and the status is 1.
expect_failure 1 'bare.qcow2: /nothing: no such file or directory' "$EMBR_IMG" ls bare.qcow2 /nothing
expect_failure 1 'bare.qcow2: content/33/x: not a directory' "$EMBR_IMG" cat bare.qcow2 content/33/x
expect_failure 1 '/content is a directory, not a regular file' "$EMBR_IMG" cat bare.qcow2 /content
expect_failure 1 '/types/fifo is a named pipe' "$EMBR_IMG" cat bare.qcow2 /types/fifo
expect_failure 1 'Expecting either -o FILE or -C DIR' "$EMBR_IMG" extract bare.qcow2 /
expect_failure 1 'Expecting either -o FILE or -C DIR' "$EMBR_IMG" extract bare.qcow2 / -o a -C b
expect_failure 1 'no such file' "$EMBR_IMG" extract bare.qcow2 /nothing -o none.tar
[ ! -e none.tar ] || fail "an archive of nothing"
expect_failure 1 'cannot write to /dev/full: No space' "$EMBR_IMG" extract bare.qcow2 / -o /dev/full
expect_failure 1 'no filesystem was recognised' "$EMBR_IMG" ls "$EMBR_IMG"

# Nobody to read on is no error to speak of.
{ "$EMBR_IMG" cat bare.qcow2 /content/sparse 2>errors.txt || echo $? >status.txt; } |
    head -c 100 | cmp -n 100 - src/content/sparse || fail "cat into a closed pipe"
[ "$(cat status.txt)" = 141 ] && [ ! -s errors.txt ] ||
    fail "cat into a closed pipe: status $(cat status.txt), $(cat errors.txt)"
status=0
"$EMBR_IMG" cat bare.qcow2 /content/33 >/dev/full 2>errors.txt || status=$?
[ $status = 1 ] && grep -q 'cannot write to standard output: No space' errors.txt ||
    fail "cat to a full disk"

echo "$(python3 -c 'import json; print(len(json.load(open("list.json"))))') files"
