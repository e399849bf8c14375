#!/bin/bash
# Filesystems that were written to, punched, renamed and deleted in at random, until they
# were nearly full and in pieces, must read as the kernel reads them; and what their block
# bitmaps say must be what debugfs says.
source "$(dirname "$0")/common.sh"
need mke2fs debugfs python3 mount
need_loop

fs_dump=$EMBR_BUILD/tests/functional/fs-dump
tests=$EMBR_SOURCE/tests/functional
mkdir mnt
on_exit "mountpoint -q '$TEST_DIR/mnt' && umount '$TEST_DIR/mnt'"

# check NAME BLOCK SEED MKE2FS-OPTION...
check()
{
    local name=$1 block=$2 seed=$3
    shift 3
    rm -f image
    truncate -s 80M image
    mke2fs -q -F -b "$block" -N 4000 "$@" image >mke2fs.txt 2>&1 ||
        { cat mke2fs.txt >&2; fail "mke2fs $*"; }
    mount -o loop image mnt
    mkdir mnt/churn
    python3 "$tests/churn.py" mnt/churn "$seed" 1500
    sync -f mnt
    python3 - mnt "$block" <<'END'
import os, sys
block = int(sys.argv[2])
with open(sys.argv[1] + '/pieces', 'wb', buffering=0) as file:
    for i in range(32 << 20 >> (block.bit_length() + 2)):
        try:
            os.pwrite(file.fileno(), b'%d' % i * 9, i * 2 * block)
        except OSError:
            break
END
    sync -f mnt
    python3 "$tests/churn.py" mnt/churn $((seed + 1)) 1000 || fail "$name: churn.py"
    umount mnt
    mount -o loop,ro image mnt
    python3 "$tests/fs-tree.py" dump mnt >theirs
    umount mnt
    "$fs_dump" -b image >ours 2>errors.txt || { cat errors.txt >&2; fail "$name: fs-dump"; }
    same_through_engram image image "$name"
    grep '^use ' ours >use.txt || true
    grep -v '^use ' ours >files.txt
    python3 "$tests/fs-tree.py" compare files.txt theirs >&2 || fail "$name: not as mounted"
    # Free runs, from both as single blocks.
    debugfs -R 'stats' image 2>/dev/null | awk '/^Free blocks/ { print $3 }' >free-theirs
    awk -v block="$block" '$2 == "free" { sum += $4 } END { print sum / block }' use.txt \
        >free-ours
    same free-ours free-theirs "$name: number of free blocks"
    awk -v block="$block" '$2 == "free" { print $3 / block }' use.txt | shuf -n 40 \
        --random-source=<(yes) | while read -r number; do
            echo "testb $number"
        done >testb.txt
    debugfs -f testb.txt image 2>/dev/null | grep 'marked in use' >&2 &&
        fail "$name: blocks called free are not"
    return 0
}

check ext4-1k 1024 10 -t ext4
check ext4-4k 4096 20 -t ext4 -O inline_data
check ext3-1k 1024 30 -t ext3
check bigalloc 4096 40 -t ext4 -O bigalloc -C 32768
check uninit 1024 50 -t ext4 -O ^metadata_csum,uninit_bg,^flex_bg -g 2048
