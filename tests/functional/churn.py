#!/usr/bin/env python3
"""churn.py DIR SEED COUNT [fast|plain]: COUNT random operations on files below DIR, the same for the
same seed: what ages a filesystem.  fast: only what ext4 can put into fast commits, each
followed by fsync, and at the end fsync of all.  plain: only what all filesystems have."""
import ctypes
import errno
import os
import random
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong)
KEEP_SIZE, PUNCH_HOLE, COLLAPSE, ZERO, INSERT = 1, 3, 8, 16, 32
JOURNAL_MAGIC = b'\xc0\x3b\x39\x98'

os.chdir(sys.argv[1])
rng = random.Random(int(sys.argv[2]))
files, dirs = [], ['.']
serial = 0


def fresh(parent):
    global serial
    serial += 1
    return '%s/%s%s-%d' % (parent, sys.argv[2], 'name' * rng.randrange(12), serial)


def some_bytes():
    length = rng.choice((1, 30, 100, 1000, 4096, 20000, 150000))
    start = JOURNAL_MAGIC if rng.random() < 0.3 else b''
    return start + rng.randbytes(rng.randrange(1, length + 1))


def write():
    with open(rng.choice(files), 'r+b') as file:
        file.seek(rng.choice((0, 4096, rng.randrange(1 << 20), rng.randrange(1 << 24))))
        file.write(some_bytes())
        if rng.random() < 0.2:
            os.fsync(file.fileno())


def create():
    path = fresh(rng.choice(dirs))
    with open(path, 'wb') as file:
        file.write(some_bytes())
    files.append(path)


def truncate():
    os.truncate(rng.choice(files), rng.choice((0, 1, 59, 4096, rng.randrange(1 << 20))))


def allocate():
    fd = os.open(rng.choice(files), os.O_RDWR)
    mode = rng.choice((0, KEEP_SIZE, PUNCH_HOLE, PUNCH_HOLE, ZERO, COLLAPSE, INSERT))
    at, length = rng.randrange(64) * 65536, rng.randrange(1, 8) * 65536
    if mode in (0, KEEP_SIZE, PUNCH_HOLE):
        at += rng.randrange(4096)
    libc.fallocate(fd, mode, at, length)        # what is refused is refused
    os.close(fd)


def rename():
    i = rng.randrange(len(files))
    path = fresh(rng.choice(dirs))
    os.rename(files[i], path)
    files[i] = path


def remove():
    os.unlink(files.pop(rng.randrange(len(files))))


def mkdir():
    path = fresh(rng.choice(dirs))
    os.mkdir(path)
    dirs.append(path)


def rmdir():
    try:
        path = rng.choice(dirs[1:])
        os.rmdir(path)
        dirs.remove(path)
    except (OSError, IndexError):
        pass


def link():
    path = fresh(rng.choice(dirs))
    os.link(rng.choice(files), path)
    files.append(path)


def symlink():
    path = fresh(rng.choice(dirs))
    os.symlink('x' * rng.randrange(1, 300), path)


def attribute():
    os.setxattr(rng.choice(files), 'user.%d' % rng.randrange(5),
                rng.randbytes(rng.randrange(1, 150)))


OPERATIONS = [create] * 6 + [write] * 8 + [truncate] * 2 + [allocate] * 3 + \
    [rename, remove, remove, remove, mkdir, rmdir, link, symlink, attribute]
fast = sys.argv[4:] == ['fast']
if fast:
    OPERATIONS = [create] * 4 + [write] * 6 + [truncate, truncate, rename, remove, link, mkdir]
elif sys.argv[4:] == ['plain']:
    OPERATIONS = [create] * 6 + [write] * 8 + [truncate] * 2 + [rename, mkdir, rmdir] + \
        [remove] * 3
for i in range(int(sys.argv[3])):
    operation = rng.choice(OPERATIONS) if files else create
    try:
        operation()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.ENOTSUP, errno.EMLINK):
            raise
    if fast and files:
        for path in rng.sample(files, 1) if i + 1 < int(sys.argv[3]) else files:
            fd = os.open(path, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)
