#!/bin/bash
# Searching a disk of many files by the index of their vectors: it is as specified, finds
# what looking at all of them finds, survives compacting; several engrams at once, of
# which some cannot be searched.
source "$(dirname "$0")/common.sh"
need mke2fs python3

tests=$EMBR_SOURCE/tests/functional

# 60 families of 40 files that share about half of their words; some files twice.
python3 - <<'END'
import os, random
rng = random.Random(5)
letters = 'abcdefghijklmnopqrstuvwxyz'
def words(n):
    return [''.join(rng.choices(letters, k=rng.randint(4, 9))) for _ in range(n)]
def text(*lists):
    return ' '.join(rng.choice(rng.choice(lists)) for _ in range(150)).encode()
for family in range(60):
    folder = f'tree/family{family}'
    os.makedirs(folder)
    common = words(60)
    for i in range(40):
        content = text(common, words(60))
        for name in (f'file{i}', f'copy{i}')[:1 + (i % 10 == 0)]:
            with open(f'{folder}/{name}', 'wb') as file:
                file.write(content)
os.makedirs('queries')
for q in range(12):
    with open(f'tree/family{q * 5}/file{q}', 'rb') as file:
        content = file.read()
    with open(f'queries/{q}', 'wb') as file:
        file.write(content[:200] + text(words(40))[:150] + content[350:])
END
truncate -s 32M disk.raw
mke2fs -q -F -t ext4 -b 4096 -d tree disk.raw </dev/null
"$EMBR_IMG" convert -O engram disk.raw disk.engram
"$EMBR_IMG" check disk.engram >/dev/null || fail "check"
spec()
{
    python3 "$tests/engram_spec.py" "$@" ||
        { [ $? = 77 ] && skip "no libzstd or libxxhash"; fail "spec $*"; }
}
spec verify disk.engram
spec objects disk.engram >objects
for type in 16 17; do
    grep -qE "^[0-9]+ $type " objects || fail "no object of type $type"
done

# The same disk, the same index.
offset() { awk -v type="$1" '$2 == type { print $1, $4; exit }' "$2"; }
"$EMBR_IMG" convert -O engram disk.raw again.engram
spec objects again.engram >objects.again
for type in 16 17; do
    read -r at bytes < <(offset $type objects)
    read -r at_again bytes_again < <(offset $type objects.again)
    cmp -s <(tail -c +$((at + 33)) disk.engram | head -c "$bytes" | tail -c +128) \
        <(tail -c +$((at_again + 33)) again.engram | head -c "$bytes_again" | tail -c +128) ||
        fail "objects of type $type differ"
done

# What is found by the index is what is found without, for what is worth finding.
for q in {0..11}; do
    "$EMBR_IMG" query -k 5 --min-similarity 0.25 disk.engram queries/$q >index.out
    "$EMBR_IMG" query -k 5 --min-similarity 0.25 --exact disk.engram queries/$q >exact.out
    grep -q "/family$((q * 5))/" index.out || fail "query $q finds nothing: $(cat index.out)"
    [ "$(head -n 1 index.out)" = "$(head -n 1 exact.out)" ] ||
        fail "query $q: $(head -n 1 index.out), not $(head -n 1 exact.out)"
    # A line of the one is a line of the other, but for those that are missed.
    [ -z "$(grep -vxFf exact.out index.out | awk -v l="$(tail -n 1 exact.out)" '$1 > l')" ] ||
        fail "query $q: similarities are not exact: $(cat index.out)"
done

# The copies of a content are one hit, unless all are asked for.
"$EMBR_IMG" query -k 1 disk.engram tree/family7/file10 >out
grep -qE '^1\.000 = .* /family7/copy10 \(\+1\)$' out || fail "copies: $(cat out)"
"$EMBR_IMG" query --all -k 2 disk.engram tree/family7/file10 >out
grep -qE '^1\.000 = .* /family7/copy10$' out && grep -qE '^1\.000 = .* /family7/file10$' out ||
    fail "--all: $(cat out)"
"$EMBR_IMG" query -k 1 --output=json disk.engram again.engram tree/family7/file10 >out
python3 -c 'import json; h, = json.load(open("out")); assert h["copies"] == 3 and \
    h["engram"] == "disk.engram" and h["path"] == "/family7/copy10", h' || fail "two engrams"

# Compacting keeps it.
"$EMBR_IMG" compact -q again.engram compact.engram
spec verify compact.engram
spec objects compact.engram >objects.compact
grep -qE "^[0-9]+ 16 " objects.compact || fail "compacting loses the index"
"$EMBR_IMG" query -k 3 compact.engram queries/3 | sed 's/compact\.engram/disk.engram/' >out
"$EMBR_IMG" query -k 3 disk.engram queries/3 >want
same out want "query of the compacted engram"

