#!/usr/bin/env python3
"""make-large.py DATA GIB OUT.qcow2: a disk of GIB GiB that is full of data and takes little room.

Its clusters of 2 MiB are those of DATA, in ever new orders, so that most is known by then and
every seam is new.  OUT.qcow2 is for reading: clusters are shared, and not counted.
"""
import os
import random
import shutil
import struct
import sys

CLUSTER = 2 << 20


def main():
    data, gib, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    have = os.path.getsize(data) // CLUSTER
    count = (gib << 30) // CLUSTER
    order, rng = [], random.Random(gib)
    while len(order) < count:
        round_ = list(range(have))
        rng.shuffle(round_)
        order += round_
    entries = CLUSTER // 8
    tables = (count + entries - 1) // entries
    first = 4 + tables
    header = struct.pack('>4sIQIIQIIQQIIQQQQII', b'QFI\xfb', 3, 0, 0, 21, gib << 30, 0, tables,
                         3 * CLUSTER, CLUSTER, 1, 0, 0, 0, 0, 0, 4, 104)
    with open(out, 'wb') as file:
        file.write(header + bytes(8))
        file.seek(CLUSTER)
        file.write(struct.pack('>Q', 2 * CLUSTER))
        file.seek(2 * CLUSTER)
        file.write(struct.pack('>H', 1) * (first + have))
        file.seek(3 * CLUSTER)
        for i in range(tables):
            file.write(struct.pack('>Q', (4 + i) * CLUSTER))
        for i in range(tables):
            file.seek((4 + i) * CLUSTER)
            for at in order[i * entries:min((i + 1) * entries, count)]:
                file.write(struct.pack('>Q', (first + at) * CLUSTER))
        file.seek(first * CLUSTER)
        with open(data, 'rb') as source:
            shutil.copyfileobj(source, file, CLUSTER)


main()
