#!/bin/bash
# What is not damaged is got out of a damaged image: of an engram all but the chunks of
# the damaged frames, of other images all but the blocks that cannot be read.
source "$(dirname "$0")/common.sh"
need mke2fs python3 cmp qemu-img qemu-io

mkdir tree
python3 "$EMBR_SOURCE/tests/functional/make-tree.py" tree plain many=50
for i in 1 2 3 4 5 6; do
    random_file tree/file$i 1500000 $i
done
truncate -s 48M disk.raw
mke2fs -q -F -t ext4 -b 4096 -d tree disk.raw </dev/null
"$EMBR_IMG" convert -O engram disk.raw good.engram

# damage WHAT: damaged.engram is good.engram with a damaged frame or map; prints the ranges
# of the disk that are lost, by the specification.
cat >damage.py <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import engram_spec
what, seed = sys.argv[2], int(sys.argv[3])
engram = engram_spec.Engram('good.engram')
image = engram.image(0)
segments = list(engram.segments(image))
if what == 'frame':
    frames = [frame for frame, _ in engram.directory()]
    refs = {frames[i % len(frames)] for i in (seed, seed * 3 + 1)}
else:
    maps = [ref for _, _, ref, _ in segments if ref != engram_spec.NONE]
    refs = {maps[seed % len(maps)]}
with open('damaged.engram', 'r+b') as file:
    for ref in refs:
        file.seek(ref[0] + 32 + (ref[1] - 32) // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 0x55]))
for start, size, ref, _ in segments:
    if what == 'map':
        if ref in refs:
            print(start, size)
        continue
    for kind, length, frame, position, skip in engram.entries(ref, size):
        if kind == engram_spec.CHUNK and frame in refs:
            print(start, length)
        start += length
END
# expect: the disk with zeroes in the ranges in `lost`.
cat >expect.py <<'END'
data = bytearray(open('disk.raw', 'rb').read())
total = end = 0
for start, length in sorted(tuple(map(int, line.split())) for line in open('lost')):
    data[start:start + length] = bytes(length)
    total += length
open('expected.raw', 'wb').write(data)
print(total)
END

for what in frame map; do
    for seed in 0 1 4; do
        cp good.engram damaged.engram
        python3 damage.py "$EMBR_SOURCE/tests/functional" $what $seed >lost
        bytes=$(python3 expect.py)
        [ "$bytes" -gt 0 ] || fail "nothing is lost"
        expect_failure 1 'checksum|cannot' "$EMBR_IMG" convert -O raw damaged.engram got.raw
        [ ! -e got.raw ] || fail "what failed left a file"
        "$EMBR_IMG" convert --salvage -O raw damaged.engram got.raw 2>stderr ||
            { cat stderr >&2; fail "$what $seed: salvage"; }
        same expected.raw got.raw "$what $seed: what was salvaged"
        expect_failure 2 'ERROR' "$EMBR_IMG" check damaged.engram
        python3 - <<'END' || { cat .stderr >&2; fail "$what $seed: what check says is lost"; }
import re
lost = [tuple(map(int, line.split())) for line in open('lost')]
merged = []
for start, length in sorted(lost):
    if merged and merged[-1][0] + merged[-1][1] == start:
        merged[-1][1] += length
    else:
        merged.append([start, length])
found = [[int(at, 16), int(n)] for n, at in re.findall(
    r"image 'disk.raw': (\d+) bytes of the disk at offset (0x[0-9a-f]+) are lost",
    open('.stderr').read())]
assert found == merged, (found, merged)
END
        grep -q "$bytes bytes of 'damaged.engram' in all are lost" stderr || {
            cat stderr >&2
            fail "$what $seed: not $bytes bytes"
        }
        grep -q 'bytes at offset 0x[0-9a-f]* are lost and read as zeroes: .*damaged.engram' stderr ||
            fail "$what $seed: where is not said"
        "$EMBR_IMG" convert -q --salvage -O engram damaged.engram again.engram 2>stderr
        "$EMBR_IMG" compare -q expected.raw again.engram || fail "$what $seed: an engram of it"
        rm got.raw again.engram
    done
done
"$EMBR_IMG" convert --salvage -O raw good.engram got.raw 2>stderr
[ ! -s stderr ] || fail "a good engram: $(cat stderr)"
same disk.raw got.raw "a good engram"

# A cluster of a qcow2 image whose place is none.
qemu-img create -q -f qcow2 -o cluster_size=64k bad.qcow2 4M
qemu-io -c 'write -P 7 0 4M' bad.qcow2 >/dev/null
python3 - <<'END'
import struct
with open('bad.qcow2', 'r+b') as file:
    file.seek(40)
    l1, = struct.unpack('>Q', file.read(8))
    file.seek(l1)
    l2 = struct.unpack('>Q', file.read(8))[0] & 0x00fffffffffffe00
    for cluster, entry in ((5, 1 << 63 | 0x10200), (9, 1 << 63 | 0x20200)):
        file.seek(l2 + 8 * cluster)
        file.write(struct.pack('>Q', entry))
END
expect_failure 1 '.' "$EMBR_IMG" convert -O raw bad.qcow2 got2.raw
"$EMBR_IMG" convert --salvage -O raw bad.qcow2 got2.raw 2>stderr
python3 - <<'END' || fail "salvaged qcow2"
expected = bytearray(b'\7' * (4 << 20))
for cluster in (5, 9):
    expected[cluster << 16:(cluster + 1) << 16] = bytes(1 << 16)
assert open('got2.raw', 'rb').read() == expected
END
grep -q "131072 bytes of 'bad.qcow2' in all are lost" stderr || fail "$(cat stderr)"

# Files: those that are damaged are left out, or have zeroes in the place.
cp good.engram damaged.engram
python3 damage.py "$EMBR_SOURCE/tests/functional" frame 2 >lost
expect_failure 1 'is left out: .*damaged.engram' \
    "$EMBR_IMG" extract --skip-damaged -C skipped damaged.engram /
expect_failure 1 'what cannot be read becomes zeroes' \
    "$EMBR_IMG" extract -C zeroed damaged.engram /
expect_failure 2 'ERROR' "$EMBR_IMG" check damaged.engram
sed -n "s/^ERROR image 'disk.raw': \(.*\): [0-9]* of [0-9]* bytes are lost$/\1/p" .stderr | sort >named
(cd zeroed && find . -type f ! -path $'*\n*' ! -size +4M | LC_ALL=C grep -a '^[ -~]*$' | while IFS= read -r name; do
    cmp -s "$name" "../tree/$name" || echo "${name#.}"
done) | sort >different
[ -s named ] || fail "check names no files: $(cat .stderr)"
comm -23 different named >missed
[ ! -s missed ] || fail "check does not name $(cat missed)"
kept=0 left=0
for i in 1 2 3 4 5 6; do
    [ -e zeroed/file$i ] || fail "file$i was not extracted"
    if [ -e skipped/file$i ]; then
        same tree/file$i skipped/file$i "a file that is not damaged"
        kept=$((kept + 1))
    else
        cmp -s tree/file$i zeroed/file$i && fail "file$i was left out for nothing"
        left=$((left + 1))
    fi
done
[ $left -gt 0 ] && [ $kept -gt 0 ] || fail "$kept files kept, $left left out"
