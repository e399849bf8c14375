#!/bin/bash
# Hybrid disks: ISO 9660 with a partition table in front of it, or around it.  Both the filesystem
# and the EFI partition can be read, whatever the table says of the former.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/iso9660-common.sh"
need mkfs.fat mcopy

mkdir -p tree/boot
truncate -s 2M tree/boot/efi.img
mkfs.fat tree/boot/efi.img >/dev/null
echo loader >loader
mcopy -i tree/boot/efi.img loader ::boot.efi
# What is free for FAT, but not for the file that it is in.
printf 'stale bytes' | dd of=tree/boot/efi.img bs=1 seek=2090000 conv=notrunc status=none
random_file tree/boot/isolinux.bin 4096 1
echo read me >tree/readme
head -c 432 /dev/zero >mbr

# check NAME TABLE ISO-VOLUME [EFI-VOLUME]
check()
{
    "$EMBR_IMG" volumes image >volumes.txt 2>errors.txt || { cat errors.txt >&2; fail "$1: volumes"; }
    [ ! -s errors.txt ] || { cat errors.txt >&2; fail "$1: there are warnings"; }
    grep -q "^partition table: $2\$" volumes.txt || { cat volumes.txt >&2; fail "$1: not $2"; }
    [ "$("$EMBR_IMG" cat image "$3/readme")" = "read me" ] || { cat volumes.txt >&2; fail "$1: iso9660"; }
    "$EMBR_IMG" cat image "$3/boot/efi.img" | cmp - tree/boot/efi.img || fail "$1: efi.img"
    if [ "${4:-}" ]; then
        [ "$("$EMBR_IMG" cat image "$4/boot.efi")" = loader ] ||
            { cat volumes.txt >&2; fail "$1: the EFI partition"; }
    fi
    rm -f image.engram
    "$EMBR_IMG" convert -O engram -o free_space=drop image image.engram || fail "$1: convert"
    if [ "${4:-}" != /p2 ] || [ "$1" != appended ]; then
        "$EMBR_IMG" compare -q image image.engram || fail "$1: what is not free is dropped"
    fi
    "$EMBR_IMG" cat image.engram "$3/boot/efi.img" | cmp - tree/boot/efi.img || fail "$1: engram"
}

bios="-b boot/isolinux.bin -no-emul-boot -boot-load-size 4"
efi="-e boot/efi.img -no-emul-boot"
pack image -R $efi || fail "plain"
check plain none ''
pack image -R $bios -isohybrid-mbr mbr || fail "isohybrid"
check isohybrid dos /p1
pack image -R $bios -isohybrid-mbr mbr -eltorito-alt-boot $efi -isohybrid-gpt-basdat || fail "uefi"
check isohybrid-uefi dos /p1 /p2
pack image -R $bios --protective-msdos-label -efi-boot-part --efi-boot-image \
    --efi-boot boot/efi.img || fail "grub"
check grub gpt /disk /p2
"$EMBR_IMG" ls image / | grep -qx disk || fail "the folder of the whole disk"
"$EMBR_IMG" ls -R image.engram / | grep -qx /disk/readme || fail "the whole disk in the engram"
pack image -R $bios -hfsplus -apm-block-size 2048 --protective-msdos-label -efi-boot-part \
    --efi-boot-image --efi-boot boot/efi.img || fail "grub with HFS+"
check grub-hfsplus gpt /disk /p2
pack image -R -partition_offset 16 -append_partition 2 0xef tree/boot/efi.img \
    -appended_part_as_gpt -e --interval:appended_partition_2:all:: -no-emul-boot || fail "appended"
check appended gpt /p1 /p2
pack image -R $bios -hfsplus || fail "Apple"
check apple none ''
