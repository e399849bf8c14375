#!/bin/bash
# Files found by what they contain: near-copies in two engrams, the same content told
# apart from a likeness, the options, and what cannot be searched.
source "$(dirname "$0")/common.sh"
need mke2fs sfdisk python3

tests=$EMBR_SOURCE/tests/functional

# Texts of words, so that unrelated ones share few n-grams; two engrams with different
# changes to them, the second one inside a partition.
python3 - <<'END'
import os, random
rng = random.Random(7)
letters = 'abcdefghijklmnopqrstuvwxyz'
words = [''.join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(5000)]
def text(size):
    out = ''
    while len(out) < size:
        out += rng.choice(words) + rng.choice((' ', ' ', '\n'))
    return out[:size].encode()
for folder in ('query', 'one/docs', 'one/etc', 'two/docs', 'two/etc'):
    os.makedirs(folder)
def put(name, content):
    with open(name, 'wb') as file:
        file.write(content)
for i in range(150):
    put(f'one/docs/other{i}', text(rng.randint(300, 30000)))
    put(f'two/docs/other{i}', text(rng.randint(300, 30000)))
for size in (1500, 20000, 300000):
    base, more = text(size), text(size)
    middle = size // 2
    edited = base[:middle] + text(size // 20) + base[middle + size // 20:]
    put(f'query/base{size}', base)
    put(f'one/docs/edited{size}', edited)
    put(f'one/docs/joined{size}', more + base)
    put(f'two/docs/same{size}', base)
    put(f'two/docs/cut{size}', base[:size * 2 // 3])
# Longer than a segment, with a hole in its middle.
large = bytearray(text(9_000_000))
large[4_100_000:4_300_000] = bytes(200_000)
put('query/large', large)
put('two/etc/large', large)
for folder in ('one', 'two'):
    put(f'{folder}/etc/empty', b'')
    put(f'{folder}/etc/zeroes', bytes(10000))
put('one/etc/tiny', b'tiny')
put('one/etc/small', b'small\n')
put('query/tiny', b'tiny')
put('query/none', b'none')
put('query/empty', b'')
put('query/zeroes', bytes(20000))
os.link('one/docs/edited20000', 'one/etc/link')
END
truncate -s 48M one.fs two.fs
for tree in one two; do
    mke2fs -q -F -t ext4 -b 4096 -d $tree $tree.fs </dev/null
done
truncate -s 50M two.raw
printf 'label: gpt\nstart=2048, size=98304\n' | sfdisk -q two.raw
dd if=two.fs of=two.raw bs=1M seek=1 conv=notrunc,sparse status=none
"$EMBR_IMG" convert -O engram one.fs one.engram
"$EMBR_IMG" convert -O engram two.raw two.engram

# query ARGUMENT...: JSON in out.json; one line a hit in out: engram path identical
query()
{
    "$EMBR_IMG" query --output=json "$@" >out.json 2>stderr ||
        { cat stderr >&2; fail "query $*"; }
    [ ! -s stderr ] || { cat stderr >&2; fail "query $*: says something"; }
    python3 - >out <<'END' || fail "query $*: not such JSON"
import json
last = 1.0
for hit in json.load(open('out.json')):
    assert set(hit) == {'similarity', 'identical', 'engram', 'image', 'path', 'size',
                        'copies'}, hit
    assert 0 < hit['similarity'] <= last, hit
    last = hit['similarity']
    print(hit['engram'], hit['path'], 'same' if hit['identical'] else 'like')
END
}

# expect TEXT LINE...: exactly these
expect()
{
    local what=$1
    shift
    printf '%s\n' "$@" >want
    [ $# -gt 0 ] || : >want
    same out want "$what"
}

find_aio_modes
for mode in $AIO_MODES; do
    export EMBR_AIO=$mode
    for size in 1500 20000 300000; do
        query -k 1 two.engram query/base$size
        expect "$size: identical" "two.engram /p1/docs/same$size same"
        query -k 1 one.engram query/base$size
        expect "$size: edited" "one.engram /docs/edited$size like"
        query -k 4 --min-similarity 0.2 one.engram two.engram query/base$size
        { head -n 2 out; tail -n +3 out | sort; } >sorted
        mv sorted out
        expect "$size: all four" "two.engram /p1/docs/same$size same" \
            "one.engram /docs/edited$size like" "one.engram /docs/joined$size like" \
            "two.engram /p1/docs/cut$size like"
    done
    query -k 1 two.engram query/large
    expect "several segments" "two.engram /p1/etc/large same"
done
unset EMBR_AIO

# The query may come from anywhere.
query -k 1 one.engram two.engram - <query/large
expect "standard input" "two.engram /p1/etc/large same"
query -k 1 two.engram two.raw:/p1/etc/large
expect "a raw image" "two.engram /p1/etc/large same"
query -k 1 two.engram two.engram:/p1/etc/large
expect "an engram" "two.engram /p1/etc/large same"
query -k 1 two.engram one.fs:/docs/edited20000
expect "the other image" "two.engram /p1/docs/same20000 like"
cp query/base1500 one.fs:
query -k 1 two.engram one.fs:
expect "a name with a colon" "two.engram /p1/docs/same1500 same"

# A file with two names is found once, by the first.
query --min-similarity 1 one.engram one.fs:/etc/link
expect "hard links" "one.engram /docs/edited20000 same"

# Which of them.
query --path '/p1/*' --min-similarity 0.9 one.engram two.engram query/base20000
expect "--path" "two.engram /p1/docs/same20000 same"
query --path '*/cut?0000' one.engram two.engram query/base20000
expect "--path with ?" "two.engram /p1/docs/cut20000 like"
query --path 'docs' one.engram query/base20000
expect "--path that nothing has"
query -k 2 -l two.raw one.engram two.engram query/base20000
expect "-l" "two.engram /p1/docs/same20000 same" "two.engram /p1/docs/cut20000 like"
query -k 3 --min-similarity 0 one.engram two.engram query/base20000
[ "$(wc -l <out)" = 3 ] || fail "-k 3: $(cat out)"
query -k 10000 --min-similarity 0 one.engram query/base20000
[ "$(wc -l <out)" -gt 20 ] || fail "-k 10000: $(wc -l <out)"
! grep -qE ' /docs? | /etc? |empty|zeroes' out || fail "what has no content of a file is found"
cp out all
query -k 10000 --min-similarity 0 one.engram query/base20000
same out all "the same query again"

# Tiny contents are like themselves, not like everything.
query --min-similarity 0.5 one.engram two.engram query/tiny
expect "tiny" "one.engram /etc/tiny same"
query --min-similarity 0.5 one.engram two.engram query/none
expect "tiny and nowhere"
expect_failure 1 'query/empty: the content is empty' "$EMBR_IMG" query one.engram query/empty
expect_failure 1 'query/zeroes: the content has nothing but zeroes' \
    "$EMBR_IMG" query one.engram query/zeroes
expect_failure 1 'empty: the content is empty' "$EMBR_IMG" query one.engram one.fs:/etc/empty

"$EMBR_IMG" query -k 2 two.engram query/base20000 >lines
grep -qE '^1\.000 = +20000 two.engram two.raw /p1/docs/same20000$' lines || fail "$(cat lines)"
grep -qE '^0\.[0-9]{3} ~ +13333 two.engram two.raw /p1/docs/cut20000$' lines || fail "$(cat lines)"

# What makes no sense.
expect_failure 1 '^embr-img: Expecting one or more engrams' "$EMBR_IMG" query one.engram
expect_failure 1 'one.fs: .*no engram magic' "$EMBR_IMG" query one.fs query/tiny
expect_failure 1 'nowhere' "$EMBR_IMG" query nowhere query/tiny
expect_failure 1 'cannot open nowhere: No such file' "$EMBR_IMG" query one.engram nowhere
expect_failure 1 'docs/nowhere' "$EMBR_IMG" query one.engram one.fs:/docs/nowhere
expect_failure 1 "no image is named 'nobody'; there is 'one.fs'" \
    "$EMBR_IMG" query -l nobody one.engram query/tiny
for k in 0 -1 10001; do
    expect_failure 1 '^embr-img: -k: ' "$EMBR_IMG" query -k $k one.engram query/tiny
done
for x in -0.1 1.1 nan; do
    expect_failure 1 '^embr-img: --min-similarity: ' \
        "$EMBR_IMG" query --min-similarity $x one.engram query/tiny
done
expect_failure 1 '^embr-img: --path: ' "$EMBR_IMG" query --path '' one.engram query/tiny

# A damaged page of vectors, or of files: one error, no hits.
python3 "$tests/engram_spec.py" objects one.engram >objects ||
    { [ $? = 77 ] && skip "no libzstd or libxxhash"; fail objects; }
for type in 7 8; do
    offset=$(awk -v type=$type '$2 == type { print $1; exit }' objects)
    [ -n "$offset" ] || fail "no object of type $type"
    cp one.engram bad.engram
    printf '\xa5\x5a\xa5' | dd of=bad.engram bs=1 seek=$((offset + 64)) conv=notrunc status=none
    expect_failure 1 'bad.engram: .*offset 0x' "$EMBR_IMG" query bad.engram query/base20000
    [ "$(wc -l <.stderr)" = 1 ] || { cat .stderr >&2; fail "more than one error"; }
    [ ! -s .stdout ] || fail "hits in spite of an error"
done
