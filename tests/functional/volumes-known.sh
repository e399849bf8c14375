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
    if ! command -v "$1" >/dev/null || [[ "$*" = *genromfs* && ! -x $(command -v genromfs) ]]; then
        echo "$name: $1 is not installed"
        return
    fi
    rm -f image && truncate -s "$size" image
    "$@" >make.txt 2>&1 </dev/null || { cat make.txt >&2; fail "$name: $*"; }
    check "$name"
}

try swap 16M mkswap -L 'swap label' image
for page in 8192 16384 32768 65536; do
    try swap-$page 16M mkswap -p $page -L "of $page" image
done
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
try reiserfs-3.5 64M mkfs.reiserfs -q -ff --format 3.5 image
try reiser4 64M mkfs.reiser4 -f -y -L fourth image
try jfs 32M mkfs.jfs -q -L journaled image
try gfs2 32M mkfs.gfs2 -O -p lock_dlm -t cluster:disk -j 1 -J 8 image
try ocfs2 32M mkfs.ocfs2 -q -F -b 1024 -C 4096 -N 1 -M local -L small image
try ocfs2-4k 300M mkfs.ocfs2 -q -F -b 4096 -N 1 -M local -L large image
try nilfs2 256M mkfs.nilfs2 -q -L 'log structured' image
try udf-512 16M mkfs.udf -b 512 -l 'udf größe' image
try udf-2048 16M mkfs.udf -b 2048 --media-type=dvd --uuid=0123456789abcdef image
try udf-4096 16M mkfs.udf -b 4096 --vsid=hello image
try minix-1 4M mkfs.minix image
try minix-2 4M mkfs.minix -2 image
try minix-3 4M mkfs.minix -3 image
try bfs 1M mkfs.bfs -V volume -F name image
try apfs 600M mkapfs -L apple image
try jbd 16M mke2fs -q -F -O journal_dev -L journal image
truncate -s 300M data
try xfs-log 64M mkfs.xfs -q -f -l logdev=image,size=16384b data

mkdir -p tree/folder
echo text >tree/folder/file
try squashfs 0 mksquashfs tree image -noappend
try iso9660 0 genisoimage -quiet -V 'A_CD' -o image tree
try erofs 0 mkfs.erofs image tree
try cramfs 0 mkfs.cramfs -n crammed tree image
try romfs 0 bash -c 'genromfs -f image -d tree -V romlabel && truncate -s 64K image'
try ubifs 0 mkfs.ubifs -r tree -m 2048 -e 126976 -c 100 -F -o image
[ "$count" -gt 0 ] || skip "no program that makes what could be recognised"

# What holds a filesystem within is not taken for that filesystem.
# Metadata 0.90 and 1.0 are at the end of a member, whose data begins at 0.
python3 "$EMBR_SOURCE/tests/functional/known-superblocks.py" --write . || fail "known-superblocks.py"
for name in md-0.90 md-1.0; do
    if command -v mke2fs >/dev/null; then
        mke2fs -q -F -t ext2 "$name" 120k 2>/dev/null || fail "mke2fs"
        check "a mirror of ext2, $name" "$name"
        expect_failure 1 'holds linux_raid_member, which this version cannot list or read' \
            "$EMBR_IMG" ls "$name"
    fi
done

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
expect_failure 1 'lvm2: holds LVM2_member, which this version cannot list or read' \
    "$EMBR_IMG" ls lvm2

# In words: of which version it is, and what a swap area holds.
"$EMBR_IMG" volumes -f raw hibernated-s1 >table.txt || fail "volumes"
grep -q '^volume: swsuspend: version 1, little-endian, pages of 4096 bytes, .* (S1SUSPEND)$' \
    table.txt || { cat table.txt >&2; fail "no details"; }

echo "$count kinds of volumes"
