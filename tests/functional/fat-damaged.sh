#!/bin/bash
# Damaged FAT filesystems: what is not damaged is read, a copy of the FAT stands in for what
# is, and the rest is an error that names the file and the place.
source "$(dirname "$0")/common.sh"
need mkfs.fat mcopy mmd python3

fs_dump=$EMBR_BUILD/tests/functional/fs-dump
export MTOOLS_SKIP_CHECK=1

# make SIZE MKFS-OPTION...: ./good, with known files
make()
{
    local size=$1
    shift
    rm -f good
    truncate -s "$size" good
    mkfs.fat --invariant "$@" good >mkfs.txt 2>&1 || { cat mkfs.txt >&2; fail "mkfs.fat"; }
    random_file a 20000 1
    random_file b 30000 2
    echo small >c
    mmd -i good ::/DIR ::/DIR/SUB
    mcopy -i good a ::/A
    mcopy -i good b ::/B
    mcopy -i good c ::/DIR/C
    mcopy -i good c "::/DIR/SUB/a long name for it.txt"
    "$fs_dump" -b good >good.txt 2>said.txt || { cat said.txt >&2; fail "good"; }
    ! grep -q '^warning' said.txt || { cat said.txt >&2; fail "good: warnings"; }
}

cat >edit.py <<'END'
"""python3 edit.py CODE: copies ./good to ./image with what CODE does to it."""
import struct, sys
image = bytearray(open('good', 'rb').read())
(sector, per, reserved, fats, root, small, media, fat16) = struct.unpack_from('<HBHBHHBH', image, 11)
length = (fat16 or struct.unpack_from('<I', image, 36)[0]) * sector
root_at = reserved * sector + fats * length
data = root_at + root * 32
cluster_bytes = per * sector
bits = 16 if fat16 else 32

def fat_at(cluster, copy):
    return reserved * sector + copy * length + cluster * bits // 8

def get(cluster):
    return int.from_bytes(image[fat_at(cluster, 0):fat_at(cluster + 1, 0)], 'little') & 0xfffffff

def put(cluster, value, copies=(0, 1)):
    for copy in copies:
        image[fat_at(cluster, copy):fat_at(cluster + 1, copy)] = value.to_bytes(bits // 8, 'little')

def entry(name):
    at = image.index(name.encode().ljust(11), root_at)
    return at

def start(name):
    at = entry(name)
    return int.from_bytes(image[at + 26:at + 28], 'little')

def set_start(name, cluster):
    image[entry(name) + 26:entry(name) + 28] = cluster.to_bytes(2, 'little')

def set_size(name, size):
    image[entry(name) + 28:entry(name) + 32] = size.to_bytes(4, 'little')

def chain(name):
    n = start(name)
    while n < 2 ** bits - 9 & 0xffffff0:
        yield n
        n = get(n)

exec(sys.argv[1])
open('image', 'wb').write(image)
END

edit()
{
    python3 edit.py "$1" || fail "cannot make: $1"
}

# whole PATTERN CODE: everything can still be read, with a warning.
whole()
{
    edit "$2"
    "$fs_dump" -b image >dump.txt 2>said.txt || { cat said.txt >&2; fail "$2: unreadable"; }
    grep -qE "^warning.*($1)" said.txt || [ "$1" = - ] || { cat said.txt >&2; fail "$2: no warning of $1"; }
    same dump.txt good.txt "$2"
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

for kind in 16 32; do
    case $kind in
    16) make 20M -F 16 -s 4 ;;
    32) make 40M -F 32 -s 1 ;;
    esac
    whole 'does not begin with the media byte' 'image[fat_at(0, 0)] ^= 1'
    whole 'does not begin with the media byte' \
        'image[fat_at(0, 0):fat_at(0, 1)] = bytes(length)'
    for bad in 0 1 0xfff0 0xfff7; do
        [ $kind = 32 ] && bad=${bad/0xfff/0xffffff}
        whole 'a copy of the FAT is used' "put(list(chain('A'))[2], $bad, [0])"
        partly "file \(inode [0-9]+\) at byte 0x[0-9a-f]+: cluster [0-9]+ is followed by 0x" \
            'B DIR DIR/C DIR/SUB' "put(list(chain('A'))[2], $bad)"
    done
    partly 'the chain of clusters is a loop' 'B DIR DIR/C' "c = list(chain('A')); put(c[5], c[1])"
    partly 'the chain of clusters is a loop' 'B DIR DIR/C' "c = list(chain('A')); put(c[-1], c[0])"
    partly 'the chain of clusters is a loop' 'B DIR DIR/C' "c = list(chain('A')); put(c[0], c[0])"
    partly 'cluster [0-9]+ belongs to inode [0-9]+, too' 'A DIR DIR/C' "set_start('B', start('A'))"
    partly 'cluster [0-9]+ belongs to inode [0-9]+, too' 'A DIR DIR/C' \
        "put(list(chain('B'))[2], list(chain('A'))[4])"
    partly 'has 20480001 bytes, but its chain of clusters ends after 0x' 'B DIR DIR/C' \
        "set_size('A', 20480001)"
    partly 'has 20000 bytes, but its chain of clusters ends after 0x' 'B DIR DIR/C' \
        "put(list(chain('A'))[3], 0xffffff8 & (1 << bits) - 1)"
    partly 'the first cluster is 0x1' 'B DIR DIR/C' "set_start('A', 1)"
    partly 'has 20000 bytes, but its chain of clusters ends after 0x0' 'B DIR DIR/C' "set_start('A', 0)"
    # A folder that is inside itself, or another one's, too.
    partly 'belongs to inode' 'A B' "set_start('SUB', start('DIR'))"
    partly 'directory \(inode [0-9]+\) at byte 0x0: the first cluster is' 'A B DIR DIR/C' \
        "set_start('SUB', 1)"
    partly 'the chain of clusters is a loop' 'A B' "put(start('DIR'), start('DIR'))"

    # What is left over of a long name is nobody's.
    edit "at = entry('AL'+'ONGN~1'+'TXT'.rjust(3)); image[at - 32 + 13] ^= 1"
    "$fs_dump" image >dump.txt 2>said.txt || { cat said.txt >&2; fail "orphans"; }
    grep -q '^DIR/SUB/ALONGN~1.TXT ' dump.txt || { cat dump.txt >&2; fail "a long name that is no more"; }
    # Sizes that need less than there is are believed.
    edit "set_size('A', 5)"
    "$fs_dump" image >dump.txt 2>said.txt || { cat said.txt >&2; fail "a short file"; }
    grep -q '^A .* size=5 ' dump.txt || fail "a short file"

    # The volume ends before.
    head -c "$(python3 edit.py 'print(data + (list(chain("B"))[3] - 2) * cluster_bytes)')" good >image
    "$fs_dump" image >dump.txt 2>said.txt && fail "cut: no error"
    grep -q '^warning.*the filesystem spans' said.txt || fail "cut: no warning"
    for name in A DIR DIR/SUB; do
        grep "^$name " good.txt | grep -qxFf - dump.txt || fail "cut: $name"
    done

    # Marks of not having been unmounted.
    edit "image[65 if bits == 32 else 37] |= 1"
    "$fs_dump" image 2>&1 >/dev/null | grep -q '^warning.*was not unmounted' || fail "dirty, boot sector"
    edit "put(1, (1 << min(bits, 28)) - 1 & ~(1 << (27 if bits == 32 else 15)))"
    "$fs_dump" image 2>&1 >/dev/null | grep -q '^warning.*was not unmounted' || fail "dirty, FAT"
    edit "put(1, (1 << min(bits, 28)) - 1 & ~(1 << (26 if bits == 32 else 14)))"
    "$fs_dump" image 2>&1 >/dev/null | grep -q '^warning.*having read errors' || fail "errors"
