#!/bin/bash
# Time of embr-img over a filesystem of a type, and that of the field's programs over the
# kernel's mount of the same image, in one run.
#
#     bench-fs.sh TYPE TREE [RUNS [OPTION...]]
#
# TYPE is what the filesystem is: ext4, xfs, btrfs, vfat, squashfs, iso9660, ...; OPTIONs are
# those of the mount that fills it (btrfs: compress=zstd), or of the program that makes it from
# the tree.  TREE is a directory that it is filled with, or an image of such a filesystem.
# Needs root and loop devices, or exfat-fuse.  FAT and exFAT get what they can hold of the tree:
# directories and regular files; FAT is filled by mtools where the kernel does not mount it, and
# then only compared with programs.
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
trap 'mountpoint -q "$dir/mnt" && umount "$dir/mnt"; [ -z "$loop" ] || losetup -d "$loop"; rm -rf "$dir"' EXIT
loop=

# mount_image OPTIONS: false if nothing here can.
mount_image()
{
    if [ "$type" = exfat ]; then
        loop=${loop:-$(losetup --show -f "$image")}
        mount.exfat-fuse -o "$1" "$loop" "$dir/mnt" >"$dir/fuse.txt" 2>&1
    else
        mount -t "$type" -o "loop,$1" "$image" "$dir/mnt" 2>/dev/null
    fi
}

# copy_plain: what FAT can hold of the tree
copy_plain()
{
    (cd "$tree" && find . \( -type d -o -type f \) ! -path '*[:?*"<>|\\]*' ! -path '*.' -print0 |
        LC_ALL=C sort -z | tar --no-recursion --null -T - -cf - 2>/dev/null) |
        tar -C "$1" -xf - --no-same-owner --no-same-permissions 2>"$dir/cp.txt" ||
        tail -1 "$dir/cp.txt"
}

# fill MKFS...: a filesystem twice as large as the tree, filled through a mount
fill()
{
    local bytes
    bytes=$(du -s --block-size=1M "$tree" | cut -f1)
    truncate -s $((bytes * 2 + 512))M "$image"
    "$@" "$image" >"$dir/mkfs.txt" 2>&1 || { cat "$dir/mkfs.txt" >&2; exit 1; }
    case $type in
    vfat)
        mkdir "$dir/plain"
        copy_plain "$dir/plain"
        mcopy -Q -s -m -i "$image" "$dir/plain"/* ::/ 2>"$dir/cp.txt" </dev/null ||
            tail -1 "$dir/cp.txt"
        rm -r "$dir/plain"
        ;;
    exfat)
        mount_image rw && copy_plain "$dir/mnt"
        umount "$dir/mnt"
        ;;
    *)
        mount_image "$(IFS=,; echo "rw${options[*]:+,${options[*]}}")"
        cp -a "$tree/." "$dir/mnt/" 2>"$dir/cp.txt" || tail -1 "$dir/cp.txt"
        umount "$dir/mnt"
        ;;
    esac
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

mounted=true
mount_image ro || mounted=false
files=$("$embr" ls -R "$image" | wc -l)
[ "$files" -gt 0 ] || { echo "bench-fs.sh: nothing could be put on $type" >&2; exit 1; }
echo "$type ${options[*]}: $files files," \
    "$("$embr" ls -lR "$image" | awk '/^-/ { n += $5 } END { printf "%d", n / 1048576 }') MiB"
export embr image mnt=$dir/mnt

list_ours() { times "$embr" ls -lR "$image"; }
list_find() { times find "$mnt" -ls; }
list_7z() { times "$(command -v 7zz || command -v 7z)" l "$image"; }
list_fls() { times fls -r "$image"; }
read_ours() { times bash -c '"$embr" extract "$image" / -o - 2>/dev/null | cat >/dev/null'; }
read_tar() { times bash -c 'tar -C "$mnt" -cf - . 2>/dev/null | cat >/dev/null'; }

cat "$image" >/dev/null
if $mounted; then
    list_find >/dev/null
    read_tar >/dev/null
    alternate "$runs" list_ours list_find true
    compare "ls -lR, find -ls" "$dir/ours" "$dir/theirs" 1.00
else
    echo "find -ls, tar cf -: nothing here mounts $type"
fi
for other in 7z fls; do
    # 7z takes what it does not know for something else.
    if "list_$other" >/dev/null 2>&1 && [ "$(wc -l <"$dir/stdout")" -ge "$files" ]; then
        alternate "$runs" list_ours "list_$other" true
        compare "ls -lR, $other" "$dir/ours" "$dir/theirs" 0.20
    else
        echo "$other: is not there, or does not read it"
    fi
done
if $mounted; then
    alternate "$runs" read_ours read_tar true
    compare "extract, tar cf -" "$dir/ours" "$dir/theirs" 1.25
fi
