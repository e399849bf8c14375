#!/bin/bash
# What is read of FAT12, FAT16 and FAT32 in all their geometries is what mtools wrote into
# them and, where it can be mounted, what the kernel shows.
source "$(dirname "$0")/common.sh"
need mkfs.fat mcopy mattrib mdel python3

tests=$EMBR_SOURCE/tests/functional
fs_dump=$EMBR_BUILD/tests/functional/fs-dump
export MTOOLS_SKIP_CHECK=1 MTOOLSRC=$TEST_DIR/mtoolsrc
printf 'default_codepage=437\nmtools_lower_case=0\n' >mtoolsrc

mkdir small large mnt
python3 "$tests/fat-tree.py" small many=40 large=20000
python3 "$tests/fat-tree.py" large many=300 large=3000000
python3 "$tests/fs-tree.py" dump small >small.txt
python3 "$tests/fs-tree.py" dump large >large.txt
mounted=0

# What FAT does not have, and times of directories, which mcopy does not set.
compare()
{
    python3 "$tests/fs-tree.py" compare "$1" "$2" ino mode uid gid allocated atime ctime \
        crtime flags dir:size dir:mtime dir:nlink path:. >&2
}

# The image as the kernel shows it; which time it has for ctime depends on its version.
compare_with_kernel()
{
    mount -t vfat -o loop,ro,utf8,codepage=437,umask=022,tz=UTC image mnt 2>mount.txt || return 0
    on_exit "mountpoint -q '$TEST_DIR/mnt' && umount '$TEST_DIR/mnt'"
    "$EMBR_IMG" ls -R --output=json image >list.json || fail "$1: ls"
    python3 "$tests/tree-check.py" list mnt '' list.json ino ctime || fail "$1: not what the kernel shows"
    umount mnt
    mounted=$((mounted + 1))
}

