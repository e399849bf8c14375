#!/bin/bash
# -o free_space=drop: free blocks of known filesystems are not stored and read as zeroes;
# everything else is what it was.
source "$(dirname "$0")/common.sh"
need mke2fs dumpe2fs debugfs e2fsck sfdisk python3

mkdir tree
for i in 1 2 3 4 5 6; do
    random_file tree/file$i 3000000 $i
done
python3 "$EMBR_SOURCE/tests/functional/make-tree.py" tree plain many=300 block=1024 xattr=600 \
    2>make-tree.txt || { cat make-tree.txt >&2; fail make-tree; }

# One disk: two filesystems that deleted files, and a partition of who knows what.
truncate -s 150M disk.raw
printf 'label: gpt\nsize=131072\nsize=131072\nsize=8192\n' | sfdisk -q disk.raw
mapfile -t starts < <(sfdisk -d disk.raw | sed -nE 's/.*start= *([0-9]+),.*/\1/p')
random_file unknown 1000000 9
dd if=unknown of=disk.raw bs=512 seek="${starts[2]}" conv=notrunc status=none
blocks=(4096 1024)
for i in 0 1; do
    truncate -s 64M fs$i
    mke2fs -q -F -t ext4 -b "${blocks[i]}" -d tree fs$i </dev/null
    debugfs -w -R 'rm /file2' fs$i 2>/dev/null
    debugfs -w -R 'rm /file5' fs$i 2>/dev/null
    dd if=fs$i of=disk.raw bs=512 seek="${starts[i]}" conv=notrunc status=none
    dumpe2fs fs$i 2>/dev/null >dump$i
done

"$EMBR_IMG" convert -O engram -o free_space=keep disk.raw keep.engram
"$EMBR_IMG" convert -O engram -o free_space=drop disk.raw drop.engram
"$EMBR_IMG" check -q drop.engram
"$EMBR_IMG" convert -O raw keep.engram keep.raw
same keep.raw disk.raw "what is kept"
"$EMBR_IMG" convert -O raw drop.engram drop.raw
"$EMBR_IMG" map --output=json drop.engram >map.json
"$EMBR_IMG" info --output=json drop.engram >info.json
[ "$(stat -c %s drop.engram)" -lt $(($(stat -c %s keep.engram) - 5000000)) ] ||
    fail "dropping 12 MB of free space saves nothing"

python3 - "${starts[@]}" <<'END' || fail "what is dropped"
import json, re, sys
starts = [int(s) * 512 for s in sys.argv[1:]]
free = bytearray(len(open('disk.raw', 'rb').read()) // 512)     # by sector
for i in (0, 1):
    text = open('dump%d' % i).read()
    block = int(re.search(r'Block size: *(\d+)', text).group(1))
    for line in re.findall(r'^  Free blocks: (.*)$', text, re.M):
        for run in line.split(', '):
            first, last = (run.split('-') * 2)[:2] if run else (1, 0)
            a = (starts[i] + int(first) * block) // 512
            b = (starts[i] + (int(last) + 1) * block) // 512
            free[a:b] = b'\1' * (b - a)
assert sum(free) * 512 > 12000000
old, new = open('disk.raw', 'rb').read(), open('drop.raw', 'rb').read()
assert len(old) == len(new)
lost = 0
for i, is_free in enumerate(free):
    a, b = old[i * 512:i * 512 + 512], new[i * 512:i * 512 + 512]
    if is_free:
        assert not any(b), 'sector %d is free and was kept' % i
        lost += any(a)
    else:
        assert a == b, 'sector %d is in use and was not kept' % i
assert lost * 512 > 11000000, lost
# map tells what was dropped from what is zero
at = dropped = 0
for entry in json.load(open('map.json')):
    assert entry['start'] == at
    if not entry['present']:
        assert entry['zero'] and not entry['data'], entry
        sectors = free[at // 512:(at + entry['length']) // 512]
        assert at % 512 == 0 and entry['length'] % 512 == 0 and all(sectors), entry
        dropped += entry['length']
    at += entry['length']
assert at == len(old) and dropped >= lost * 512, (at, dropped)
stats = json.load(open('info.json'))['format-specific']['data']['images'][0]['stats']
assert stats['dropped']['bytes'] == dropped, (stats, dropped)
END
for i in 0 1; do
    dd if=drop.raw of=dropped.fs bs=512 skip="${starts[i]}" count=131072 status=none
    e2fsck -fn dropped.fs >e2fsck.txt 2>&1 || { cat e2fsck.txt >&2; fail "filesystem $i"; }
    "$EMBR_IMG" cat drop.engram /p$((i + 1))/file3 >file3
    same file3 tree/file3 "a file that was not deleted"
done

# What is free in one volume is kept if it is in another, too. No tool makes such a table.
truncate -s 130M outer
python3 - outer <<'END'
import struct, sys
with open(sys.argv[1], 'r+b') as file:
    file.seek(446)
    for start, sectors in (2048, 262144), (133120, 131072):
        file.write(struct.pack('<8BII', 0, 0, 0, 0, 0x83, 0, 0, 0, start, sectors))
    file.seek(510)
    file.write(b'\x55\xaa')
END
truncate -s 128M around
mke2fs -q -F -t ext4 -b 4096 around </dev/null
dd if=around of=outer bs=1M seek=1 conv=notrunc,sparse status=none
dd if=fs0 of=outer bs=1M seek=65 conv=notrunc status=none
"$EMBR_IMG" convert -O engram -o free_space=drop outer outer.engram 2>stderr
"$EMBR_IMG" convert -O raw outer.engram outer.raw
cmp <(tail -c +$((65 << 20 | 1)) outer | head -c 64M) \
    <(tail -c +$((65 << 20 | 1)) outer.raw | head -c 64M) ||
    fail "a volume in the free space of another was not kept"

# A filesystem that cannot be read has no free space to speak of.
cp fs0 damaged
dd if=/dev/urandom of=damaged bs=1024 seek=1 count=1 conv=notrunc status=none
for group in 1 2 3 4 5 6 7 8 9; do
    dd if=/dev/urandom of=damaged bs=4096 seek=$((group * 32768)) count=1 conv=notrunc,nocreat \
        status=none
done
truncate -s 64M damaged
"$EMBR_IMG" convert -O engram -o free_space=drop damaged damaged.engram 2>stderr
"$EMBR_IMG" compare -q damaged damaged.engram || fail "a filesystem nobody can read was not kept"

expect_failure 1 "'free-space'" "$EMBR_IMG" convert -O engram -o free_space=some disk.raw no.engram
[ ! -e no.engram ] || fail "no.engram was made"
