#!/bin/bash
# Filesystems that were written to, punched, cloned, snapshotted, balanced and deleted in at
# random, until they were nearly full and in pieces, must read as the kernel reads them; and what
# is free must be what the filesystem itself counts.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/btrfs-common.sh"
need_btrfs_mount

# check NAME MOUNT-OPTIONS SEED MKFS-OPTION...
check()
{
    local name=$1 options=$2 seed=$3 i
    shift 3
    new_btrfs 320M "$@" || fail "$name: mkfs.btrfs $*"
    mount -o "loop$options" image mnt 2>mount.txt || skip "not mounted: $(cat mount.txt)"
    btrfs subvolume create mnt/churn >/dev/null
    fallocate -l 100M mnt/reserved
    for i in 1 2 3; do
        python3 "$tests/churn.py" mnt/churn $((seed * 10 + i)) 500 || fail "$name: churn.py"
        python3 "$tests/clone.py" mnt/churn $((seed * 10 + i)) 4096 200
        btrfs subvolume snapshot mnt/churn mnt/snapshot-$i >/dev/null
        sync -f mnt
    done
    python3 "$tests/churn.py" mnt/snapshot-2 $((seed * 10)) 300 || fail "$name: churn.py"
    btrfs filesystem defragment -r mnt/snapshot-3 >/dev/null 2>&1 || true
    btrfs subvolume delete --commit-after mnt/snapshot-1 >/dev/null
    btrfs subvolume sync mnt >/dev/null
    btrfs balance start -musage=80 -dusage=60 mnt >balance.txt 2>&1 || true
    umount mnt
    dump_theirs theirs
    dump_ours ours || fail "$name: fs-dump"
    compare_dumps "$name" ours theirs
    check_free "$name"
}

check plain '' 1 -n 4096
check packed ,compress=zstd 2 --csum xxhash
# Of mkfs.btrfs from 6.7 on.
if mkfs.btrfs -O list-all 2>&1 | grep -q block-group-tree; then
    check group-tree '' 3 -O block-group-tree,squota --csum blake2
else
    echo "mkfs.btrfs knows no block group trees: not tested"
fi
