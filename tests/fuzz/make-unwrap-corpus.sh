#!/bin/bash
# Makes the seeds in corpus/unwrap: compressed streams of every kind that is looked into.
set -euo pipefail
out=$(realpath "$(dirname "$0")")/corpus/unwrap
mkdir -p "$out"
python3 - "$out" <<'END'
import gzip, io, os, random, subprocess, sys, zlib

out = sys.argv[1]
rng = random.Random(1)
words = ['interface', 'address', 'enabled', '127.0.0.1', '#', 'eth0']
text = ''.join('%s %s=%d\n' % (rng.choice(words), rng.choice(words), rng.randrange(10**6))
               for _ in range(60)).encode()
sparse = text[:500] + bytes(12000) + text[500:]

def put(name, data):
    with open(os.path.join(out, name), 'wb') as file:
        file.write(data)

def member(data, level=9, name=None, strategy=zlib.Z_DEFAULT_STRATEGY):
    if name:
        buffer = io.BytesIO()
        with gzip.GzipFile(name, 'wb', level, buffer, 0) as file:
            file.write(data)
        return buffer.getvalue()
    c = zlib.compressobj(level, zlib.DEFLATED, 31, 9, strategy)
    return c.compress(data) + c.flush()

def zstd(data, *options):
    return subprocess.run(['zstd', '-q', '-c', *options], input=data, check=True,
                          capture_output=True).stdout

put('gzip', member(text))
put('gzip-name', member(text, name='name'))
put('gzip-stored', member(text[:300], 0))
put('gzip-fixed', member(text, strategy=zlib.Z_FIXED))
put('gzip-members', member(text[:100]) + member(b'') + member(text[100:]))
put('gzip-garbage', member(text) + b'garbage')
put('gzip-cut', member(text)[:-5])
put('gzip-zeroes', member(sparse))
put('gzip-bomb', member(bytes(2 << 20) + text))
put('zlib', zlib.compress(text, 9))
put('zlib-twice', zlib.compress(text[:50], 9) + zlib.compress(text[50:100], 9))
put('zstd', zstd(text, '-19', '--check'))
put('zstd-frames', zstd(text[:100]) + b'\x50\x2a\x4d\x18\x03\0\0\0abc' + zstd(text[100:]))
put('zstd-skippable', b'\x5f\x2a\x4d\x18\x03\0\0\0abc' + zstd(text[:200]))
put('zstd-bomb', zstd(bytes(2 << 20) + text, '-19'))
put('zstd-no-size', zstd(text, '--no-content-size', '--long=24'))
END
