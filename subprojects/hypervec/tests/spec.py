#!/usr/bin/env python3
"""spec.py DUMP...: docs/hypervec.md once more, in another language.

Makes contents of every kind, and fails unless the command DUMP... (dump.c) has the same
vectors for them, bit by bit."""

import os
import random
import subprocess
import sys
import tempfile

M32 = 2**32 - 1
M64 = 2**64 - 1
RECENT_BITS = 12
RECENT_SLOTS = 1 << RECENT_BITS


def mix(x):
    x = ((x ^ 0x9E3779B97F4A7C15) * 0xD6E8FEB86659FD93) & M64
    x = ((x ^ (x >> 32)) * 0xD6E8FEB86659FD93) & M64
    return x ^ (x >> 32)


def sample_hash(ngram):
    low, high = ngram & M32, ngram >> 32
    value = (low * 0x9E3779B1 + high * 0x85EBCA77) & M32
    return value - 2**32 if value >= 2**31 else value


def sample_shift(length):
    shift, most = 1, 4096
    while most < length and shift < 5:
        shift, most = shift + 1, most * 2
    return shift


def ngrams(content):
    """The n-grams of one buffer that are taken, in order, with repetitions."""
    if not content:
        return []
    if len(content) < 8:
        return [int.from_bytes(content.ljust(7, b"\0") + bytes([len(content)]), "little")]
    every = [int.from_bytes(content[i:i + 8], "little") for i in range(len(content) - 7)]
    limit = 2**31 - 1 - (M32 >> sample_shift(len(content)))
    return [ngram for ngram in every if sample_hash(ngram) > limit] or every[:256]


def ends(content):
    """The n-grams of both ends of one buffer, in order, each keyed by its end."""
    if len(content) < 128:
        return
    for i in range(57):
        yield int.from_bytes(content[i:i + 8], "little") ^ 0xA0761D6478BD642F
        j = len(content) - 64 + i
        yield int.from_bytes(content[j:j + 8], "little") ^ 0xE7037ED1A0B428DB


def encode(counts, content):
    recent = [0] * RECENT_SLOTS
    dimension = len(counts)

    def add(every, weight):
        added = 0
        for ngram in every:
            value = mix(ngram)
            slot, mark = value >> (64 - RECENT_BITS), value & M32 | 1
            if recent[slot] == mark:
                continue
            recent[slot] = mark
            added += 1
            for half in (value & M32, value >> 32):
                place = half * 2 * dimension >> 32
                counts[place // 2] += -weight if place % 2 else weight
        return added

    added = add(ngrams(content), 1)
    weight = 1
    while weight < 4096 and (2 * weight + 1) ** 2 * dimension <= 8 * added:
        weight += 1
    add(ends(content), weight)


def threshold(counts, active):
    order = sorted(range(len(counts)), key=lambda i: (-abs(counts[i]), i))
    taken = {i for i in order[:active] if counts[i]}
    return [(counts[i] > 0) - (counts[i] < 0) if i in taken else 0
            for i in range(len(counts))]


def item(name, dimension):
    state = 0xCBF29CE484222325
    for byte in name:
        state = ((state ^ byte) * 0x100000001B3) & M64
    trits = []
    for _ in range(dimension // 64):
        state = (state + 0x9E3779B97F4A7C15) & M64
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & M64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
        z ^= z >> 31
        trits += [-1 if z >> i & 1 else 1 for i in range(64)]
    return trits


def to_bytes(bits):
    bits = bits + [0] * (-len(bits) % 8)
    return bytes(sum(bit << i for i, bit in enumerate(bits[at:at + 8]))
                 for at in range(0, len(bits), 8))


def pack(v):
    places = [i for i, trit in enumerate(v) if trit]
    active, dimension = len(places), len(v)
    signs = [int(v[i] < 0) for i in places]
    dense = to_bytes([abs(trit) for trit in v]) + to_bytes(signs)
    bits, next_place, low = [], 0, 0
    while active and (4 * active << low) < 2 * dimension - active:
        low += 1
    for place, sign in zip(places, signs):
        gap = place - next_place
        bits += [0] * (gap >> low) + [1, sign] + [gap >> i & 1 for i in range(low)]
        next_place = place + 1
    sparse = to_bytes(bits)
    head, out = active * 2 + (len(dense) <= len(sparse)), b""
    while head >= 128:
        out, head = out + bytes([head & 127 | 128]), head >> 7
    return out + bytes([head]) + (dense if len(dense) <= len(sparse) else sparse)


def contents(rng):
    text = b"".join(b"line %d of %s\n" % (rng.randrange(10**6), word)
                    for word in [b"interface", b"address"] * 2000)
    yield b""
    for length in (1, 7, 8, 9, 30, 300):
        yield rng.randbytes(length)
        yield bytes(length)
    yield text[:4096]
    yield text[:4097]
    yield text
    yield b"\x7fELF" + bytes(20000) + rng.randbytes(40000)
    yield rng.randbytes(48) * 1500
    yield bytes(range(256)) * 300
    for length in (127, 128, 129):
        yield text[:length]
    yield rng.randbytes(600000)


def check(dump, dimension, active, segment, files):
    arguments = [*dump, str(dimension), str(active), str(segment)]
    expected, total = [], [0] * dimension
    for place, (name, path, content) in enumerate(files):
        arguments += [name, path]
        counts = [0] * dimension
        for at in range(0, len(content), segment):
            encode(counts, content[at:at + segment])
        v, key = threshold(counts, active), item(name.encode(), dimension)
        expected += [v, key]
        for i in range(dimension):
            total[(i + place) % dimension] += v[i] * key[i]
    expected.append(threshold(total, active))
    lines = subprocess.run(arguments, check=True, capture_output=True,
                           text=True).stdout.split()
    assert len(lines) == len(expected), (len(lines), len(expected))
    for number, (line, v) in enumerate(zip(lines, expected)):
        assert line == pack(v).hex(), f"dimension {dimension}, vector {number} differs"


def main(dump):
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for content in contents(rng):
            path = os.path.join(folder, str(len(files)))
            with open(path, "wb") as file:
                file.write(content)
            files.append(("näme %d" % len(files), path, content))
        check(dump, 2048, 256, 4 << 20, files)
        check(dump, 512, 512, 10000, files)
        check(dump, 1536, 100, 4 << 20, files)
        check(dump, 32768, 4096, 1 << 16, files)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
