#!/bin/bash
# Filesystems that mkfs.btrfs filled from a directory, with sectors that kernels of machines with
# small pages do not mount: everything must be that of the tree.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/btrfs-common.sh"

mkdir tree
python3 "$tests/make-tree.py" tree plain block=4096 xattr=3000 many=300 target=3500 2>left-out.txt
rm -r tree/content/sparse
python3 "$tests/fs-tree.py" dump tree >theirs

# check NAME MKFS-OPTION...
check()
{
    local name=$1
    shift
    new_btrfs 700M --rootdir tree "$@" || fail "$name: mkfs.btrfs $*"
    dump_ours ours || fail "$name: fs-dump"
    # What mkfs.btrfs does not carry over, or has a way of its own with.
    python3 "$tests/fs-tree.py" compare ours theirs ino nlink atime ctime crtime allocated \
        rdev dir:size dir:mtime flags path:types/socket >&2 || fail "$name: not as the tree is"
    check_free "$name"
}

check sectors-4k
check sectors-8k -s 8192 -n 16384
check sectors-16k -s 16384 -n 16384 --csum sha256
check sectors-64k -s 65536 -n 65536
