#!/bin/bash
# Time of embr-img over a filesystem of a type, and that of the field's programs over the
# kernel's mount of the same image, in one run.
#
#     bench-fs.sh TYPE TREE [RUNS [OPTION...]]
#
# TYPE is what the filesystem is: ext4, xfs, btrfs, vfat, squashfs, iso9660, ...; OPTIONs are
# those of the mount that fills it (btrfs: compress=zstd), or of the program that makes it from
# the tree.  TREE is a directory that it is filled with, or an image of such a filesystem.
# Needs root and loop devices.
#
# Listed is everything with metadata (find -ls; 7zz l and fls -r, where they can read it); read
# is all content, into a pipe (tar cf -).  Runs alternate, medians count, the page cache is warm.
source "$(dirname "$0")/bench-common.sh"
usage='usage: bench-fs.sh TYPE TREE|IMAGE [RUNS [OPTION...]]'
type=${1:?$usage}
tree=${2:?$usage}
runs=${3:-7}
options=("${@:4}")
export PATH=$PATH:/usr/sbin:/sbin

mkdir "$dir/mnt"
trap 'mountpoint -q "$dir/mnt" && umount "$dir/mnt"; rm -rf "$dir"' EXIT

# fill MKFS...: a filesystem twice as large as the tree, filled through a mount
fill()
{
    local bytes
    bytes=$(du -s --block-size=1M "$tree" | cut -f1)
    truncate -s $((bytes * 2 + 512))M "$image"
    "$@" "$image" >"$dir/mkfs.txt" 2>&1 || { cat "$dir/mkfs.txt" >&2; exit 1; }
    mount -o "$(IFS=,; echo "loop${options[*]:+,${options[*]}}")" "$image" "$dir/mnt"
    cp -a "$tree/." "$dir/mnt/" 2>"$dir/cp.txt" || tail -1 "$dir/cp.txt"
    umount "$dir/mnt"
}

image=$tree
if [ -d "$tree" ]; then
    image=$dir/image
    case $type in
    ext[234]) fill "mkfs.$type" -q -F ;;
    xfs) fill mkfs.xfs -q ;;
    btrfs) fill mkfs.btrfs -q ;;
    f2fs) fill mkfs.f2fs -q ;;
    vfat) fill mkfs.vfat -F 32 ;;
    exfat) fill mkfs.exfat ;;
    squashfs) mksquashfs "$tree" "$image" -quiet -no-progress "${options[@]}" ;;
    iso9660) xorriso -as mkisofs -quiet -R -J "${options[@]}" -o "$image" "$tree" ;;
    *) echo "bench-fs.sh: no way to make $type is known; give an image" >&2; exit 1 ;;
    esac
fi

mount -t "$type" -o loop,ro "$image" "$dir/mnt"
echo "$type ${options[*]}: $(find "$dir/mnt" | wc -l) files," \
    "$(du -s --block-size=1M --apparent-size "$dir/mnt" | cut -f1) MiB"
export embr image mnt=$dir/mnt

list_ours() { times "$embr" ls -lR "$image"; }
list_find() { times find "$mnt" -ls; }
list_7zz() { times 7zz l "$image"; }
list_fls() { times fls -r "$image"; }
read_ours() { times bash -c '"$embr" extract "$image" / -o - 2>/dev/null | cat >/dev/null'; }
read_tar() { times bash -c 'tar -C "$mnt" -cf - . 2>/dev/null | cat >/dev/null'; }

cat "$image" >/dev/null
list_find >/dev/null
read_tar >/dev/null
alternate "$runs" list_ours list_find true
compare "ls -lR, find -ls" "$dir/ours" "$dir/theirs" 1.00
for other in 7zz fls; do
    if command -v "$other" >/dev/null && "list_$other" >/dev/null 2>&1; then
        alternate "$runs" list_ours "list_$other" true
        compare "ls -lR, $other" "$dir/ours" "$dir/theirs" 0.20
    else
        echo "$other: is not there, or does not read it"
    fi
done
alternate "$runs" read_ours read_tar true
compare "extract, tar cf -" "$dir/ours" "$dir/theirs" 1.25
