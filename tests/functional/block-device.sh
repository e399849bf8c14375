#!/bin/bash
# Block devices as source and target, with sectors of 512 and of 4096 bytes.
source "$(dirname "$0")/common.sh"
need qemu-img cmp
need_loop
find_aio_modes

random_file data.raw $((6 << 20)) 11
truncate -s 20M data.raw
for sector in 512 4096; do
    head -c 20M /dev/zero | tr '\0' U >disk.img
    attach_loop disk.img -b $sector
    for aio in $AIO_MODES; do
        export EMBR_AIO=$aio
        qemu-img info --output=json -f raw "$LOOP" >ref
        "$EMBR_IMG" info --output=json "$LOOP" >out
        same_json ref out "info of a device"

        # What is zero in the source must become zero: a device is not new.
        "$EMBR_IMG" convert -n -O raw data.raw "$LOOP"
        cmp data.raw "$LOOP" || fail "convert to a device of $sector byte sectors"
        "$EMBR_IMG" compare data.raw "$LOOP"
        rm -f out.raw
        "$EMBR_IMG" convert -O raw "$LOOP" out.raw
        same data.raw out.raw "convert from a device"
        [ "$(stat -c %b out.raw)" -lt $((7 << 11)) ] || fail "zeroes of a device were written"
        "$EMBR_IMG" map --output=json "$LOOP" >out
        qemu-img map --output=json -f raw "$LOOP" >ref
        same_json ref out "map of a device"
        dd if=/dev/zero bs=1M count=20 status=none | tr '\0' U >"$LOOP"
    done
done

truncate -s 21M big.raw
expect_failure 1 "$LOOP: the target has 20971520 bytes, the source 22020096" "$EMBR_IMG" convert -n -O raw big.raw "$LOOP"
