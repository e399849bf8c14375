#!/bin/bash
# Flipped bits: no crash, no hang; and with metadata checksums nothing wrong is said without
# an error, while what is not damaged is still listed.
source "$(dirname "$0")/common.sh"
need mke2fs e2fsck python3

fs_dump=$EMBR_BUILD/tests/functional/fs-dump
tests=$EMBR_SOURCE/tests/functional
mkdir src
python3 "$tests/make-tree.py" src plain many=1500 block=1024 xattr=600 2>/dev/null

cat >damage.py <<'END'
import random, re, subprocess, sys

fs_dump, image, checked, rounds = sys.argv[1], sys.argv[2], sys.argv[3] == 'checked', int(sys.argv[4])
original = open(image, 'rb').read()


def dump(path, *options):
    run = subprocess.run([fs_dump, *options, path], capture_output=True, text=True,
                         errors='replace', timeout=60)
    if run.returncode not in (0, 1) or 'Sanitizer' in run.stderr or 'runtime error' in run.stderr:
        sys.exit('fs-dump %s: exit status %d\n%s' % (path, run.returncode, run.stderr[-3000:]))
    files = {}
    for row in run.stdout.splitlines():
        # Bytes of files, and of long targets, have no checksums.
        files[row.split()[0]] = re.sub(' (sum|target)=[^ ]*', '', row)
    return files, run


whole, run = dump(image, '-b')
ranges = [(int(at), int(length)) for kind, at, length in re.findall(
    r'^use (\w+) (\d+) (\d+)$', run.stdout, re.M) if kind in ('metadata', 'used')]
whole = {path: row for path, row in whole.items() if path != 'use'}
listed = []
for seed in range(rounds):
    rng = random.Random(seed)
    data = bytearray(original)
    for _ in range(1 << rng.randrange(7)):
        while True:
            at, length = rng.choice(ranges)
            at += rng.randrange(length)
            if any(original[at & ~63:(at & ~63) + 64]):
                break
        data[at] ^= 1 << rng.randrange(8)
    with open('damaged', 'wb') as file:
        file.write(data)
    files, run = dump('damaged')
    if not checked:
        continue
    good = 0
    for path, row in files.items():
        if re.search(' error( |$)', row):
            continue
        if whole.get(path) != row:
            sys.exit('seed %d: silently wrong:\n%s\n%s\n%s' % (seed, row, whole.get(path), run.stderr))
        good += 1
    if files and good < len(whole) and not re.search('fs-dump: |warning: ', run.stderr):
        sys.exit('seed %d: %d of %d files, and no error' % (seed, good, len(whole)))
    listed.append(good)
if checked:
    median = sorted(listed)[rounds // 2]
    print('%d damaged images; of %d files %d are still listed in half of them' %
          (rounds, len(whole), median))
    if median * 4 < len(whole):
        sys.exit('too many files are lost')
END

# check NAME ROUNDS MKE2FS-OPTION...
check()
{
    local name=$1 rounds=$2 checked=unchecked
    shift 2
    rm -f image
    truncate -s 24M image
    mke2fs -q -F -b 1024 -N 2000 -d src "$@" image 2>mke2fs.txt || { cat mke2fs.txt >&2; fail "mke2fs"; }
    e2fsck -fyD image >/dev/null 2>&1 || [ $? = 1 ]
    dumpe2fs -h image 2>/dev/null | grep -q metadata_csum && checked=checked
    python3 damage.py "$fs_dump" image "$checked" "$rounds" || fail "$name"
}

check checksums 60 -t ext4
check checksums-inline 40 -t ext4 -O inline_data,^has_journal
check no-checksums 60 -t ext4 -O ^metadata_csum
check ext2 40 -t ext2
