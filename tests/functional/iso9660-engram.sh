#!/bin/bash
# A disk with ISO 9660, its files listed, read, taken out and made into an engram: everything
# is as in the tree that it was made of.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/iso9660-common.sh"
need sfdisk dd
left_out="ino allocated atime ctime crtime flags fraction dir:size dir:nlink xattr:system.* xattr:user.empty"

spec()
{
    python3 "$tests/engram_spec.py" "$@" || { [ $? = 77 ] && skip "no libzstd or libxxhash"; fail "$*"; }
}

make_iso_tree many=200 longest=400000 || fail "make-tree.py"
rm -r tree/times tree/xattrs
random_file tree/original 700000 7
cp tree/original tree/twin
random_file tree/other 300000 8
yes 'all of these lines are the same' | head -c 600000 >tree/text || true
touch -d @1000000000 tree tree/*

# disk SECTORS-BEHIND OPTION...: "disk.raw" with a partition that begins with ISO 9660.
disk()
{
    local sectors
    "$@" || fail "xorriso $*"
    sectors=$(($(stat -c %s image) / 512 + 8192))
    rm -f disk.raw
    truncate -s $(((sectors + 4096) * 512)) disk.raw
    printf 'label: gpt\nstart=2048, size=%s\n' $sectors | sfdisk -q disk.raw
    dd if=image of=disk.raw bs=1M seek=1 conv=notrunc status=none
    # Not the filesystem's, and not known to be free.
    printf 'behind' | dd of=disk.raw bs=512 seek=$((2048 + sectors - 1)) conv=notrunc status=none
}

check()
{
    local name=$1
    shift
    disk "$@"
    "$EMBR_IMG" ls -R --output=json disk.raw /p1 >list.json
    python3 "$tests/tree-check.py" list tree /p1 list.json ino nlink size allocated atime \
        ctime || fail "$name: ls"
    for file in original content/sparse text names/%41; do
        "$EMBR_IMG" cat disk.raw "/p1/$file" | cmp - "tree/$file" || fail "$name: cat $file"
    done
    for dir in links types dirs content; do
        rm -rf out
        "$EMBR_IMG" extract disk.raw /p1/$dir -C out || fail "$name: extract: $dir"
        python3 "$tests/fs-tree.py" dump tree/$dir >theirs
        python3 "$tests/fs-tree.py" dump out/$dir >ours
        python3 "$tests/fs-tree.py" compare ours theirs $left_out nlink >&2 ||
            fail "$name: extract: $dir"
    done

    "$EMBR_IMG" convert -O engram disk.raw disk.engram 2>stderr ||
        { cat stderr >&2; fail "$name: convert"; }
    [ ! -s stderr ] || { cat stderr >&2; fail "$name: convert says something"; }
    spec verify disk.engram
    "$EMBR_IMG" compare -q disk.raw disk.engram || fail "$name: the engram is another disk"
    spec files disk.engram >files.json
    python3 - files.json tree disk.engram "$tests" <<'PYTHON' || fail "$name: manifest"
import json, os, stat, subprocess, sys
listing, tree, engram, tests = sys.argv[1:]
found = {e['path']: e for e in map(json.loads, open(listing))}
want = {''}
for folder, dirs, files in os.walk(os.fsencode(tree)):
    for name in dirs + files:
        path = os.path.relpath(os.path.join(folder, name), os.fsencode(tree))
        want.add(path.decode('utf-8', 'surrogateescape'))
assert set(found) == want, set(found) ^ want
assert found['original']['digest'] == found['twin']['digest'] != found['other']['digest']
names = ['original', 'other', 'text', 'content/sparse', 'content/120']
out = subprocess.run([sys.executable, tests + '/engram_spec.py', 'digest', engram] +
                     [os.path.join(tree, n) for n in names],
                     check=True, capture_output=True, text=True).stdout.split()
for name, digest in zip(names, out):
    assert found[name]['digest'] == digest, name
for path, entry in found.items():
    st = os.lstat(os.path.join(os.fsencode(tree), os.fsencode(path)))
    assert not path or entry['mode'] == st.st_mode, path
    assert not stat.S_ISREG(st.st_mode) or entry['digest'] or entry['flags'] & 2, path
PYTHON
    "$EMBR_IMG" ls -R --output=json disk.engram /p1 >again.json
    same_json again.json list.json "$name: ls of the engram"
    "$EMBR_IMG" cat disk.engram /p1/other | cmp - tree/other || fail "$name: cat of the engram"

    "$EMBR_IMG" convert -O engram -o free_space=drop disk.raw drop.engram
    "$EMBR_IMG" compare -q disk.raw drop.engram || fail "$name: what is not free is dropped"
}

# Compressed files.
zisofs()
{
    rm -f image
    xorriso -hardlinks on -outdev image -map tree / -find / -type f -exec set_filter --zisofs -- \
        -commit >xorriso.txt 2>&1 || { cat xorriso.txt >&2; return 1; }
}

check rock pack image -R --hardlinks
check zisofs zisofs
