#!/bin/bash
# How alike images are: the same numbers from an image, its engram and one among others in
# an engram; which directories drift; the picture; what cannot be compared.
source "$(dirname "$0")/common.sh"
need mke2fs sfdisk qemu-img python3

tests=$EMBR_SOURCE/tests/functional

python3 "$tests/similar-trees.py"
for tree in base few drift other; do
    truncate -s 60M $tree.fs
    mke2fs -q -F -t ext4 -b 4096 -d $tree $tree.fs </dev/null
    truncate -s 62M $tree.raw
    printf 'label: gpt\nstart=2048, size=122880\n' | sfdisk -q $tree.raw
    dd if=$tree.fs of=$tree.raw bs=1M seek=1 conv=notrunc,sparse status=none
    rm $tree.fs
    "$EMBR_IMG" convert -O engram $tree.raw $tree.engram
done

# similar ARGUMENT...: JSON in out.json
similar()
{
    "$EMBR_IMG" similar --output=json "$@" >out.json 2>stderr ||
        { cat stderr >&2; fail "similar $*"; }
    [ ! -s stderr ] || { cat stderr >&2; fail "similar $*: says something"; }
}

# python WHAT: the program on standard input
python()
{
    python3 - || fail "$1"
}

similar base.engram few.engram drift.engram other.engram
cp out.json engrams.json
python "engrams" <<'END'
import json
found = json.load(open('out.json'))
assert [i['name'] for i in found['images']] == [n + '.engram' for n in ('base', 'few', 'drift', 'other')]
m = [i['similarities'] for i in found['images']]
for i in range(4):
    assert m[i][i] == 1
    for j in range(4):
        assert m[i][j] == m[j][i] and 0 <= m[i][j] <= 1
assert 0.5 < m[0][1] < 1 and 0.5 < m[0][2] < 1 and m[1][2] < 1, m
assert m[0][3] < 0.1 and m[2][3] < 0.1, m
top = found['directories'][0]
assert top['path'] == '/p1/var/d2', found['directories']
assert top['images'] == 3 and 'drift.engram' in (top['first'], top['second']), top
assert len(found['directories']) <= 10
drifts = [d['drift'] for d in found['directories']]
assert drifts == sorted(drifts, reverse=True) and drifts[-1] > 0
paths = [d['path'] for d in found['directories']]
assert not any(p.startswith(('/p1/bin/', '/p1/srv')) for p in paths), paths
END

# An image, whatever it is in, is the same: to the last bit.
qemu-img convert -O qcow2 base.raw base.qcow2
find_aio_modes
for mode in $AIO_MODES; do
    EMBR_AIO=$mode similar base.engram base.raw base.qcow2
    python "$mode: formats" <<'END'
import json
found = json.load(open('out.json'))
assert all(s == 1 for i in found['images'] for s in i['similarities']), found
assert found['directories'] == [], found
END
done

# Many images in one engram, all or one of them; snapshots.
"$EMBR_IMG" convert -O engram -o image=base base.raw fleet.engram
for tree in few drift other; do
    "$EMBR_IMG" convert -O engram --append -o image=$tree $tree.raw fleet.engram
done
similar fleet.engram
python "many in one" <<'END'
import json
found, other = json.load(open('out.json')), json.load(open('engrams.json'))
assert [i['similarities'] for i in found['images']] == [i['similarities'] for i in other['images']]
assert [i['name'] for i in found['images']] == [
    f'fleet.engram ({n})' for n in ('base', 'few', 'drift', 'other')], found
assert [(d['path'], d['drift']) for d in found['directories']] == [
    (d['path'], d['drift']) for d in other['directories']]
END
similar -l few fleet.engram
grep -q '"name": "fleet.engram"' out.json || fail "-l: $(cat out.json)"
qemu-img snapshot -c then base.qcow2
similar -l then base.qcow2

# For people.
"$EMBR_IMG" similar -k 1 base.engram few.engram drift.engram >lines
grep -qE '^   1 1\.000 0\.[0-9]{3} 0\.[0-9]{3}  base.engram$' lines || fail "$(cat lines)"
grep -qE '^0\.[0-9]{3} 0\.[0-9]{3} 0\.[0-9]{3}   [12]-3   /p1/var/d2$' lines || fail "$(cat lines)"
"$EMBR_IMG" similar -k 0 base.engram few.engram >lines
[ "$(wc -l <lines)" = 3 ] || fail "-k 0: $(cat lines)"
"$EMBR_IMG" similar -p base.raw few.engram >lines 2>stderr
grep -q 'reading files' stderr || fail "-p: $(cat stderr)"

# The picture: well-formed, every cell with its value, names as they are.
cp base.engram 'a <&>"name'"'"$'\n'.engram
"$EMBR_IMG" similar -o map.svg 'a <&>"name'"'"$'\n'.engram drift.engram other.engram >/dev/null
python "the picture" <<'END'
import xml.dom.minidom as dom
svg = dom.parse('map.svg')
titles = [t.firstChild.data for t in svg.getElementsByTagName('title')]
assert len(titles) == 1 + 9, titles
assert 'a <&>"name\'?.engram – a <&>"name\'?.engram: 1.0000' in titles, titles
texts = [t.firstChild.data for t in svg.getElementsByTagName('text')]
assert texts.count('1.00') == 3 + 1 and texts.count('drift.engram') == 2, texts
fills = [r.getAttribute('fill') for r in svg.getElementsByTagName('rect')]
assert fills.count('#fde725') == 3, fills
assert svg.documentElement.getAttribute('viewBox')
END
if command -v rsvg-convert >/dev/null; then
    rsvg-convert map.svg -o map.png || fail "rsvg-convert"
    [ -s map.png ] || fail "no picture"
fi
echo precious >kept.svg
expect_failure 1 'nowhere' "$EMBR_IMG" similar -o kept.svg base.engram nowhere
[ "$(cat kept.svg)" = precious ] || fail "a failed command changed its output file"
expect_failure 1 'is not a regular file' "$EMBR_IMG" similar -o . base.engram
expect_failure 1 'no/such/map.svg' "$EMBR_IMG" similar -o no/such/map.svg base.engram

# What makes no sense, and what is not there.
expect_failure 1 'Expecting image file names' "$EMBR_IMG" similar
expect_failure 1 "'nobody'" "$EMBR_IMG" similar -l nobody base.engram
for k in -1 10001; do
    expect_failure 1 '^embr-img: -k: ' "$EMBR_IMG" similar -k $k base.engram
done

# A damaged page of vectors, or of files: one error.
python3 "$tests/engram_spec.py" objects few.engram >objects ||
    { [ $? = 77 ] && skip "no libzstd or libxxhash"; fail objects; }
for type in 7 8; do
    offset=$(awk -v type=$type '$2 == type { print $1; exit }' objects)
    [ -n "$offset" ] || fail "no object of type $type"
    cp few.engram bad.engram
    printf '\xa5\x5a\xa5' | dd of=bad.engram bs=1 seek=$((offset + 64)) conv=notrunc status=none
    expect_failure 1 'bad.engram: .*offset 0x' "$EMBR_IMG" similar -o bad.svg base.engram bad.engram
    [ "$(wc -l <.stderr)" = 1 ] || { cat .stderr >&2; fail "more than one error"; }
    [ ! -e bad.svg ] || fail "a picture in spite of an error"
done
