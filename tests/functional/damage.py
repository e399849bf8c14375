#!/usr/bin/env python3
"""damage.py FS-DUMP IMAGE checked|unchecked ROUNDS [BYTES]: flips bits of IMAGE (in its first
BYTES), which comes out as it was, and looks at what FS-DUMP says.  checked: all metadata has
checksums."""
import mmap
import random
import re
import subprocess
import sys

fs_dump, image, checked, rounds = sys.argv[1], sys.argv[2], sys.argv[3] == 'checked', int(sys.argv[4])
file = open(image, 'r+b')
data = mmap.mmap(file.fileno(), 0)


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
if len(sys.argv) > 5:
    limit = int(sys.argv[5])
    ranges = [(at, min(length, limit - at)) for at, length in ranges if at < limit]
whole = {path: row for path, row in whole.items() if path != 'use'}
listed = []
for seed in range(rounds):
    rng = random.Random(seed)
    before = []
    for _ in range(1 << rng.randrange(7)):
        while True:
            at, length = rng.choice(ranges)
            at += rng.randrange(length)
            if any(data[at & ~63:(at & ~63) + 64]):
                break
        before.append((at, data[at]))
        data[at] ^= 1 << rng.randrange(8)
    data.flush()
    files, run = dump(image)
    for at, byte in reversed(before):
        data[at] = byte
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
