#!/bin/bash
# FAT12, FAT16 and FAT32 that Linux's vfat filled and aged, in odd geometries, must read as
# Linux reads them: names, types, sizes, modes, owners, times, contents, links and blocks.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/guest.sh"
need_guest vfat nls_cp437 mkfs.fat python3

tests=$EMBR_SOURCE/tests/functional
fs_dump=$EMBR_BUILD/tests/functional/fs-dump
disks=()
names=()

# add NAME SIZE MKFS-OPTION...
add()
{
    local name=$1 size=$2
    shift 2
    truncate -s "$size" "$name"
    mkfs.fat "$@" "$name" >mkfs.txt 2>&1 || { cat mkfs.txt >&2; fail "mkfs.fat $*"; }
    names+=("$name")
    disks+=(-d "$name")
}

add fat12-512 4M -F 12 -s 2 -f 3 -R 7 -r 512
add fat12-4096 12M -F 12 -S 4096 -s 1
add fat16-2048 80M -F 16 -S 2048 -s 2 -r 1024 -f 1
add fat32-512 40M -F 32 -s 1 -R 40 -f 4
add fat32-4096 600M -F 32 -S 4096 -s 2
# As disks of today are; more than 4 GiB.
add fat32 9G -F 32

guest "${disks[@]}" -- "${names[@]}" <<'SCRIPT' || fail "the guest"
devices=(/dev/ubd[a-z])
tests=$EMBR_SOURCE/tests/functional
options=utf8,codepage=437,umask=022
i=0
for name; do
    device=${devices[i++]}
    mount -t vfat -o "$options" "$device" /mnt
    mkdir /mnt/tree /mnt/churn
    python3 "$tests/fat-tree.py" /mnt/tree many=40 large=70000
    python3 "$tests/churn.py" /mnt/churn $i 160 plain
    umount /mnt
    mount -t vfat -o "$options,ro" "$device" /mnt
    python3 "$tests/fs-tree.py" dump /mnt >"$name.theirs"
    umount /mnt
done
# In use when the image is made: all is written, but the volume is marked.
mount -t vfat -o "$options" /dev/ubda /mnt
sync
cp /dev/ubda dirty
umount /mnt
SCRIPT

# ino: Linux makes numbers up.
compare()
{
    python3 "$tests/fs-tree.py" compare "$1" "$2" ino >&2 || fail "$3: not as Linux shows it"
}

for name in "${names[@]}"; do
    "$fs_dump" "$name" >"$name.ours" 2>said.txt || { cat said.txt >&2; fail "$name: fs-dump"; }
    grep "^warning" said.txt >&2 && fail "$name: there are warnings"
    [ "$(wc -l <"$name.ours")" -gt 130 ] || fail "$name: too few files"
    compare "$name.ours" "$name.theirs" "$name"
done
"$fs_dump" dirty >dirty.ours 2>said.txt || { cat said.txt >&2; fail "dirty: fs-dump"; }
grep -q '^warning.*not unmounted' said.txt || { cat said.txt >&2; fail "dirty: no warning"; }
compare dirty.ours fat12-512.theirs dirty
