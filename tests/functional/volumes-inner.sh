#!/bin/bash
# Tables within partitions: a machine's disk that is kept in a partition of another's.  Their
# partitions have the numbers behind all others; loops and depths have an end.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/volumes-common.sh"
need sfdisk mke2fs python3

mkdir -p tree/etc
echo innermost >tree/etc/name
mke2fs -q -F -t ext4 -d tree a.img 5000k >mke2fs.txt 2>&1
put() { dd if="$1" of="$2" bs=512 seek="$3" conv=notrunc,sparse status=none; }

# GPT in a logical partition of an MBR in a partition of a GPT.
truncate -s 8M third
printf 'label: gpt\nstart=2048, size=10000, name=root\n' | sfdisk -q third
put a.img third 2048
truncate -s 20M second
printf 'label: dos\n1: start=2048, size=2048, type=c\n2: start=6144, size=34000, type=f\n5: start=8192, size=16384, type=83\n' |
    sfdisk -q second
put third second 8192
new_disk 40M
printf 'label: gpt\nstart=2048, size=4096\nstart=8192, size=40960, type=R\n' | sfdisk -q disk
put second disk 8192

volumes table.json
no_warnings table.json
python3 - <<'END' || fail "volumes: $("$EMBR_IMG" volumes disk)"
import json
found = [(v['path'], v['number'], v['offset'] // 512, v['size'] // 512, v.get('filesystem'))
         for v in json.load(open('table.json'))['volumes']]
assert found == [('/p1', 1, 2048, 4096, None), ('/p2', 2, 8192, 40960, None),
                 ('/p3', 3, 10240, 2048, None), ('/p4', 4, 14336, 34000, None),
                 ('/p5', 5, 16384, 16384, None), ('/p6', 6, 18432, 10000, 'ext4')], found
END
"$EMBR_IMG" cat disk /p6/etc/name | cmp - tree/etc/name || fail "cat"
"$EMBR_IMG" extract -C out disk /p6/etc && diff -r tree/etc out/etc || fail "extract"
[ "$("$EMBR_IMG" part list disk | grep -c '^p[0-9]')" = 2 ] || fail "part list shows the disk's own"
for mode in keep drop; do
    "$EMBR_IMG" convert -O engram -o free_space=$mode disk $mode.engram 2>said.txt ||
        { cat said.txt >&2; fail "convert, free_space=$mode"; }
    [ ! -s said.txt ] || { cat said.txt >&2; fail "convert, free_space=$mode: warnings"; }
    "$EMBR_IMG" cat $mode.engram /p6/etc/name | cmp - tree/etc/name || fail "cat, $mode"
    "$EMBR_IMG" check $mode.engram >check.txt 2>&1 || { cat check.txt >&2; fail "check, $mode"; }
done
"$EMBR_IMG" convert -O raw keep.engram back && same back disk "the disk read back"

# Five tables within each other are one too many.
cp disk inner
for size in 50 60; do
    truncate -s ${size}M outer
    printf 'label: gpt\nstart=2048, size=%d, type=R\n' $(((size - 5) * 2048)) | sfdisk -q outer
    put inner outer 2048
    mv outer inner
done
mv inner disk
volumes table.json
warns table.json '/p[0-9]+ holds a partition table, which is nested too deeply, and not read'
grep -q '"/p4"' table.json || fail "what is not too deep: $(cat table.json)"
grep -q ext4 table.json && fail "five tables were read"

# A table whose partition is all of what it is in, or more than that.
new_disk 20M
printf 'label: dos\nstart=2048, size=20480, type=83\n' | sfdisk -q disk
python3 - <<'END'
import struct
with open('disk', 'r+b') as disk:
    disk.seek(2048 * 512 + 446)
    for first, sectors in ((0, 20480), (1000, 90000), (63, 1000)):
        disk.write(struct.pack('<B3sB3sII', 0, bytes(3), 0x83, bytes(3), first, sectors))
    disk.seek(2048 * 512 + 510)
    disk.write(b'\x55\xaa')
END
volumes table.json
[ "$("$EMBR_IMG" volumes disk 2>/dev/null | grep -c '^p[0-9]')" -le 2 ] || fail "partitions that cannot be"
