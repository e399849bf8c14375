#!/bin/bash
# Images of formats that are not read are named, not taken for the disk itself.
source "$(dirname "$0")/common.sh"
need qemu-img

# refused FILE FORMAT
refused()
{
    expect_failure 1 "'$1': images of format $2 cannot be read" "$EMBR_IMG" info "$1"
    expect_failure 1 "'$1': images of format $2 cannot be read" \
        "$EMBR_IMG" convert -O engram "$1" target
    [ ! -e target ] || fail "$1: a target was made"
    "$EMBR_IMG" convert -f raw -O raw "$1" copy
    # A disk is whole sectors.
    truncate -s "$(stat -c %s "$1")" copy
    same "$1" copy "$1 as raw"
    rm copy
}

random_file data.raw 1000448 5
while read -r format name; do
    qemu-img convert -O "$format" data.raw "image.$format" 2>/dev/null ||
        { echo "no $format by this qemu-img"; continue; }
    refused "image.$format" "$name"
done <<'END'
vmdk VMDK
vdi VDI
vhdx VHDX
vpc VHD
qed QED
parallels Parallels
qcow qcow \(version 1\)
END
qemu-img create -q -f vmdk -o subformat=monolithicFlat flat.vmdk 1M
refused flat.vmdk VMDK

# As the backing image of another one, too.
qemu-img create -q -u -f qcow2 -b image.vdi overlay.qcow2 -F vdi 1M
expect_failure 1 "overlay.qcow2.*vdi|'vdi'" "$EMBR_IMG" info --backing-chain overlay.qcow2
