#!/bin/bash
# Encoding by recall: what is like something else is stored as a correction of it, within an
# image, across images, and across appends; damage costs what depends on it and no more.
source "$(dirname "$0")/common.sh"
need mke2fs python3 cmp

# tree1 and tree2: two versions of files that compress, tree3 a third one.
cat >trees.py <<'END'
import os, random
words = [bytes(random.Random(i).choices(range(97, 123), k=random.Random(i).randint(3, 12)))
         for i in range(4000)]
def text(seed, size):
    r, out = random.Random(seed), []
    while size > 0:
        out.append(r.choice(words))
        size -= len(out[-1]) + 1
    return bytearray(b' '.join(out))
files = {'lib%d' % i: text(i, 300000) for i in range(5)}
for version in range(1, 4):
    os.makedirs('tree%d/usr/lib' % version)
    for name, data in files.items():
        if version > 1:             # here and there, a byte: most chunks are new
            r = random.Random(name + str(version))
            for at in range(0, len(data) - 2000, 3000):
                data[at + r.randrange(2000)] = 48 + version
            data[1000:1000] = b'more of it, version %d' % version
        with open('tree%d/usr/lib/%s' % (version, name), 'wb') as f:
            f.write(data)
END
python3 trees.py
for i in 1 2 3; do
    truncate -s 16M disk$i.raw
    mke2fs -q -F -t ext4 -b 4096 -d tree$i disk$i.raw </dev/null
done

# exact ENGRAM NAME=DISK...
exact()
{
    local engram=$1 pair
    shift
    "$EMBR_IMG" check -q "$engram" || fail "$engram: check"
    for pair; do
        "$EMBR_IMG" compare -q -l "${pair%=*}" "$engram" "${pair#*=}" || fail "$engram: $pair"
    done
    python3 "$EMBR_SOURCE/tests/functional/engram_spec.py" verify "$engram" >counts ||
        fail "$engram is not as specified"
}
corrections() { sed -nE 's/.* ([0-9]+) corrections/\1/p' counts; }
size() { stat -c %s "$1"; }

# stat ENGRAM IMAGE EXPRESSION: of s, the statistics of the image of that number
stat_of()
{
    "$EMBR_IMG" info --output=json "$1" | python3 -c '
import json, sys
s = json.load(sys.stdin)["format-specific"]["data"]["images"][int(sys.argv[1])]["stats"]
sys.exit(not eval(sys.argv[2]))' "$2" "$3"
}

"$EMBR_IMG" convert -O engram -o image=one disk1.raw v.engram
first=$(size v.engram)
"$EMBR_IMG" convert -O engram --append -o image=two disk2.raw v.engram
second=$(($(size v.engram) - first))
"$EMBR_IMG" convert -O engram --append -o image=three disk3.raw v.engram
third=$(($(size v.engram) - first - second))
exact v.engram one=disk1.raw two=disk2.raw three=disk3.raw
[ "$(corrections)" -gt 0 ] || fail "nothing is a correction"
[ "$second" -lt $((first / 5)) ] || fail "second version: $second bytes, the first $first"
[ "$third" -lt $((first / 5)) ] || fail "third version: $third bytes, the first $first"
stat_of v.engram 1 's["delta"]["bytes"] > 900000 > s["verbatim"]["bytes"]' || fail "stats"
stat_of v.engram 1 'all(p["in"] == p["same"] + p["zero"] + p["delta"] + p["verbatim"]
    for p in s["profiles"])' || fail "stats of profiles"

# effort=fast does not recall, and neither do appends to it.
"$EMBR_IMG" convert -O engram -o image=one,effort=fast disk1.raw fast.engram
"$EMBR_IMG" convert -O engram --append -o image=two disk2.raw fast.engram
exact fast.engram one=disk1.raw two=disk2.raw
[ "$(corrections)" = 0 ] || fail "effort=fast makes corrections"
"$EMBR_IMG" convert -O engram -o image=one,effort=max disk1.raw max.engram
"$EMBR_IMG" convert -O engram --append -o image=two disk2.raw max.engram
exact max.engram one=disk1.raw two=disk2.raw
[ "$(corrections)" -gt 0 ] || fail "effort=max makes no corrections"

