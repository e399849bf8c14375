#!/bin/bash
# A disk with XFS, its files listed, read, taken out and made into an engram: everything is
# as on the kernel's mount, files that share blocks included.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/xfs-common.sh"
need sfdisk dd
need_xfs_mount

spec()
{
    python3 "$tests/engram_spec.py" "$@" || { [ $? = 77 ] && skip "no libzstd or libxxhash"; fail "$*"; }
}

new_xfs 400M -m reflink=1
mount -o loop image mnt 2>mount.txt || skip "not mounted: $(cat mount.txt)"
python3 "$tests/make-tree.py" mnt block=4096 target=1024 many=500 xattr=60000 2>/dev/null
random_file mnt/original 40000000 7
random_file mnt/deleted 40000000 8
# All in all more than the disk has room for.
python3 - mnt <<'PYTHON'
import fcntl, os, sys
with open(sys.argv[1] + '/original', 'rb') as source:
    for i in range(12):
        with open('%s/clone-%d' % (sys.argv[1], i), 'w+b') as clone:
            fcntl.ioctl(clone.fileno(), 0x40049409, source.fileno())    # FICLONE
            os.pwrite(clone.fileno(), b'changed %d' % i, i * 3000000)
PYTHON
cp --reflink=never mnt/clone-5 mnt/twin
sync -f mnt
rm mnt/deleted
umount mnt
truncate -s 402M disk.raw
printf 'label: gpt\nstart=2048, size=819200\n' | sfdisk -q disk.raw
dd if=image of=disk.raw bs=1M seek=1 conv=notrunc,sparse status=none
mount -o loop,ro image mnt

"$EMBR_IMG" ls -R --output=json disk.raw /p1 >list.json
python3 "$tests/tree-check.py" list mnt /p1 list.json || fail "ls"
for file in clone-3 names/%41 content/pieces; do
    "$EMBR_IMG" cat disk.raw "/p1/$file" | cmp - "mnt/$file" || fail "cat $file"
done
for dir in links types dirs; do
    "$EMBR_IMG" extract disk.raw /p1/$dir -C out || fail "extract: $dir"
    python3 "$tests/fs-tree.py" dump mnt/$dir >theirs
    python3 "$tests/fs-tree.py" dump out/$dir >ours
    python3 "$tests/fs-tree.py" compare ours theirs ino nlink allocated ctime crtime flags \
        dir:size >&2 ||
        fail "extract: $dir"
done

"$EMBR_IMG" convert -O engram disk.raw disk.engram 2>stderr || { cat stderr >&2; fail "convert"; }
[ ! -s stderr ] || { cat stderr >&2; fail "convert says something"; }
spec verify disk.engram
spec raw disk.engram back.raw
same back.raw disk.raw "the disk read back"
spec files disk.engram >files.json
python3 - files.json mnt disk.engram "$tests" <<'PYTHON' || fail "manifest"
import json, os, stat, subprocess, sys
listing, tree, engram, tests = sys.argv[1:]
found = {e['path']: e for e in map(json.loads, open(listing))}
want = {''}
for folder, dirs, files in os.walk(os.fsencode(tree)):
    for name in dirs + files:
        path = os.path.relpath(os.path.join(folder, name), os.fsencode(tree))
        want.add(path.decode('utf-8', 'surrogateescape'))
assert set(found) == want, set(found) ^ want
assert found['clone-5']['digest'] == found['twin']['digest'] != found['clone-6']['digest']
names = ['xattrs/one', 'content/pieces']
out = subprocess.run([sys.executable, tests + '/engram_spec.py', 'digest', engram] +
                     [os.path.join(tree, n) for n in names],
                     check=True, capture_output=True, text=True).stdout.split()
for name, digest in zip(names, out):
    assert found[name]['digest'] == digest, name
for path, entry in found.items():
    st = os.lstat(os.path.join(os.fsencode(tree), os.fsencode(path)))
    assert entry['mode'] == st.st_mode, path
    assert not stat.S_ISREG(st.st_mode) or entry['digest'] or entry['flags'] & 2, path
PYTHON
[ "$(stat -c %s disk.engram)" -lt 200000000 ] || fail "shared blocks are stored more than once"
"$EMBR_IMG" ls -R --output=json disk.engram /p1 >again.json
same_json again.json list.json "ls of the engram"

# Without what is free, it is the same filesystem.
"$EMBR_IMG" convert -O engram -o free_space=drop disk.raw drop.engram
"$EMBR_IMG" check -q drop.engram || fail "check"
[ "$(stat -c %s drop.engram)" -lt $(($(stat -c %s disk.engram) - 30000000)) ] ||
    fail "a deleted file is still there"
"$EMBR_IMG" convert -O raw drop.engram drop.raw
umount mnt
dump_theirs theirs
dd if=drop.raw of=image bs=1M skip=1 count=400 conv=sparse status=none
xfs_repair -n image >repair.txt 2>&1 || { cat repair.txt >&2; fail "xfs_repair -n"; }
dump_theirs after
same after theirs "files without free space"
