#!/usr/bin/env python3
"""Random work on one qcow2 image by embr and by QEMU's tools in turn.

    qcow2-random.py EMBR-IMG QCOW2-CHURN SECONDS [SEED]

Runs in an empty directory. The content of the disk and of each snapshot is known at any time;
after each operation the image must be sound to both, and both must read what is known. The seed
that is printed repeats a run.
"""
import os
import random
import subprocess
import sys
import time

embr, churn, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
first_seed = int(sys.argv[4]) if len(sys.argv) > 4 else random.randrange(1 << 30)

KINDS = ['cluster_size=512', 'cluster_size=4k', '', 'extended_l2=on,cluster_size=16k',
         'compat=0.10,cluster_size=4k', 'lazy_refcounts=on,cluster_size=8k',
         'refcount_bits=64,cluster_size=1k', 'compression_type=zstd']
history = []


def run(*args, check=True):
    history.append(' '.join(args))
    done = subprocess.run(args, capture_output=True, encoding='utf-8', errors='replace')
    if check and done.returncode:
        raise RuntimeError('%s: exit status %d\n%s%s'
                           % (' '.join(args), done.returncode, done.stdout, done.stderr))
    return done


def read(path):
    with open(path, 'rb') as f:
        return bytearray(f.read())


class Image:
    def __init__(self, rng):
        self.rng = rng
        self.kind = rng.choice(KINDS)
        self.old = 'compat' in self.kind
        self.snapshots = {}
        self.bitmaps = []
        self.next = 0
        size = rng.randrange(40, 2000) * 512
        for name in os.listdir('.'):
            os.unlink(name)
        self.overlay = rng.random() < 0.3 and not self.old
        backing = []
        self.data = bytearray(size)
        if self.overlay:
            base = bytes(rng.randrange(1, 256) for _ in range(64)) * (size // 64)
            self.data = bytearray(base)
            with open('base.raw', 'wb') as f:
                f.write(base)
            backing = ['-b', 'base.raw', '-F', 'raw']
        options = ['-o', self.kind] if self.kind else []
        run(self.tool(), 'create', '-q', '-f', 'qcow2', *options, *backing, 't.qcow2', str(size))

    def tool(self):
        return self.rng.choice([embr, 'qemu-img'])

    def place(self, unit=512):
        units = len(self.data) // unit
        first = self.rng.randrange(units)
        count = self.rng.randrange(1, min(units - first, 300) + 1)
        return first * unit, count * unit

    def write(self):
        at, n = self.place()
        value = self.rng.randrange(1, 256)
        run('qemu-io', '-f', 'qcow2', '-c', 'write -P %d %d %d' % (value, at, n), 't.qcow2')
        self.data[at:at + n] = bytes([value]) * n

    def zero(self):
        at, n = self.place()
        run('qemu-io', '-f', 'qcow2', '-d', 'unmap',
            '-c', 'write -z %s %d %d' % (self.rng.choice(['', '-u']), at, n), 't.qcow2')
        self.data[at:at + n] = bytes(n)

    def discard(self):
        at, n = self.place(65536) if len(self.data) >= 65536 else (0, 512)
        run('qemu-io', '-f', 'qcow2', '-d', 'unmap', '-c', 'discard %d %d' % (at, n), 't.qcow2')
        # What is read there then is the image's choice; both tools must agree.
        run('qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', 't.qcow2', 'now.raw')
        self.data = read('now.raw')

    def churn(self):
        run(churn, 't.qcow2', 'now.raw', str(self.rng.randrange(1 << 30)),
            str(self.rng.randrange(5, 60)), *self.rng.choice([[], ['compress']]))
        self.data = read('now.raw')

    def create(self):
        if len(self.snapshots) >= 6:
            return self.delete()
        self.next += 1
        name = 'snap %d' % self.next
        run(self.tool(), 'snapshot', '-c', name, 't.qcow2')
        self.snapshots[name] = bytes(self.data)

    def apply(self):
        if not self.snapshots or self.bitmaps:
            return self.create()
        name = self.rng.choice(list(self.snapshots))
        run(self.tool(), 'snapshot', '-a', name, 't.qcow2')
        self.data = bytearray(self.snapshots[name])

    def delete(self):
        if not self.snapshots:
            return self.create()
        name = self.rng.choice(list(self.snapshots))
        run(self.tool(), 'snapshot', '-d', name, 't.qcow2')
        del self.snapshots[name]

    def resize(self):
        if self.old and self.snapshots:
            return self.write()
        # In front of a longer backing image, what is added reads as zeroes.
        size = self.rng.randrange(40, 2000) * 512
        # What a shrunk disk had in its last cluster shows again when qemu-img lets it grow.
        tool = embr if len(self.data) % 65536 and size > len(self.data) else self.tool()
        run(tool, 'resize', '-q', '--shrink', '-f', 'qcow2', 't.qcow2', str(size))
        self.data = self.data[:size] + bytes(max(0, size - len(self.data)))

    def amend(self):
        option = self.rng.choice(['refcount_bits=16', 'refcount_bits=32', 'refcount_bits=64',
                                  'lazy_refcounts=on', 'lazy_refcounts=off'])
        if self.old:
            option = 'compat=1.1'
            self.old = False
        run(self.tool(), 'amend', '-q', '-o', option, 't.qcow2')

    def bitmap(self):
        if self.old:
            return self.write()
        if len(self.bitmaps) > 2 or (self.bitmaps and self.rng.random() < 0.4):
            name = self.bitmaps.pop(self.rng.randrange(len(self.bitmaps)))
            run(self.tool(), 'bitmap', '--remove', 't.qcow2', name)
            return
        self.next += 1
        name = 'bitmap %d' % self.next
        run(self.tool(), 'bitmap', '--add', *self.rng.choice([[], ['--disable'], ['-g', '512']]),
            't.qcow2', name)
        self.bitmaps.append(name)

    def rebase(self):
        if not self.overlay or self.snapshots:
            return self.write()
        run('qemu-img', 'rebase', '-q', '-f', 'qcow2', '-b', '', 't.qcow2')
        self.overlay = False

    def commit(self):
        if not self.overlay or self.snapshots or self.bitmaps:
            return self.churn()
        run('qemu-img', 'commit', '-q', '-f', 'qcow2', 't.qcow2')

    def step(self):
        ops = [self.write, self.write, self.zero, self.discard, self.churn, self.churn,
               self.create, self.create, self.apply, self.delete, self.resize, self.amend,
               self.bitmap, self.rebase, self.commit]
        self.rng.choice(ops)()

    def verify(self, thorough):
        for tool in ('qemu-img', embr):
            done = run(tool, 'check', '-f', 'qcow2', 't.qcow2', check=False)
            if done.returncode:
                raise RuntimeError('%s check: %s%s' % (tool, done.stdout, done.stderr))
        for tool in ('qemu-img', embr) if thorough else (self.tool(),):
            self.same(tool, [], self.data, 'the disk')
        for name in self.snapshots if thorough else ():
            for tool in ('qemu-img', embr):
                self.same(tool, ['-l', 'snapshot.name=' + name], self.snapshots[name], name)

    def same(self, tool, options, expected, what):
        run(tool, 'convert', *options, '-f', 'qcow2', '-O', 'raw', 't.qcow2', 'got.raw')
        got = read('got.raw')
        if options and tool == 'qemu-img':
            # It takes the size of the disk for that of the snapshot.
            n = min(len(got), len(expected))
            got, expected = got[:n], expected[:n]
        if got != expected:
            at = next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b),
                      min(len(got), len(expected)))
            raise RuntimeError('%s, read by %s, differs at %d (%d and %d bytes)'
                               % (what, tool, at, len(got), len(expected)))


end = time.monotonic() + seconds
operations = images = 0
seed = first_seed
print('seed', first_seed, flush=True)
while True:
    history.clear()
    image = Image(random.Random(seed))
    try:
        for _ in range(image.rng.randrange(10, 40)):
            image.step()
            operations += 1
            image.verify(False)
            if time.monotonic() > end:
                break
        image.verify(True)
    except RuntimeError as error:
        sys.exit('seed %d, %s: %s\nwhat was done:\n  %s'
                 % (seed, image.kind, error, '\n  '.join(history[-25:])))
    images += 1
    seed += 1
    if time.monotonic() > end:
        break
print(operations, 'operations on', images, 'images')
