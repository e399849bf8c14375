#!/bin/bash
# Subvolumes and snapshots are folders, as the kernel shows them from the top level: nested
# ones, renamed ones, and places in a snapshot where the subvolume itself is not.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/btrfs-common.sh"
need_btrfs_mount

new_btrfs 400M -n 4096
mount -o loop image mnt 2>mount.txt || skip "not mounted: $(cat mount.txt)"
{
    btrfs subvolume create mnt/@
    btrfs subvolume create mnt/@home
    python3 "$tests/make-tree.py" mnt/@ block=4096 xattr=3500 many=300 target=3500 2>left-out.txt
    mkdir -p mnt/@/var/lib/machines
    chown 1000:1001 mnt/@/var/lib
    btrfs subvolume create mnt/@/var/lib/machines/one
    btrfs subvolume create mnt/@/var/lib/two
    btrfs subvolume create mnt/@/var/lib/two/deep
    echo one >mnt/@/var/lib/machines/one/file
    echo deep >mnt/@/var/lib/two/deep/file
    python3 "$tests/churn.py" mnt/@home 5 300
    btrfs subvolume snapshot mnt/@ mnt/snapshot
    btrfs subvolume snapshot -r mnt/@home mnt/@/read-only
    btrfs subvolume snapshot mnt/snapshot mnt/snapshot/of-a-snapshot
    btrfs subvolume snapshot mnt mnt/of-the-top
    python3 "$tests/churn.py" mnt/@home 6 300
    python3 "$tests/churn.py" mnt/snapshot 7 200
    btrfs subvolume snapshot mnt/@home mnt/@home-2
    rm -r mnt/snapshot/content mnt/@/names
    mv mnt/@/var/lib/two mnt/@home/moved
    mv mnt/snapshot/of-a-snapshot mnt/other-name
    btrfs subvolume create mnt/gone
    btrfs subvolume snapshot mnt/@home mnt/gone/inside
    btrfs subvolume delete mnt/gone/inside mnt/gone
    btrfs subvolume set-default "$(btrfs subvolume list mnt | awk '$NF == "@" { print $2 }')" mnt
    cp -a --reflink=always mnt/@/content/3 mnt/@home/clone
} >btrfs.txt 2>&1 || { cat btrfs.txt >&2; fail "subvolumes"; }
umount mnt
dump_theirs theirs
dump_ours ours || fail "fs-dump"
compare_dumps subvolumes ours theirs
check_free subvolumes
[ "$(grep -c 'mtime=now' theirs)" -gt 3 ] || fail "no place of a subvolume that is not there"
[ "$(awk '{ print $2 }' ours | sort | uniq -c | sort -rn | awk 'NR == 1 { print $1 }')" -lt 2000 ] ||
    fail "inode numbers are not unique"

# Each file of each subvolume has a number of its own: as many as the kernel has of pairs.
mount -o loop,ro,subvolid=5 image mnt
find mnt -printf '%D:%i\n' | sort -u | wc -l >pairs
find mnt -inum 2 | wc -l >stubs
umount mnt
numbers=$(awk '{ print $2 }' ours | sort -u | wc -l)
# All places of a subvolume have number 2 of it.
python3 - theirs.raw "$numbers" "$(cat pairs)" "$(cat stubs)" <<'PYTHON' || fail "inode numbers"
import re, sys
rows, numbers, pairs, stubs = sys.argv[1], *map(int, sys.argv[2:])
if not pairs <= numbers <= pairs + stubs:
    sys.exit('%d numbers, the kernel has %d, and %d places of subvolumes' % (numbers, pairs, stubs))
PYTHON

# Paths lead through them.
[ "$("$EMBR_IMG" cat image /@home/moved/deep/file)" = deep ] || fail "cat: a subvolume's file"
"$EMBR_IMG" ls image /of-the-top/@ >list || fail "ls: an empty place"
[ ! -s list ] || fail "ls: something is in an empty place"
expect_failure 1 '/of-the-top/@/x: no such file' "$EMBR_IMG" cat image /of-the-top/@/x
