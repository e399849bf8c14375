#!/usr/bin/env python3
"""clone.py DIR SEED BLOCK COUNT: COUNT times, some blocks of one file below DIR become some of
another's, shared (FICLONERANGE); the same for the same seed."""
import errno
import fcntl
import os
import random
import struct
import sys

top, seed, block, count = sys.argv[1], *map(int, sys.argv[2:])
rng = random.Random(seed)
files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(top)
               for name in names if os.path.isfile(os.path.join(folder, name))
               and not os.path.islink(os.path.join(folder, name)))
for _ in range(count):
    source, target = rng.choice(files), rng.choice(files)
    blocks = os.path.getsize(source) // block
    if not blocks:
        continue
    start = rng.randrange(blocks)
    length = rng.randrange(1, blocks - start + 1)
    try:
        with open(source, 'rb') as a, open(target, 'r+b') as b:
            fcntl.ioctl(b.fileno(), 0x4020940d, struct.pack(
                'qQQQ', a.fileno(), start * block, length * block,
                rng.randrange(2000) * block))       # FICLONERANGE
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSPC, errno.EPERM, errno.ETXTBSY):
            raise