# An index that may be out of date is not used: the bit is gone, and the index nonsense.
read -r at bytes < <(offset 16 objects)
cp disk.engram stale.engram
python3 - "$tests" "$at" <<'END'
import struct, sys
sys.path.insert(0, sys.argv[1])
import engram_spec
with open('stale.engram', 'r+b') as file:
    slot = bytearray(file.read(4096))
    assert struct.unpack_from('<Q', slot, 32)[0] & 2
    struct.pack_into('<Q', slot, 32, 0)
    struct.pack_into('<Q', slot, 4088, engram_spec.checksum(slot[:4088]))
    file.seek(0)
    file.write(slot)
    file.seek(int(sys.argv[2]) + 40)
    file.write(b'nonsense')
END
"$EMBR_IMG" query -k 3 stale.engram queries/3 | sed 's/stale\.engram/disk.engram/' >out
"$EMBR_IMG" query --exact -k 3 disk.engram queries/3 >want
same out want "query without an index"

# Where it is damaged, that is said; the others are searched, and the exit status tells.
for type in 16 17; do
    read -r at bytes < <(offset $type objects)
    cp disk.engram bad.engram
    for ((i = 0; i < 40; i++)); do
        printf '\xa5\x5a\xa5' |
            dd of=bad.engram bs=1 seek=$((at + 40 + i * bytes / 40)) conv=notrunc status=none
    done
    expect_failure 1 'bad.engram: .*offset 0x' "$EMBR_IMG" query bad.engram queries/3
    [ "$(wc -l <.stderr)" = 1 ] || { cat .stderr >&2; fail "more than one error"; }
    [ ! -s .stdout ] || fail "hits in spite of an error"
    expect_failure 2 'bad.engram: .*offset 0x' \
        "$EMBR_IMG" query -k 3 bad.engram disk.engram queries/3
    "$EMBR_IMG" query -k 3 disk.engram queries/3 >want
    same .stdout want "hits of the other engram"
    expect_failure 2 'offset 0x' "$EMBR_IMG" check bad.engram
done
expect_failure 2 "nowhere.engram.*No such file" \
    "$EMBR_IMG" query -k 3 disk.engram nowhere.engram queries/3
same .stdout want "hits beside an engram that is not there"
expect_failure 1 "disk.raw: .*no engram magic" \
    "$EMBR_IMG" query disk.raw nowhere.engram queries/3
[ "$(wc -l <.stderr)" = 2 ] || { cat .stderr >&2; fail "each is named"; }

# An engram of other vectors is not compared, and says why; with the right ones it is.
# Its manifest, image record and commit record are made anew behind its end.
python3 - "$tests" <<'END'
import struct, sys
sys.path.insert(0, sys.argv[1])
import engram_spec as spec
for name, at, value in (('encoding', 28, 99), ('dimension', 24, 1024)):
    engram = spec.Engram('disk.engram')
    data = bytearray(open('disk.engram', 'rb').read()[:engram.slot['end']])
    def add(kind, payload):
        offset = len(data)
        head = b'EOBJ' + struct.pack('<BBBBII', kind, 0, 0, 0, len(payload), len(payload))
        head += struct.pack('<Q', spec.checksum(payload))
        data.extend(head + struct.pack('<Q', spec.checksum(head)) + payload)
        data.extend(bytes(-len(data) % 8))
        return struct.pack('<QII', offset, 32 + len(payload), len(payload))
    manifest = bytearray(engram.load(engram.image(0)['manifest'], spec.MANIFEST))
    struct.pack_into('<I', manifest, at, value)
    record = bytearray(engram.load(engram.images[0][0], spec.IMAGE))
    record[64:80] = add(spec.MANIFEST, bytes(manifest))
    record[80:96] = bytes(16)                       # without an index
    commit = bytearray(engram.commit)
    commit[144:160] = add(spec.IMAGE, bytes(record))
    slot = bytearray(data[:4096])
    slot[64:80] = add(spec.COMMIT, bytes(commit))
    struct.pack_into('<Q', slot, 80, len(data))
    struct.pack_into('<Q', slot, 4088, spec.checksum(slot[:4088]))
    data[:4096] = slot
    open(name + '.engram', 'wb').write(data)
END
expect_failure 1 "encoding.engram: image 'disk.raw' has hypervectors of 2048 trits in encoding 99, which do not compare" \
    "$EMBR_IMG" query encoding.engram queries/3
expect_failure 1 "dimension.engram: image 'disk.raw' has hypervectors of 1024 trits" \
    "$EMBR_IMG" query dimension.engram queries/3
expect_failure 2 "encoding.engram: " \
    "$EMBR_IMG" query -k 3 encoding.engram disk.engram dimension.engram queries/3
same .stdout want "hits beside engrams that do not compare"
[ "$(wc -l <.stderr)" = 2 ] || { cat .stderr >&2; fail "each is named"; }
