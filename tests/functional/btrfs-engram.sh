#!/bin/bash
# A disk with Btrfs, with subvolumes, snapshots, clones and compressed files: listed, read,
# taken out and made into an engram, everything is as on the kernel's mount.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/btrfs-common.sh"
need sfdisk dd
need_btrfs_mount

spec()
{
    python3 "$tests/engram_spec.py" "$@" || { [ $? = 77 ] && skip "no libzstd or libxxhash"; fail "$*"; }
}

new_btrfs 256M
mount -o loop image mnt 2>mount.txt || skip "not mounted: $(cat mount.txt)"
btrfs subvolume create mnt/@ >/dev/null
python3 "$tests/make-tree.py" mnt/@ block=4096 many=300 xattr=3500 target=3500 2>/dev/null
random_file mnt/@/original 12000000 7
random_file mnt/deleted 20000000 8
for i in 1 2 3 4 5 6 7 8; do
    cp --reflink=always mnt/@/original mnt/@/clone-$i
    printf 'changed %d' $i | dd of=mnt/@/clone-$i bs=1 seek=$((i * 1200000)) conv=notrunc status=none
done
mkdir mnt/packed
chattr +c mnt/packed 2>/dev/null
python3 - mnt <<'PYTHON'
import os, random, sys
rng = random.Random(5)
words = [rng.randbytes(6).hex() for _ in range(500)]
for i, count in enumerate((10, 200, 3000, 40000, 400000)):
    with open('%s/packed/text-%d' % (sys.argv[1], i), 'w') as file:
        file.write(' '.join(rng.choices(words, k=count)))
PYTHON
sync -f mnt
for i in 1 2; do
    btrfs subvolume snapshot mnt/@ mnt/snapshot-$i >/dev/null
    cp mnt/packed/text-3 mnt/@/after-$i
done
cp --reflink=never mnt/@/clone-5 mnt/twin
sync -f mnt
rm mnt/deleted
umount mnt
btrfs inspect-internal dump-tree -t fs image >tree.txt
grep -q 'extent compression [1-3]' tree.txt || fail "nothing is compressed"
truncate -s 258M disk.raw
printf 'label: gpt\nstart=2048, size=524288\n' | sfdisk -q disk.raw
dd if=image of=disk.raw bs=1M seek=1 conv=notrunc,sparse status=none
mount -o loop,ro,subvolid=5 image mnt

"$EMBR_IMG" ls -R --output=json disk.raw /p1 >list.json
python3 "$tests/tree-check.py" list mnt /p1 list.json ino || fail "ls"
for file in @/clone-3 snapshot-2/names/%41 @/content/pieces packed/text-4; do
    "$EMBR_IMG" cat disk.raw "/p1/$file" | cmp - "mnt/$file" || fail "cat $file"
done
for dir in snapshot-1/links snapshot-1/types @/content; do
    rm -rf out
    "$EMBR_IMG" extract disk.raw "/p1/$dir" -C out || fail "extract: $dir"
    python3 "$tests/fs-tree.py" dump "mnt/$dir" >theirs
    python3 "$tests/fs-tree.py" dump "out/$(basename $dir)" >ours
    python3 "$tests/fs-tree.py" compare ours theirs ino nlink allocated ctime crtime flags \
        dir:size >&2 || fail "extract: $dir"
done

"$EMBR_IMG" convert -O engram disk.raw disk.engram 2>stderr || { cat stderr >&2; fail "convert"; }
[ ! -s stderr ] || { cat stderr >&2; fail "convert says something"; }
"$EMBR_IMG" compare disk.raw disk.engram >/dev/null || fail "compare"
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
assert found['@/clone-5']['digest'] == found['twin']['digest'] != found['@/clone-6']['digest']
assert found['packed/text-3']['digest'] == found['@/after-2']['digest']
names = ['@/xattrs/one', 'snapshot-2/content/53253', 'packed/text-3', 'packed/text-0']
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
[ "$(stat -c %s disk.engram)" -lt 70000000 ] || fail "shared blocks are stored more than once"
"$EMBR_IMG" ls -R --output=json disk.engram /p1 >again.json
same_json again.json list.json "ls of the engram"

# Without what is free, it is the same filesystem.
"$EMBR_IMG" convert -O engram -o free_space=drop disk.raw drop.engram
"$EMBR_IMG" check -q drop.engram || fail "check"
[ "$(stat -c %s drop.engram)" -lt $(($(stat -c %s disk.engram) - 15000000)) ] ||
    fail "a deleted file is still there"
"$EMBR_IMG" convert -O raw drop.engram drop.raw
umount mnt
dump_theirs theirs
dd if=drop.raw of=image bs=1M skip=1 count=256 conv=sparse status=none
btrfs check image >check.txt 2>&1 || { cat check.txt >&2; fail "btrfs check"; }
dump_theirs after
same after theirs "files without free space"
