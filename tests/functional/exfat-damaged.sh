#!/bin/bash
# Damaged exFAT filesystems: what is not damaged is read, the copy of the boot region stands
# in for it, and the rest is an error that names the file and the place.
source "$(dirname "$0")/common.sh"
need mkfs.exfat python3

tests=$EMBR_SOURCE/tests/functional
fs_dump=$EMBR_BUILD/tests/functional/fs-dump

mkdir -p tree/DIR/SUB tree/BIG
random_file tree/A 40000 1
random_file tree/B 30000 2
echo small >tree/DIR/C
echo small >"tree/DIR/SUB/a long name for it.txt"
touch tree/BIG/{1..60}
truncate -s 20M good
mkfs.exfat -c 512 -L LABEL good >mkfs.txt 2>&1 || { cat mkfs.txt >&2; fail "mkfs.exfat"; }
python3 "$tests/exfat-fill.py" good tree 1 parts=yes

cat >edit.py <<'END2'
"""python3 edit.py CODE: copies ./good to ./image with what CODE does to it."""
import struct, sys
image = bytearray(open('good', 'rb').read())
fat_at, fat_length, heap, count, root = struct.unpack_from('<5I', image, 80)
sector, cluster_bytes = 1 << image[108], 1 << image[108] + image[109]
fat_at, heap = fat_at * sector, heap * sector

def fat(cluster):
    return fat_at + cluster * 4

def get(cluster):
    return struct.unpack_from('<I', image, fat(cluster))[0]

def put(cluster, value):
    struct.pack_into('<I', image, fat(cluster), value)

def chain(cluster):
    found = []
    while 2 <= cluster < count + 2:
        found.append(cluster)
        cluster = get(cluster)
    return found

def place(cluster):
    return heap + (cluster - 2) * cluster_bytes

def entry(name):
    """The places of a file's entries, if they are in one cluster."""
    units = name.encode('utf-16-le')
    at = heap
    while True:
        at = image.index(b'\xc1\0' + units[:30].ljust(30, b'\0'), at) - 64
        if image[at] == 0x85 and image[at + 32] == 0xc0 and at % 32 == 0:
            return at
        at += 96

def sign(at):
    total = 0
    for i in range((image[at + 1] + 1) * 32):
        if i not in (2, 3):
            total = ((total >> 1 | total << 15) + image[at + i]) & 0xffff
    struct.pack_into('<H', image, at + 2, total)

def start(name):
    return struct.unpack_from('<I', image, entry(name) + 52)[0]

def edit(name, where, how, value):
    at = entry(name)
    struct.pack_into(how, image, at + where, value)
    sign(at)

