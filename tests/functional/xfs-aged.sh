#!/bin/bash
# Filesystems that were written to, punched, cloned, renamed and deleted in at random, until
# they were nearly full and in pieces, must read as the kernel reads them; and what is free
# must be what the groups' sums say.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/xfs-common.sh"
need_xfs_mount

# check NAME BLOCK SEED CLONES MKFS-OPTION...
check()
{
    local name=$1 block=$2 seed=$3 clones=$4
    shift 4
    new_xfs 320M -b "size=$block" "$@" || fail "$name: mkfs.xfs $*"
    mount -o loop image mnt 2>mount.txt || skip "not mounted: $(cat mount.txt)"
    mkdir mnt/churn
    # Most of it is taken, so that what follows has to fit between.
    fallocate -l 150M mnt/reserved
    python3 "$tests/churn.py" mnt/churn "$seed" 1500
    sync -f mnt
    if [ "$clones" = clones ]; then
        python3 "$tests/clone.py" mnt/churn "$seed" "$block" 300
    fi
    python3 - mnt "$block" <<'PYTHON'
import os, sys
block = int(sys.argv[2])
with open(sys.argv[1] + '/pieces', 'wb', buffering=0) as file:
    for i in range(32 << 20 >> (block.bit_length() + 2)):
        try:
            os.pwrite(file.fileno(), b'%d' % i * 9, i * 2 * block)
        except OSError:
            break
PYTHON
    sync -f mnt
    python3 "$tests/churn.py" mnt/churn $((seed + 1)) 1000 || fail "$name: churn.py"
    umount mnt
    dump_theirs theirs
    dump_ours ours || fail "$name: fs-dump"
    python3 "$tests/fs-tree.py" compare ours theirs >&2 || fail "$name: not as mounted"
    check_free "$name" "$block"
}

check v5 4096 1 clones -m reflink=1,rmapbt=1
check small-blocks 1024 2 none -m reflink=0,finobt=0 -n size=4096
check clones 1024 3 clones -m reflink=1 -i nrext64=1
