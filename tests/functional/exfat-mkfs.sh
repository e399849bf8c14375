#!/bin/bash
# What is read of exFAT is what was put into it, by a filler that does what drivers may do
# and, where it can be mounted, by exfat-fuse.
source "$(dirname "$0")/common.sh"
need mkfs.exfat fsck.exfat python3

tests=$EMBR_SOURCE/tests/functional
fs_dump=$EMBR_BUILD/tests/functional/fs-dump
others=0

mkdir tree mnt
python3 "$tests/fat-tree.py" tree many=200 large=3000000
mkdir tree/written
python3 - <<'PYTHON'
import os, random
random.seed(1)
for size in (0, 1, 511, 512, 513, 5000, 65536, 100000):
    with open('tree/written/%d' % size, 'wb') as file:
        file.write(random.randbytes(size))
        file.truncate(100001)
    os.utime('tree/written/%d' % size, ns=(0, 1620284889230000000))
PYTHON
chmod a-w tree/written/513
python3 "$tests/fs-tree.py" dump tree >tree.txt

# What exFAT does not have; and times of directories, which are more exact than it knows.
compare()
{
    python3 "$tests/fs-tree.py" compare "$1" "$2" ino uid gid allocated atime ctime crtime \
        flags dir:size dir:mtime dir:nlink path:. "${@:3}" >&2
}

dump()
{
    "$fs_dump" -b image >dump.txt 2>said.txt || { cat said.txt >&2; fail "$1: fs-dump"; }
    grep '^warning' said.txt >&2 && fail "$1: there are warnings"
    grep -v '^use ' dump.txt >ours.txt
}