def boot_sum(first):
    total = 0
    for i in range(11 * sector):
        if i not in (106, 107, 112):
            total = ((total >> 1 | total << 31) + image[first + i]) & 0xffffffff
    image[first + 11 * sector:first + 12 * sector] = struct.pack('<I', total) * (sector // 4)

def root_entry(kind):
    return next(at for at in range(place(root), place(root) + 512, 32) if image[at] == kind)

exec(sys.argv[1])
open('image', 'wb').write(image)
END2

edit()
{
    python3 edit.py "$1" || fail "cannot make: $1"
}

# whole PATTERN CODE: everything can still be read, with a warning.
whole()
{
    edit "$2"
    "$fs_dump" ${3:--b} image >dump.txt 2>said.txt || { cat said.txt >&2; fail "$2: unreadable"; }
    grep -qE "^warning.*($1)" said.txt || { cat said.txt >&2; fail "$2: no warning of $1"; }
    grep -v '^use' dump.txt >files.txt
    same files.txt good.txt "$2"
}

# partly ERROR LEFT CODE: the error is reported, and the files LEFT are as they were.
partly()
{
    edit "$3"
    local status=0 name
    "$fs_dump" image >dump.txt 2>said.txt || status=$?
    [ "$status" = 1 ] || { cat said.txt >&2; fail "$3: status $status"; }
    grep -qE "$1" said.txt || { cat said.txt >&2; fail "$3: no error like $1"; }
    for name in $2; do
        grep "^$name " good.txt >expected.line || fail "$name"
        grep -qxFf expected.line dump.txt || { cat dump.txt >&2; fail "$3: $name is not as it was"; }
    done
}

"$fs_dump" good >good.txt 2>said.txt || { cat said.txt >&2; fail "good"; }
grep '^warning' said.txt >&2 && fail "good: warnings"
grep -q '^type=exfat label=LABEL' said.txt || fail "good: label"

# The boot region.
whole 'the boot sector is damaged; its copy is used' 'image[0:512] = bytes(512)'
grep -q '^type=exfat label=LABEL uuid=[0-9A-F]*-' said.txt || fail "backup: label"
whole "the boot region's checksum is wrong; its copy is used" 'image[100] ^= 1'
whole "the boot region's checksum is wrong; its copy is used" 'image[5 * sector] ^= 1'
whole 'the checksums of the boot region and of its copy are wrong' 'image[600] ^= 1; image[12 * sector + 600] ^= 1'
edit 'image[3] ^= 1; image[12 * sector + 600] ^= 1'
"$fs_dump" image 2>said.txt && fail "two damaged boot regions"
grep -q 'no filesystem found' said.txt || { cat said.txt >&2; fail "two damaged boot regions"; }
whole 'was not unmounted' 'image[106] |= 2'
whole 'media failures' 'image[106] |= 4'

# Tables.
whole 'no allocation bitmap' 'image[root_entry(0x81)] = 1'
whole 'the allocation bitmap has 3 bytes, expected' 'struct.pack_into("<Q", image, root_entry(0x81) + 24, 3)'
grep -q '^use free' dump.txt && fail "a bitmap that is too small says what is free"
whole 'what is free is not known' 'struct.pack_into("<I", image, root_entry(0x81) + 20, 1)'
grep -q '^use free' dump.txt && fail "a bitmap that is nowhere says what is free"
whole 'no up-case table' 'image[root_entry(0x82)] = 2'
whole "up-case table's checksum is" 'image[root_entry(0x82) + 4] ^= 1'
whole 'the up-case table has 131074 bytes' 'struct.pack_into("<Q", image, root_entry(0x82) + 24, 131074)'
whole 'has the hash 0x[0-9a-f]+, expected 0x' 'edit("A", 36, "<H", 1)'

# Sets of entries.
partly 'entries of inode [0-9]+: checksum is 0x' 'B DIR DIR/C DIR/SUB' 'image[entry("A") + 70] ^= 1'
partly 'entries of inode [0-9]+: 2 of 3, then type 0x' 'B DIR DIR/C DIR/SUB' 'image[entry("A") + 64] = 0x41'
partly 'entries of inode [0-9]+: 2 of 3, then type 0x' 'B DIR DIR/C' 'image[entry("A") + 64] = 0x85'
partly '2 directory entries belong to no file' 'B DIR DIR/C DIR/SUB' 'image[entry("A")] = 5'
partly 'is of type 0x86, which is not known' 'B DIR DIR/C DIR/SUB' 'image[entry("A")] = 0x86'
partly 'entry 1 of 3 is of type 0xc2, expected 0xc0' 'B DIR DIR/C' 'edit("A", 32, "<B", 0xc2)'
partly '40001 of 40000 bytes are written' 'B DIR DIR/C' 'edit("A", 40, "<Q", 40001)'
partly 'of 99999999 bytes are written' 'B DIR DIR/C' 'edit("A", 56, "<Q", 99999999)'
# A directory that ends in the midst of a set.
partly 'then the end of the directory' 'A B DIR DIR/C' \
    'at = entry("60"); image[at + 64:place((at - heap) // cluster_bytes + 3)] = bytes(place((at - heap) // cluster_bytes + 3) - at - 64)'

# Chains.
partly 'the chain of clusters is a loop' 'B DIR DIR/C' 'edit("A", 33, "<B", 1); c = list(range(start("A"), start("A") + 79)); [put(a, a + 1) for a in c]; put(c[5], c[1])'
partly 'belongs to inode [0-9]+, too' 'DIR DIR/C' 'edit("B", 33, "<B", 1); edit("B", 52, "<I", start("A"))'
partly 'belongs to inode [0-9]+, too' 'DIR DIR/C' 'edit("B", 33, "<B", 3); edit("B", 52, "<I", start("A")); edit("A", 33, "<B", 3)'
partly 'the first cluster is 0x1' 'B DIR DIR/C' 'edit("A", 52, "<I", 1)'
partly 'expected them to end at' 'B DIR DIR/C' 'edit("A", 33, "<B", 3); edit("A", 52, "<I", count - 3)'
partly 'has 40000 bytes, but its chain of clusters ends after 0x0' 'B DIR DIR/C' 'edit("A", 52, "<I", 0)'
partly 'cluster [0-9]+ is followed by 0x1, expected' 'B DIR DIR/C' \
    'edit("A", 33, "<B", 1); put(start("A"), 1)'
partly 'belongs to inode' 'A B' 'edit("SUB", 52, "<I", start("DIR"))'

# The volume ends before.
head -c "$(python3 edit.py 'print(place(root) + 4096)')" good >image
"$fs_dump" image >dump.txt 2>said.txt && fail "cut: no error"
grep -q '^warning.*the filesystem spans' said.txt || fail "cut: no warning"

# An engram of a damaged filesystem is the disk, bit for bit, and tells of the rest.
edit 'image[entry("A") + 70] ^= 1'
"$EMBR_IMG" convert -O engram image image.engram 2>said.txt || { cat said.txt >&2; fail "convert"; }
grep -q 'stored as raw ranges.*checksum is' said.txt || { cat said.txt >&2; fail "convert: no warning"; }
"$EMBR_IMG" convert -O raw image.engram back || fail "convert back"
same back image "a damaged disk, read back"

# Bits that are flipped, anywhere in the metadata, with and without the right checksums: an
# error or not, but an end.
cat >flip.py <<'END2'
import random
random.seed(SEED)
used = [place(c) for c in range(2, 1500) if get(c) or c < 300]
places = list(range(120)) + list(range(fat(0), fat(1500))) + \
    [at + i for at in used for i in range(512)]
for i in range(random.choice((1, 10, 300))):
    image[random.choice(places)] ^= 1 << random.randrange(8)
if SEED % 2:
    boot_sum(0)
    for at in range(heap, heap + 1500 * 512, 32):
        if image[at] == 0x85 and image[at + 32] == 0xc0:
            sign(at)
END2
for seed in $(seq 40); do
    edit "$(sed "s/SEED/$seed/" flip.py)"
    status=0
    timeout 60 "$fs_dump" -b image >dump.txt 2>said.txt || status=$?
    [ "$status" -le 1 ] || { cat said.txt >&2; fail "flips of seed $seed: status $status"; }
done
echo "boot regions, tables, sets, chains, cuts and flips"