# try NAME SIZE TREE BITS MKFS-OPTION...
try()
{
    local name=$1 size=$2 tree=$3 bits=$4
    shift 4
    rm -f image
    truncate -s "$size" image
    mkfs.fat "$@" image >mkfs.txt 2>&1 || { cat mkfs.txt >&2; fail "mkfs.fat $*"; }
    # Room that is taken, and given back in pieces, puts the rest into pieces.
    for i in 1 2 3 4 5 6; do
        mcopy -i image "$tree/sizes/4096" "::/hole$i"
    done
    mdel -i image ::/hole2 ::/hole4 ::/hole6
    mcopy -s -m -Q -i image "$tree"/* ::/ 2>mcopy.txt </dev/null || { cat mcopy.txt >&2; fail "$name: mcopy"; }
    mdel -i image ::/hole1 ::/hole3 ::/hole5
    "$fs_dump" -b image >dump.txt 2>said.txt || { cat said.txt >&2; fail "$name: fs-dump"; }
    grep -q '^warning' said.txt && { cat said.txt >&2; fail "$name: there are warnings"; }
    grep -v '^use ' dump.txt >ours.txt
    compare ours.txt "$tree.txt" || fail "$name: not what was written"
    python3 - "$bits" dump.txt <<'END' || fail "$name: the FAT says otherwise"
import struct, sys
bits = int(sys.argv[1])
image = open('image', 'rb').read(64 << 20)    # all but the data
(sector, per, reserved, fats, root, small, media, fat16) = struct.unpack_from('<HBHBHHBH', image, 11)
large, fat32 = struct.unpack_from('<I', image, 32)[0], struct.unpack_from('<I', image, 36)[0]
length = (fat16 or fat32) * sector
start = reserved * sector + fats * length + root * 32
cluster = per * sector
count = ((small or large) * sector - start) // cluster
assert (12 if count < 4085 else 16 if fat16 else 32) == bits, count
fat = image[reserved * sector:reserved * sector + length]
def entry(n):
    if bits == 12:
        return int.from_bytes(fat[n * 3 // 2:n * 3 // 2 + 2], 'little') >> n % 2 * 4 & 0xfff
    return int.from_bytes(fat[n * bits // 8:(n + 1) * bits // 8], 'little') & 0xfffffff
expected = [('metadata', 0, start)]
for n in range(2, count + 2):
    use = 'used' if entry(n) else 'free'
    at = start + (n - 2) * cluster
    if expected[-1][0] == use:
        expected[-1] = (use, expected[-1][1], expected[-1][2] + cluster)
    else:
        expected.append((use, at, cluster))
found = [line.split()[1:] for line in open(sys.argv[2]) if line.startswith('use ')]
found = [(use, int(at), int(n)) for use, at, n in found]
assert found[:len(expected)] == expected, (found[:9], expected[:9])
for use, at, n in found[len(expected):]:
    assert use == ('used' if at < (small or large) * sector else 'unknown')
# Directories' sizes, and links, which are how many others are in them.
files = {}
for line in open(sys.argv[2]):
    if not line.startswith('use '):
        path, *fields = line.split()
        files[path] = dict(field.split('=', 1) for field in fields)
folders = {path for path, fields in files.items() if fields['mode'].startswith('4')}
assert len(folders) == 18, folders
for path in folders:
    inside = [f for f in folders - {'.'} if (f.rpartition('/')[0] or '.') == path]
    assert int(files[path]['nlink']) == 2 + len(inside), path
    size = int(files[path]['size'])
    assert size == root * 32 if root and path == '.' else size and size % cluster == 0, path
END
    [ "$(id -u)" = 0 ] && compare_with_kernel "$name"
    return 0
}

try floppy 1440K small 12
try one-sector-clusters 2M small 12 -F 12 -s 1 -a
try large-sectors-12 8M small 12 -F 12 -S 4096 -s 1
try one-fat 4M small 12 -F 12 -f 1 -R 3 -r 48 -a
try four-fats 3M small 12 -F 12 -f 4 -M 0xf0 -g 255/63 -h 63
try fat16 20M large 16 -F 16
try fat16-odd 40M large 16 -F 16 -s 4 -R 5 -r 112 -a -f 3
try fat16-2k 64M large 16 -F 16 -S 2048 -s 2
try fat16-64k 600M large 16 -F 16 -s 128
try atari 30M large 16 -A
try fat32 64M large 32 -F 32
try fat32-512 40M large 32 -F 32 -s 1 -R 33 -a -f 1
try fat32-4k 300M large 32 -F 32 -S 4096 -s 1
try fat32-32k 2200M large 32 -F 32 -s 64 -b 9

# The label and the number are told, attributes become modes, and a 10 ms time is kept.
rm -f image && truncate -s 20M image
mkfs.fat -F 16 -n 'DISK ONE' -i cafe1234 image >mkfs.txt
touch -d @1500000000 file
mcopy -m -i image file ::/readonly
mcopy -m -i image file ::/hidden
mattrib -i image +r ::/readonly
mattrib -i image +h +s ::/hidden
"$EMBR_IMG" ls -l --output=json image >list.json
python3 - <<'END' || fail "attributes"
import json
files = {e['path']: e for e in json.load(open('list.json'))}
assert {k.lstrip('/'): e['mode'] for k, e in files.items()} == {'hidden': 0o755, 'readonly': 0o555}, files
assert all(e['mtime'] == {'sec': 1500000000, 'nsec': 0} for e in files.values()), files
END
"$EMBR_IMG" volumes --output=json image | grep -q '"label": "DISK ONE"' || fail "label"

# Through the programs: a disk with an EFI partition.
if command -v sfdisk >/dev/null; then
    truncate -s 80M disk
    printf 'label: gpt\nstart=2048, size=131072, type=U\n' | sfdisk -q disk
    truncate -s 64M image
    rm image && truncate -s 64M image && mkfs.fat -F 32 -n EFI image >mkfs.txt
    mcopy -s -m -Q -i image large/* ::/
    dd if=image of=disk bs=1M seek=1 conv=notrunc,sparse status=none
    "$EMBR_IMG" extract disk /p1 -C out || fail "extract"
    python3 "$tests/fs-tree.py" dump out/p1 >ours.txt
    compare ours.txt large.txt || fail "extract: not what was written"
    "$EMBR_IMG" cat disk /p1/sizes/3000000 | cmp - large/sizes/3000000 || fail "cat"
    "$EMBR_IMG" convert -O engram disk disk.engram 2>said.txt || { cat said.txt >&2; fail "convert"; }
    [ ! -s said.txt ] || { cat said.txt >&2; fail "convert says something"; }
    "$EMBR_IMG" convert -O raw disk.engram back.raw || fail "convert back"
    same back.raw disk "the disk read back"
    mcopy -i image large/sizes/3000000 ::/gone && mdel -i image ::/gone
    dd if=image of=disk bs=1M seek=1 conv=notrunc,sparse status=none
    "$EMBR_IMG" convert -O engram -o free_space=drop disk dropped.engram || fail "free_space=drop"
    "$EMBR_IMG" extract dropped.engram /p1 -C dropped || fail "extract, free space dropped"
    python3 "$tests/fs-tree.py" dump dropped/p1 >ours.txt
    compare ours.txt large.txt || fail "free space dropped: not what was written"
    "$EMBR_IMG" convert -O raw dropped.engram dropped.raw || fail "convert, free space dropped"
    cmp -s dropped.raw disk && fail "free space is still there"
    "$EMBR_IMG" ls -R disk /p1 >expected
    if python3 "$tests/engram_spec.py" files disk.engram >files.txt; then
        python3 - <<'END' || fail "the manifest"
import json
have = {'/p1/' + e['path'] for e in map(json.loads, open('files.txt')) if e['path']}
want = set(open('expected').read().split('\n')) - {''}
assert have == want and len(want) > 350, have ^ want
digests = [e for e in map(json.loads, open('files.txt')) if e['digest']]
assert len(digests) > 300, len(digests)
END
    fi
fi
[ "$mounted" -gt 0 ] || echo "not compared with the kernel: $(head -1 mount.txt 2>/dev/null || echo not root)"
echo "$(wc -l <large.txt) files in each of the large ones"
