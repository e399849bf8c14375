#!/bin/bash
# A folder with 100,000 entries, a third of them gone again, and a file of 1 TB with little in
# it, are listed and read as the kernel does it.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/many-common.sh"
need_loop
mkdir mnt
on_exit "mountpoint -q '$TEST_DIR/mnt' && umount '$TEST_DIR/mnt'"

# try NAME SIZE MKFS-COMMAND...
try()
{
    local name=$1
    rm -f image
    truncate -s "$2" image
    shift 2
    command -v "$1" >/dev/null || { echo "$name: $1 is not installed"; return 0; }
    "$@" image >mkfs.txt 2>&1 || { cat mkfs.txt >&2; fail "$name: $*"; }
    mount -o loop image mnt 2>mount.txt || { echo "$name: $(cat mount.txt)"; return 0; }
    python3 fill.py mnt 100000 sparse || fail "$name: not filled"
    umount mnt
    mount -o loop,ro image mnt
    python3 list.py mnt/many >theirs.txt
    python3 "$tests/fs-tree.py" dump mnt/large | grep -v '^\. ' >sparse.txt
    umount mnt
    list_all "$name"
    check "$name"
}

try ext4 256M mkfs.ext4 -q -b 1024 -O extent
try xfs 320M mkfs.xfs -q -b size=1024 -n size=4096
try btrfs 256M mkfs.btrfs -q
[ ${#done_with[@]} -gt 0 ] || skip "this kernel mounts none of them"
echo "compared: ${done_with[*]}"