# The use of blocks is what the bitmap says.
check_use()
{
    python3 - dump.txt <<'PYTHON' || fail "$1: the bitmap says otherwise"
import struct, sys
image = open('image', 'rb')
def pread(at, n):
    image.seek(at)
    return image.read(n)
boot = pread(0, 512)
fat, fat_length, heap, count, root = struct.unpack_from('<5I', boot, 80)
sector, cluster = 1 << boot[108], 1 << boot[108] + boot[109]
second = boot[106] & 1
entries = pread(heap * sector + (root - 2) * cluster, 512)
entry = next(entries[at:at + 32] for at in range(0, 512, 32)
             if entries[at] == 0x81 and entries[at + 1] == second)
first, size = struct.unpack_from('<IQ', entry, 20)
bitmap = pread(heap * sector + (first - 2) * cluster, size)    # in one piece by mkfs.exfat
expected = [('metadata', 0, heap * sector)]
for n in range(count):
    use = 'used' if bitmap[n // 8] >> n % 8 & 1 else 'free'
    if expected[-1][0] == use:
        expected[-1] = (use, expected[-1][1], expected[-1][2] + cluster)
    else:
        expected.append((use, heap * sector + n * cluster, cluster))
found = [line.split()[1:] for line in open(sys.argv[1]) if line.startswith('use ')]
found = [(use, int(at), int(n)) for use, at, n in found]
assert found[:len(expected)] == expected, (found[:9], expected[:9])
assert all(use in ('used', 'unknown') for use, at, n in found[len(expected):]), found[-1]
PYTHON
}

# new_image SIZE MKFS-OPTION...
new_image()
{
    local size=$1
    shift
    rm -f image
    truncate -s "$size" image
    mkfs.exfat "$@" image >mkfs.txt 2>&1 || { cat mkfs.txt >&2; fail "mkfs.exfat $*"; }
}

# try NAME SIZE FILL-OPTIONS MKFS-OPTION...
try()
{
    local name=$1 size=$2 options=$3
    shift 3
    new_image "$size" "$@"
    # shellcheck disable=SC2086
    python3 "$tests/exfat-fill.py" image tree "${#name}" $options || fail "$name: not filled"
    # It knows neither what a vendor may add nor a second FAT.
    if [[ $options != *vendor* && $options != *texfat* ]]; then
        timeout 60 fsck.exfat -n image >fsck.txt 2>&1 || { cat fsck.txt >&2; fail "$name: fsck.exfat"; }
    fi
    dump "$name"
    compare ours.txt tree.txt mode || fail "$name: not what was put in"
    check_use "$name"
    grep -q '^written/513 .* mode=100555 ' ours.txt || fail "$name: a file that is read-only"
}

try clusters-of-a-sector 40M vendor=yes -c 512
try in-pieces 40M 'parts=yes vendor=yes' -c 512
try default 40M parts=no -L 'größe 日本'
"$EMBR_IMG" volumes --output=json image | grep -q '"label": "größe 日本"' || fail "label"
try default-in-pieces 40M parts=yes
try texfat 40M texfat=yes -c 4096
try large-clusters 2G parts=no -c 1M
try largest-clusters 20G parts=yes -c 32M

# What was never written reads as zeroes, and is told of.
new_image 40M -c 4096
python3 "$tests/exfat-fill.py" image tree 3 || fail "written: not filled"
"$EMBR_IMG" cat image /written/5000 | cmp - tree/written/5000 || fail "cat"
"$EMBR_IMG" convert -O engram image image.engram 2>said.txt || { cat said.txt >&2; fail "convert"; }
[ ! -s said.txt ] || { cat said.txt >&2; fail "convert says something"; }
"$EMBR_IMG" convert -O raw image.engram back.raw || fail "convert back"
same back.raw image "the disk read back"
"$EMBR_IMG" convert -O engram -o free_space=drop image dropped.engram || fail "free_space=drop"
"$EMBR_IMG" convert -O raw dropped.engram dropped.raw || fail "convert, free space dropped"
"$fs_dump" dropped.raw 2>said.txt >ours.txt || { cat said.txt >&2; fail "free space dropped"; }
compare ours.txt tree.txt mode || fail "free space dropped: not what was put in"
grep -q 'of a file that is gone' image || fail "nothing is in free space"
grep -q 'of a file that is gone' dropped.raw && fail "free space is still there"

# A filesystem by exfat-fuse, and of ours read by it.
if [ "$(id -u)" != 0 ] || ! command -v mount.exfat-fuse losetup >/dev/null || [ ! -e /dev/fuse ]; then
    echo "not compared with exfat-fuse"
    exit 0
fi

# mount_fuse: or returns 1; it has no use for plain files.
mount_fuse()
{
    mount.exfat-fuse "$LOOP" mnt -o "noatime,fmask=022,dmask=022$1" >mount.txt 2>&1
}

# The device is gone when the file is replaced.
attach_loop image
on_exit "mountpoint -q '$TEST_DIR/mnt' && umount '$TEST_DIR/mnt'"
if ! mount_fuse ,ro; then
    echo "not compared with exfat-fuse: $(tail -1 mount.txt)"
    exit 0
fi
python3 "$tests/fs-tree.py" dump mnt >theirs.txt
umount mnt
dump "read by exfat-fuse"
# It knows no zones and, in this version, not what was never written.
compare ours.txt theirs.txt mode mtime path:written/{0,1,511,512,513,5000,65536,100000} ||
    fail "not what exfat-fuse shows"

for bytes in 512 4096; do
    truncate -s 0 image && truncate -s 100M image
    attach_loop image -b $bytes
    mkfs.exfat -c 4096 "$LOOP" >mkfs.txt 2>&1 || { cat mkfs.txt >&2; fail "mkfs.exfat, sectors of $bytes"; }
    mount_fuse '' || { cat mount.txt >&2; fail "mount, sectors of $bytes"; }
    python3 "$tests/churn.py" mnt $bytes 250 plain || fail "churn, sectors of $bytes"
    umount mnt
    mount_fuse ,ro || fail "mount, sectors of $bytes"
    python3 "$tests/fs-tree.py" dump mnt >theirs.txt
    umount mnt
    sync "$LOOP"
    dump "aged, sectors of $bytes"
    compare ours.txt theirs.txt mode || fail "aged, sectors of $bytes: not what exfat-fuse shows"
    check_use "aged, sectors of $bytes"
done
echo "$(wc -l <tree.txt) files put in, $(wc -l <theirs.txt) by exfat-fuse"