# Without the image that is recalled: its frames stay as long as that is the smaller way.
cp v.engram less.engram
"$EMBR_IMG" snapshot -d one less.engram
exact less.engram two=disk2.raw three=disk3.raw
"$EMBR_IMG" compact -q less.engram compacted.engram
exact compacted.engram two=disk2.raw three=disk3.raw
[ "$(size compacted.engram)" -lt "$(size less.engram)" ] || fail "compacting makes it larger"
"$EMBR_IMG" convert -O engram --append -o image=one disk1.raw compacted.engram
exact compacted.engram two=disk2.raw three=disk3.raw one=disk1.raw
stat_of compacted.engram 2 's["verbatim"]["bytes"] < 700000' || {
    "$EMBR_IMG" info compacted.engram >&2
    fail "what was compacted is not recalled"
}
cp v.engram alone.engram
"$EMBR_IMG" snapshot -d one alone.engram
"$EMBR_IMG" snapshot -d two alone.engram
"$EMBR_IMG" compact -q alone.engram
exact alone.engram three=disk3.raw

# A reader that does not know corrections refuses: the feature bit says so.
python3 - v.engram fast.engram <<'END' || fail "feature bits"
import struct, sys
for name, bits in zip(sys.argv[1:], (2, 0)):
    slots = open(name, 'rb').read(8192)
    best = max(range(2), key=lambda i: struct.unpack_from('<Q', slots, 4096 * i + 56)[0])
    assert struct.unpack_from('<Q', slots, 4096 * best + 16)[0] == bits, name
END

# damage ENGRAM TYPE CODEC: of the first such object, a byte
damage()
{
    python3 - "$EMBR_SOURCE/tests/functional" "$@" <<'END'
import sys
sys.path.insert(0, sys.argv[1])
import engram_spec
name, kind, codec = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
engram = engram_spec.Engram(name)
offset = 8192
while offset < engram.slot['end']:
    found = engram.header(offset)
    if found[:2] == (kind, codec) and found[4] > 20000 * (kind == 1 and codec == 1):
        break
    offset += (32 + found[4] + 7) // 8 * 8
with open(name, 'r+b') as f:
    f.seek(offset + 32 + found[4] // 2)
    byte = f.read(1)[0]
    f.seek(-1, 1)
    f.write(bytes([byte ^ 0x40]))
END
}

# A frame that others recall: they are lost with it, in all images, and nothing else.
cp v.engram bad.engram
damage bad.engram 1 1
"$EMBR_IMG" check bad.engram >text 2>&1 && fail "damage is not found"
grep -q "cannot be recalled" text || fail "corrections of it are not lost: $(cat text)"
for image in one two; do
    grep -qE "image '$image': /usr/lib/lib[0-9]: [0-9]+ of [0-9]+ bytes are lost" text ||
        fail "files of $image: $(cat text)"
done
for image in one=tree1 two=tree2; do
    rm -rf got
    mkdir got
    "$EMBR_IMG" extract -l "${image%=*}" --skip-damaged -C got bad.engram / 2>skipped || true
    [ -n "$(ls got/usr/lib)" ] || fail "nothing is left of $image"
    for file in got/usr/lib/*; do
        same "$file" "${image#*=}/usr/lib/$(basename "$file")" "left of $image"
    done
done
"$EMBR_IMG" convert -l two --salvage bad.engram salvaged.raw >salvage.text 2>&1 || true
[ "$(size salvaged.raw)" = "$(size disk2.raw)" ] || fail "salvage: $(cat salvage.text)"

# A correction: only what is in it.
cp v.engram bad.engram
damage bad.engram 1 2
"$EMBR_IMG" check bad.engram >text 2>&1 && fail "damage is not found"
grep -q "image 'one':" text && fail "image one is lost with a correction: $(cat text)"
"$EMBR_IMG" compare -q -l one bad.engram disk1.raw || fail "image one is lost"

# The recall index: only needed to recall.
cp v.engram bad.engram
damage bad.engram 18 0
"$EMBR_IMG" check bad.engram >text 2>&1 && fail "a damaged recall index is not found"
"$EMBR_IMG" convert -O engram --append -o image=four disk1.raw bad.engram 2>stderr
grep -qE "warning: .*nothing that the engram has is recalled.*features page" stderr ||
    fail "$(cat stderr)"
exact bad.engram one=disk1.raw two=disk2.raw three=disk3.raw four=disk1.raw
