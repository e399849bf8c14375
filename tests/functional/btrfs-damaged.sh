#!/bin/bash
# Flipped bits: no crash, no hang; nothing wrong is said without an error, other copies are used
# where there are some, and what is not damaged is still listed.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/btrfs-common.sh"
need_btrfs_mount

# fill: small files of all kinds, in trees of some levels.
fill()
{
    mount -o loop image mnt 2>mount.txt || skip "not mounted: $(cat mount.txt)"
    mkdir mnt/tree
    python3 "$tests/make-tree.py" mnt/tree block=4096 xattr=3500 many=1500 target=3500 \
        2>left-out.txt
    rm -r mnt/tree/content/sparse mnt/tree/content/hole
    btrfs subvolume create mnt/other >/dev/null
    cp -a mnt/tree/dirs mnt/tree/xattrs mnt/other
    btrfs subvolume snapshot mnt/other mnt/tree/snapshot >/dev/null
    umount mnt
}

# check NAME ROUNDS MKFS-OPTION...
check()
{
    local name=$1 rounds=$2
    shift 2
    new_btrfs 128M "$@" || fail "$name: mkfs.btrfs $*"
    fill
    python3 "$tests/damage.py" "$fs_dump" image checked "$rounds" || fail "$name"
}

# damage WHERE...: of the image's copy, the bytes at these places.
damage()
{
    local at
    cp --sparse=always image damaged
    for at; do
        printf '\xa5\x5a\xa5' | dd of=damaged bs=1 seek="$at" conv=notrunc status=none
    done
}

# places TREE: where the tree's top block is, all its copies.
places()
{
    local logical
    logical=$(btrfs inspect-internal dump-tree -t "$1" image |
        awk '/^(leaf|node) / && !n { print $2; n = 1 }')
    btrfs-map-logical -l "$logical" image | sed -n 's/.*physical \([0-9]*\).*/\1/p'
}

check single 30 -m single -n 4096
check dup 8 -m dup -n 16384 --csum xxhash

# What each kind of damage is called.
new_btrfs 128M -m single -d single -n 4096
fill
dump_ours whole
damage 65700
"$fs_dump" damaged >ours 2>errors.txt || { cat errors.txt >&2; fail "damaged superblock"; }
grep -qE '^warning: .*superblock: checksum is 0x[0-9a-f]+, expected 0x[0-9a-f]+; the copy at offset 0x4000000 is used' \
    errors.txt || { cat errors.txt >&2; fail "damaged superblock: not told"; }
same ours whole "by the superblock's copy"
# Nothing at all at its place: it is the copy by which it is known.
dd if=/dev/zero of=damaged bs=4096 seek=16 count=1 conv=notrunc status=none
"$EMBR_IMG" volumes damaged 2>/dev/null | grep -q btrfs || fail "not known by the superblock's copy"
damage 65700 $((64 * 1024 * 1024 + 200))
expect_failure 1 'superblock: checksum is' "$fs_dump" damaged

# A volume that ends early is read as far as it goes.
cp --sparse=always image cut
truncate -s 100M cut
"$fs_dump" cut >ours 2>errors.txt || true
grep -q 'warning.*spans 0x8000000 bytes, but the volume ends at 0x6400000' errors.txt ||
    { cat errors.txt >&2; fail "a volume that is cut off"; }

