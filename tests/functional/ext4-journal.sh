#!/bin/bash
# Images of a filesystem in use, whose journal was not replayed, must read as the kernel
# reads them after it replayed the journal.
source "$(dirname "$0")/common.sh"
need mke2fs python3 mount dumpe2fs debugfs
need_loop

fs_dump=$EMBR_BUILD/tests/functional/fs-dump
tests=$EMBR_SOURCE/tests/functional
mkdir mnt
on_exit "mountpoint -q '$TEST_DIR/mnt' && umount '$TEST_DIR/mnt'"
count=0

# replayed NAME: image as the kernel shows it, into theirs. Its own copy is changed.
replayed()
{
    local loop
    cp --sparse=always image copy
    loop=$(losetup --show -f copy)
    # Fast commits are replayed by a writable mount only.
    if [ "${FAST:-}" ] && mount -o noatime "$loop" mnt; then
        umount mnt
    fi
    if ! mount -o ro "$loop" mnt; then
        losetup -d "$loop"
        fail "$1: the kernel does not mount it"
    fi
    python3 "$tests/fs-tree.py" dump mnt >theirs
    umount mnt
    losetup -d "$loop"
}

# check NAME MOUNT-OPTIONS MKE2FS-OPTION...
check()
{
    local name=$1 options=$2 round WITHOUT=
    shift 2
    rm -f live image
    truncate -s 160M live
    mke2fs -q -F "$@" live >mke2fs.txt 2>&1 || { cat mke2fs.txt >&2; fail "mke2fs $*"; }
    mount -o "loop,$options" live mnt || fail "$name: mount"
    if [ "${FAST:-}" ]; then
        # Fast commits do not tell of these.
        WITHOUT='atime dir:mtime dir:ctime dir:size dir:allocated'
        mkdir mnt/fast
        python3 "$tests/churn.py" mnt/fast 50 200
        sync -f mnt
        python3 "$tests/churn.py" mnt/fast "$FAST" "${OPERATIONS:-40}" fast
        ROUNDS=0
    fi
    for ((round = 1; round <= ${ROUNDS:-3}; round++)); do
        mkdir mnt/$round
        python3 "$tests/churn.py" mnt/$round $round $((100 + round * 70))
        if [ "$round" = 1 ]; then
            sync -f mnt
        else
            echo end >mnt/$round/end
            sync mnt/$round/end
        fi
    done
    cp --sparse=always live image
    if [ "${FAST:-}" ]; then
        python3 "$tests/fs-tree.py" dump mnt >theirs
    fi
    umount mnt
    dumpe2fs -h image 2>/dev/null | grep -q needs_recovery || fail "$name: a clean journal"
    debugfs -R 'logdump -a' image >>log.txt 2>/dev/null
    "$fs_dump" image >ours 2>errors.txt || { cat errors.txt >&2; fail "$name: fs-dump"; }
    same_through_engram image image "$name"
    if grep '^warning' errors.txt >&2; then
        fail "$name: a warning"
    fi
    if [ "${FAST:-}" ]; then
        python3 "$tests/fs-tree.py" compare ours theirs $WITHOUT >&2 ||
            fail "$name: not as it was"
        # Of what fast commits do not tell, and of blocks that were metadata before, a kernel
        # (6.18) makes something else in its replay.
        WITHOUT+=' dir:nlink allocated sum'
    fi
    replayed "$name"
    python3 "$tests/fs-tree.py" compare ours theirs $WITHOUT >&2 || fail "$name: not as replayed"
    count=$((count + 1))
}

check csum-v3 defaults -t ext4 -b 4096
check no-64bit defaults -t ext4 -b 4096 -O ^64bit
check no-checksums defaults -t ext4 -b 4096 -O ^metadata_csum
check v1-checksums journal_checksum -t ext4 -b 4096 -O ^metadata_csum
check v1-async data=writeback,journal_async_commit -t ext4 -b 4096 -O ^metadata_csum
check ext3 defaults -t ext3 -b 1024
check data-journal data=journal -t ext4 -b 4096 -J size=16
check data-journal-1k data=journal -t ext4 -b 1024 -O ^metadata_csum
ROUNDS=8 check small-wraps defaults -t ext4 -b 1024 -J size=1
ROUNDS=8 check small-wraps-csum data=journal -t ext4 -b 1024 -J size=2
check no-delalloc nodelalloc -t ext4 -b 2048
check inline-data defaults -t ext4 -b 4096 -O inline_data
check orphan-file defaults -t ext4 -b 4096 -O orphan_file
if [ -e /sys/fs/ext4/features/fast_commit ]; then
    for FAST in 51 52 53 54 55 56; do
        check "fast-commit-$FAST" commit=300 -t ext4 -b 4096 -O fast_commit
    done
    OPERATIONS=12 check fast-commit-1k commit=300 -t ext4 -b 1024 -O fast_commit
    FAST=57 check fast-commit-inline commit=300 -t ext4 -b 4096 -O fast_commit,inline_data
    grep -q 'tag ADD_RANGE' log.txt || fail "no fast commits"
    grep -q 'tag DEL_RANGE' log.txt || fail "no fast commits that shorten"
fi

# All that a journal can hold was met.
grep -q 'Revoke FS block' log.txt || fail "nothing was revoked"
grep -qE 'flags 0x[0-9a-f]*[13579bdf]\)' log.txt || fail "no block was escaped"
awk '/Journal starts at block/ { first = $5 + 0 }
     /Found expected sequence/ { at = $0; sub(/.*at block /, "", at); if (at + 0 < first) wrapped = 1 }
     END { exit !wrapped }' log.txt || fail "no journal wrapped around"
echo "$count journals replayed"
