#!/bin/bash
# Likeness sees through compression: what is in a gzip, zlib or zstd stream is found by
# what is like it outside and the other way round, wherever the file lies and however long
# it is; what is no whole stream is what its bytes are.
source "$(dirname "$0")/common.sh"
need mke2fs python3 zstd

python3 - <<'END'
import gzip, os, random, subprocess, zlib
rng = random.Random(11)
letters = 'abcdefghijklmnopqrstuvwxyz'
words = [''.join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(5000)]
def text(size):
    out = []
    while size > 0:
        out.append(rng.choice(words) + rng.choice((' ', ' ', '\n')))
        size -= len(out[-1])
    return ''.join(out).encode()
def put(name, content):
    with open(name, 'wb') as file:
        file.write(content)
def zstd(content):
    return subprocess.run(['zstd', '-q', '-c', '-9', '--check'], input=content,
                          capture_output=True, check=True).stdout
for folder in ('query', 'root/plain', 'root/packed'):
    os.makedirs(folder)
for i in range(100):
    other = text(rng.randint(300, 20000))
    put(f'root/packed/other{i}.gz', gzip.compress(other, mtime=0))
    put(f'root/plain/other{i}', text(rng.randint(300, 20000)))

# The same manual page, edited, in every wrapping, and outside.
page = text(15000)
edited = page[:7000] + text(600) + page[7300:]
put('query/page', page)
put('query/page.gz', gzip.compress(page))
put('query/page.zst', zstd(page))
put('root/packed/page.gz', gzip.compress(edited, 5))
put('root/packed/page.zz', zlib.compress(edited))
put('root/packed/page.zst', zstd(edited))
put('root/packed/members.gz', b''.join(gzip.compress(edited[i:i + 1000])
                                       for i in range(0, len(edited), 1000)))
put('root/plain/page', edited)

# So small that it is inside its inode, and inside metadata therefore.
small = text(70)
put('query/small', small)
put('root/packed/small.gz', gzip.compress(small, mtime=0))

# Longer than a segment when packed (the bytes are those of base 16), some past what counts.
large = rng.randbytes(7_000_000).hex().encode()
longer = rng.randbytes(12_000_000).hex().encode()
put('query/large', large)
put('query/longer', longer)
put('root/packed/large.gz', gzip.compress(large, 1, mtime=0))
put('root/packed/longer.zst', zstd(longer))

# No streams, though they begin so.
put('query/broken', broken := text(15000))
put('root/packed/cut.gz', gzip.compress(broken)[:-3])
put('root/packed/garbage.gz', gzip.compress(broken, 1) + b'garbage')
put('root/packed/damaged.zst', (lambda z: z[:-2] + bytes([z[-2] ^ 1]) + z[-1:])(zstd(broken)))
put('root/packed/empty.gz', gzip.compress(b'', mtime=0))
put('root/packed/zeroes.gz', gzip.compress(bytes(100000), mtime=0))
# One part in a thousand of this is more than what counts of it.
put('root/packed/bomb.gz', gzip.compress(bytes(30_000_000) + page, mtime=0))
put('root/packed/bomb.zst', zstd(bytes(30_000_000) + page))
END
truncate -s 96M root.fs
mke2fs -q -F -t ext4 -b 4096 -I 256 -O inline_data -d root root.fs </dev/null
"$EMBR_IMG" convert -O engram root.fs root.engram

# hits ARGUMENT...: similarity, = or ~, and name of each
hits()
{
    "$EMBR_IMG" query "$@" >lines 2>stderr || { cat stderr >&2; fail "query $*"; }
    [ ! -s stderr ] || { cat stderr >&2; fail "query $*: says something"; }
    awk '{ sub(".*/", "", $NF); print $1, $2, $NF }' lines
}

# The same of what is inside, in any wrapping.
for query in page page.gz page.zst; do
    hits -k 5 root.engram query/$query >out
    awk '$1 < 0.8 || $2 != "~" { bad = 1 } END { exit bad || NR != 5 }' out ||
        fail "$query: $(cat out)"
    [ "$(cut -d' ' -f1 out | uniq | wc -l)" = 1 ] || fail "wrappings differ: $(cat out)"
    [ "$(cut -d' ' -f3 out | sort | tr '\n' ' ')" = \
        "members.gz page page.gz page.zst page.zz " ] || fail "$query: $(cat out)"
done
# In and out of images, standard input, and back.
for source in root/packed/page.gz root.fs:/packed/page.gz root.engram:/packed/page.gz -; do
    hits -k 2 root.engram "$source" <root/packed/page.zst >out
    grep -qE '^1\.000 = page\.(gz|zst)$' out || fail "$source: $(cat out)"
done

hits -k 1 root.engram query/small >out
grep -q '^1\.000 ~ small.gz$' out || fail "in its inode: $(cat out)"

# All of it counts, or what comes first, whether it is found in an image or a file.
hits -k 1 root.engram query/large >out
grep -q '^1\.000 ~ large.gz$' out || fail "large: $(cat out)"
hits -k 1 root.engram query/longer >out
grep -qE '^0\.[5-9][0-9]* ~ longer.zst$' out || fail "longer: $(cat out)"
for source in root/packed/longer.zst root.fs:/packed/longer.zst; do
    hits -k 1 root.engram $source >out
    grep -q '^1\.000 = longer.zst$' out || fail "$source: $(cat out)"
done

# What is no stream is like itself only.
hits -k 1 --min-similarity 0.5 root.engram query/broken >out
[ ! -s out ] || fail "inside what is damaged: $(cat out)"
for name in cut.gz garbage.gz damaged.zst empty.gz zeroes.gz bomb.gz bomb.zst; do
    hits --min-similarity 0.9 root.engram root/packed/$name >out
    grep -q "^1\.000 = $name$" out || fail "$name: $(cat out)"
    [ "$(wc -l <out)" = 1 ] || fail "$name is like others: $(cat out)"
done