if command -v btrfs-map-logical >/dev/null; then
    # A node on top of a subvolume: all the rest is there.
    mapfile -t at < <(places 256)
    damage $((at[0] + 300))
    "$fs_dump" damaged >ours 2>errors.txt && fail "a damaged subvolume: no error"
    grep -qE 'other: .*subvolume 256: .*tree block: checksum is' errors.txt ||
        { cat errors.txt >&2; fail "a damaged subvolume: not named"; }
    grep -v '^other[ /]' whole >expected
    grep -v '^other[ /]' ours | cmp -s - expected || fail "more than a subvolume is missing"

    # One of two copies is enough; none is not.
    new_btrfs 256M -m dup -d dup --csum blake2
    fill
    dump_ours whole
    mapfile -t at < <(places fs)
    [ ${#at[@]} = 2 ] || fail "no two copies"
    damage $((at[0] + 300))
    "$fs_dump" damaged >ours 2>errors.txt || { cat errors.txt >&2; fail "one bad copy"; }
    same ours whole "by the other copy"
    grep -q 'warning: .*another copy is used' errors.txt || fail "one bad copy: not told"
    damage $((at[0] + 300)) $((at[1] + 300))
    expect_failure 1 'root: .*tree block: checksum is' "$fs_dump" damaged
    # The same of content: that of the largest file.
    file=/tree/content/1228801
    "$EMBR_IMG" cat image $file >content
    logical=$(btrfs inspect-internal dump-tree -t fs image |
        sed -n 's/.*extent data disk byte \([1-9][0-9]*\) nr \([0-9]*\).*/\2 \1/p' | sort -n |
        tail -1 | cut -d' ' -f2)
    mapfile -t at < <(btrfs-map-logical -l "$logical" image | sed -n 's/.*physical \([0-9]*\).*/\1/p')
    [ ${#at[@]} = 2 ] || fail "no two copies of content"
    damage $((at[0] + 5000))
    "$EMBR_IMG" cat damaged $file 2>errors.txt >other ||
        { cat errors.txt >&2; fail "content, one bad copy"; }
    same other content "content by the other copy"
    grep -q 'data is not what its checksum says; another copy is used' errors.txt ||
        fail "content, one bad copy: not told"
    damage $((at[0] + 5000)) $((at[1] + 5000))
    expect_failure 1 'data is not what its checksum \(blake2b\) says, in none of 2 copies' \
        "$EMBR_IMG" cat damaged $file
fi

# Compressed content that is damaged is told of, wherever it is read; other files are not.
new_btrfs 128M -m single -d single
mount -o loop,compress-force=zstd image mnt
for i in 1 2 3 4; do
    python3 -c 'print("the same again and again " * 900, end="")' >mnt/text-$i
done
umount mnt
"$fs_dump" image >/dev/null 2>&1 || fail "compressed files"
btrfs inspect-internal dump-tree -t fs image >tree.txt
read -r logical bytes < <(sed -n 's/.*extent data disk byte \([1-9][0-9]*\) nr \([0-9]*\).*/\1 \2/p' tree.txt |
    sed -n 2p)
python3 - tree.txt image "$logical" >at <<'PYTHON'
import re, subprocess, sys
tree = subprocess.run(['btrfs', 'inspect-internal', 'dump-tree', '-t', 'chunk', sys.argv[2]],
                      capture_output=True, text=True, check=True).stdout
logical = int(sys.argv[3])
for start, length, at in re.findall(
        r'CHUNK_ITEM (\d+)\).*?length (\d+).*?stripe 0 devid 1 offset (\d+)', tree, re.S):
    if int(start) <= logical < int(start) + int(length):
        print(int(at) + logical - int(start))
PYTHON
damage $(($(cat at) + 20))
expect_failure 1 'text-2: .*what cannot be read becomes zeroes: .*data is not what its checksum' \
    "$EMBR_IMG" extract damaged / -C out
for i in 1 3 4; do
    "$EMBR_IMG" cat image /text-$i | cmp - out/text-$i || fail "text-$i, which is not damaged"
done
[ "$(stat -c %s out/text-2)" = "$(stat -c %s out/text-1)" ] || fail "the size of a damaged file"
expect_failure 1 'text-2: .*is left out' "$EMBR_IMG" extract --skip-damaged damaged / -C out-2
[ ! -e out-2/text-2 ] && [ -e out-2/text-3 ] || fail "--skip-damaged"

# Refused by name.
refused()
{
    python3 - image "$1" "$2" <<'PYTHON'
import struct, sys
def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82f63b78 * (crc & 1)
    return crc ^ 0xffffffff
with open(sys.argv[1], 'rb') as file:
    file.seek(65536)
    sector = bytearray(file.read(4096))
at, value = int(sys.argv[2]), int(sys.argv[3], 0)
struct.pack_into('<Q', sector, at, struct.unpack_from('<Q', sector, at)[0] | value)
struct.pack_into('<I', sector, 0, crc32c(sector[32:]))
with open('refused', 'wb') as file:
    file.truncate(128 << 20)
    file.seek(65536)
    file.write(sector)
PYTHON
    expect_failure 1 "$3" "$fs_dump" refused
}
new_btrfs 128M
refused 188 0x1000 'incompatible feature 0x1000 \(zoned\) is not supported'
refused 188 0x2000 'incompatible feature 0x2000 \(extent-tree-v2\)'
refused 188 0x4000 'incompatible feature 0x4000 \(raid-stripe-tree\)'
refused 188 0x4000000000 'incompatible feature 0x4000000000 \(unknown\)'
refused 136 2 'the filesystem is on 3 devices \(this is device 1\)'
truncate -s 128M one two
mkfs.btrfs -q -f -d raid1 -m raid1 one two >mkfs.txt 2>&1
expect_failure 1 'the filesystem is on 2 devices \(this is device 2\)' "$fs_dump" two
