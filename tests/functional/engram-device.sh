#!/bin/bash
# Engrams on block devices: written in place, exact; what fails half-way is no engram.
source "$(dirname "$0")/common.sh"
need_loop
find_aio_modes

random_file data.raw $((6 << 20)) 11
truncate -s 20M data.raw
random_file large.raw $((17 << 20)) 13
for sector in 512 4096; do
    truncate -s 16M disk.img
    attach_loop disk.img -b $sector
    for aio in $AIO_MODES; do
        export EMBR_AIO=$aio
        "$EMBR_IMG" convert -O engram data.raw "$LOOP"
        "$EMBR_IMG" check -q "$LOOP" || fail "$aio: check of an engram on a device"
        "$EMBR_IMG" compare -q data.raw "$LOOP" || fail "$aio: compare"
        [ -b "$LOOP" ] || fail "the device was replaced"

        expect_failure 1 'No space left on device' \
            "$EMBR_IMG" convert -O engram large.raw "$LOOP"
        if "$EMBR_IMG" info -f engram "$LOOP" >out 2>&1; then
            cat out >&2
            fail "$aio: an engram half overwritten still counts as one"
        fi
    done
done

# Temporary files do not belong where devices are.
if unshare -m true 2>/dev/null; then
    unshare -m bash -c 'mount --bind /dev /dev && mount -o remount,bind,ro /dev &&
        ! touch /dev/embr-test 2>/dev/null && exec "$0" convert -O engram data.raw "$1"' \
        "$EMBR_IMG" "$LOOP" || fail "convert needs a folder of devices that can be written"
    "$EMBR_IMG" compare -q data.raw "$LOOP" || fail "compare"
fi