done

# FAT32 alone.
whole 'its copy is used' 'image[0:512] = bytes(512)'
whole 'FSInfo sector has signatures' 'image[sector:sector + 4] = b"none"'
whole '-' 'image[40] = 0x80; image[fat_at(0, 1):fat_at(0, 2)] = bytes(length)'
whole '-' 'image[40] = 0x81; image[fat_at(0, 0):fat_at(0, 1)] = bytes(length)'
expect_failure 1 'the root directory is at cluster 0x1, expected 2 to' \
    bash -c "python3 edit.py 'image[44] = 1' && '$EMBR_IMG' ls image"

# A part of the FAT that cannot be read, where the copy can.
if command -v qemu-img >/dev/null; then
    qemu-img convert -O qcow2 good image
    python3 - <<'END'
import struct
with open('image', 'r+b') as file:
    file.seek(40)
    l1 = struct.unpack('>Q', file.read(8))[0]
    file.seek(l1)
    l2 = struct.unpack('>Q', file.read(8))[0] & 0xfffffffffffe00
    file.seek(l2 + 8)           # the second 64 KiB of the disk, in the first FAT
    file.write(struct.pack('>Q', 1 << 63 | 1 << 50))
END
    "$fs_dump" -b image >dump.txt 2>said.txt || { cat said.txt >&2; fail "an unreadable FAT"; }
    grep -q '^warning.*a copy of the FAT is used: ' said.txt || { cat said.txt >&2; fail "an unreadable FAT: no warning"; }
    same dump.txt good.txt "an unreadable FAT"
fi

# An engram of a damaged filesystem is the disk, bit for bit, and tells of the rest.
edit "c = list(chain('A')); put(c[5], c[1])"
"$EMBR_IMG" convert -O engram image image.engram 2>said.txt || { cat said.txt >&2; fail "convert"; }
grep -q '/A is stored as raw ranges.*loop' said.txt || { cat said.txt >&2; fail "convert: no warning"; }
"$EMBR_IMG" convert -O raw image.engram back || fail "convert back"
same back image "a damaged disk, read back"

# Bits that are flipped, anywhere in the metadata: an error or not, but an end.
cat >flip.py <<'END'
import random
random.seed(SEED)
places = list(range(64)) + list(range(fat_at(0, 0), fat_at(400, 0))) + \
    list(range(fat_at(0, 1), fat_at(400, 1))) + list(range(root_at, root_at + root * 32)) + \
    list(range(data, data + 5 * cluster_bytes))
for i in range(random.choice((1, 10, 300))):
    image[random.choice(places)] ^= 1 << random.randrange(8)
END
for seed in $(seq 40); do
    edit "$(sed "s/SEED/$seed/" flip.py)"
    status=0
    timeout 60 "$fs_dump" -b image >dump.txt 2>said.txt || status=$?
    [ "$status" -le 1 ] || { cat said.txt >&2; fail "flips of seed $seed: status $status"; }
done
echo "loops, cross-links, copies, cuts and flips of FAT16 and FAT32"
