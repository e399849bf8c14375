#!/bin/bash
# What is only recognised on a volume is what blkid says it is: type, label, UUID.
source "$(dirname "$0")/common.sh"
need blkid python3

count=0

# check NAME [FILE]: FILE, or image, must be what blkid takes it for.
check()
{
    local name=$1 file=${2:-image}
    local key
    for key in TYPE UUID LABEL; do
        printf '%s=%s\n' $key "$(blkid -p -o value -s $key "$file")"
    done >blkid.txt
    grep -q 'TYPE=.' blkid.txt || { echo "$name: not known to blkid"; return; }
    "$EMBR_IMG" volumes -f raw --output=json "$file" >volumes.json || fail "$name: volumes"
    python3 - "$name" <<'END' || fail "$name: not what blkid says"
import json, sys
want = dict(line.rstrip('\n').split('=', 1) for line in open('blkid.txt'))
want = {k: v or None for k, v in want.items()}
have = json.load(open('volumes.json'))['volumes'][0]
keys = [('TYPE', 'filesystem'), ('UUID', 'uuid'), ('LABEL', 'label')]
if want['TYPE'] == 'ntfs':
    keys.pop()                              # it is in a file
bad = [(a, want.get(a), have.get(b)) for a, b in keys if want.get(a) != have.get(b)]
for key, theirs, ours in bad:
    print('%s: %s is %r to blkid, %r to us' % (sys.argv[1], key, theirs, ours), file=sys.stderr)
sys.exit(1 if bad else 0)
END
    count=$((count + 1))
}

# try NAME SIZE COMMAND...: the command makes a filesystem on an image of that size; not
# everybody has them all.
try()
{
    local name=$1 size=$2
    shift 2
    if ! command -v "$1" >/dev/null; then
        echo "$name: $1 is not installed"
        return
    fi
    rm -f image && truncate -s "$size" image
    "$@" >make.txt 2>&1 </dev/null || { cat make.txt >&2; fail "$name: $*"; }
    check "$name"
}

try swap 16M mkswap -L 'swap label' image
try swap-64k 16M mkswap -p 65536 image
try xfs 320M mkfs.xfs -q -f -L xfslabel image
try btrfs 256M mkfs.btrfs -q -f -L 'a btrfs label' image
try vfat-12 1M mkfs.vfat -F 12 -n TWELVE image
try vfat-16 16M mkfs.vfat -F 16 -n 'SIXTEEN' image
try vfat-32 64M mkfs.vfat -F 32 -n EFI -i 1234abcd image
try vfat-no-label 64M mkfs.vfat -F 32 image
try vfat-4k-sectors 300M mkfs.vfat -F 32 -S 4096 -n BIG image
try ntfs 32M mkfs.ntfs -q -F -Q -L windows image
try exfat 32M mkfs.exfat -L memory image
try f2fs 128M mkfs.f2fs -q -l 'f2fs größe' image
try luks1 16M cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 \
    --key-file /dev/fd/3 image 3< <(printf key)
try luks2 32M cryptsetup -q luksFormat --type luks2 --label crypted --pbkdf pbkdf2 \
    --pbkdf-force-iterations 1000 --key-file /dev/fd/3 image 3< <(printf key)
try bcache 16M make-bcache -B image
try reiserfs 64M mkfs.reiserfs -q -ff -l reiser image
try jfs 32M mkfs.jfs -q -L journaled image

mkdir -p tree/folder
echo text >tree/folder/file
try squashfs 0 mksquashfs tree image -noappend
try iso9660 0 genisoimage -quiet -V 'A_CD' -o image tree
try erofs 0 mkfs.erofs image tree
[ "$count" -gt 0 ] || skip "no program that makes what could be recognised"

# RAID members and physical volumes need the kernel to be made; what blkid looks at is
# not much.
python3 - <<'END'
import struct, zlib
uuid, name = bytes(range(16)), b'host:array'
def raid(at, total, superblock_offset):
    sb = bytearray(512)
    struct.pack_into('<IIII', sb, 0, 0xa92b4efc, 1, 0, 0)
    sb[16:32] = uuid
    sb[32:32 + len(name)] = name
    struct.pack_into('<QiIQ', sb, 64, 0, 1, 0, 2048)
    struct.pack_into('<I', sb, 92, 2)
    struct.pack_into('<QQQ', sb, 128, 64, 2048, superblock_offset)
    struct.pack_into('<I', sb, 220, 2)
    struct.pack_into('<I', sb, 216, 0)
    total_sum = sum(struct.unpack('<64I', sb[:256])) + 0
    struct.pack_into('<I', sb, 216, (total_sum & 0xffffffff) + (total_sum >> 32) & 0xffffffff)
    data = bytearray(total)
    data[at:at + 512] = sb
    return data
size = 4 << 20
open('raid-1.1', 'wb').write(raid(0, size, 0))
open('raid-1.2', 'wb').write(raid(4096, size, 8))
end = ((size // 512 - 16) & ~7) * 512
open('raid-1.0', 'wb').write(raid(end, size, end // 512))

crc = 0xf597a6cf
def lvm_crc(data):
    table = []
    for i in range(16):
        v = i
        for _ in range(4):
            v = v >> 1 ^ (0xedb88320 if v & 1 else 0)
        table.append(v)
    c = crc
    for byte in data:
        c = c >> 4 ^ table[(c ^ byte) & 15]
        c = c >> 4 ^ table[(c ^ byte >> 4) & 15]
    return c
sector = bytearray(512)
sector[0:8] = b'LABELONE'
struct.pack_into('<Q', sector, 8, 1)
struct.pack_into('<I', sector, 20, 32)
sector[24:32] = b'LVM2 001'
sector[32:64] = b'abcdefghijklmnopqrstuvwxyz012345'
struct.pack_into('<Q', sector, 64, size)
struct.pack_into('<I', sector, 16, lvm_crc(sector[20:]))
data = bytearray(size)
data[512:1024] = sector
open('lvm', 'wb').write(data)
END
for name in raid-1.0 raid-1.1 raid-1.2 lvm; do
    check $name $name
done

# blkid wants more of a BitLocker volume than its signature.
rm -f image && truncate -s 1M image
printf '\xeb\x58\x90-FVE-FS-' | dd of=image conv=notrunc status=none
"$EMBR_IMG" volumes --output=json image | grep -q '"filesystem": "BitLocker"' || fail "BitLocker"

# What holds a filesystem within is not taken for that filesystem.
if command -v mke2fs >/dev/null; then
    mke2fs -q -F raid-1.0 2>/dev/null || fail "mke2fs"
    check "a mirror of ext2" raid-1.0
fi

# Copies of a superblock that are left over are no filesystem.
if command -v mke2fs mkfs.vfat >/dev/null; then
    rm -f image && truncate -s 60M image
    mke2fs -q -F -b 1024 image && mkfs.vfat -F 16 image >/dev/null || fail "mkfs.vfat over ext2"
    check "FAT where ext2 was"
fi

# Neither zeroes nor what is too short are anything.
for size in 1 512 5000 70000 100000; do
    rm -f image && truncate -s $size image
    "$EMBR_IMG" volumes -f raw --output=json image | grep -q '"filesystem"' &&
        fail "$size bytes of nothing are a filesystem"
done

# Files of what is only recognised cannot be listed.
expect_failure 1 'lvm: holds LVM2_member, which this version cannot list or read' \
    "$EMBR_IMG" ls lvm

echo "$count kinds of volumes"
