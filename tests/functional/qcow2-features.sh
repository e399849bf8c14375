#!/bin/bash
# qcow2 images with every feature, against qemu-img.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/qcow2-common.sh"

for width in 1 2 4 8 16 32 64; do
    try compress 512 refcount_bits=$width
    try plain 65536 refcount_bits=$width,lazy_refcounts=on
done

for cluster in 512 65536 2097152; do
    try plain $cluster data_file=t.data
    try plain $cluster data_file=t.data,data_file_raw=on
done
try plain 65536 data_file=t.data,extended_l2=on
try plain 16384 data_file=t.data,data_file_raw=on,extended_l2=on

for mode in metadata falloc full; do
    try plain 65536 preallocation=$mode
    try plain 4096 preallocation=$mode
done
try plain 16384 extended_l2=on,preallocation=metadata

# Images of no bytes, of one sector, and sparse ones of many terabytes.
for size in 0 512 1T 64T; do
    rm -f t.qcow2
    qemu-img create -q -f qcow2 t.qcow2 $size
    if [ $size != 0 ]; then
        qemu-io -f qcow2 -c 'write -P 1 0 512' t.qcow2 >/dev/null
        qemu-img map --output=json t.qcow2 >map.qemu
        "$EMBR_IMG" map --output=json t.qcow2 >map.embr
        same_answers map.embr map.qemu "size $size: map"
    fi
    same_check t.qcow2 "size $size"
done

# What qemu-img convert itself writes, compressed; many clusters in one request.
random_file src.raw 9000000 7
qemu-img convert -q -f raw -O qcow2 -c src.raw zlib.qcow2
qemu-img convert -q -f raw -O qcow2 -c -o compression_type=zstd,cluster_size=4k src.raw zstd.qcow2
python3 -c 'print("text that compresses well\n" * 400000)' >text.raw
qemu-img convert -q -f raw -O qcow2 -c text.raw text.qcow2
for image in zlib zstd text; do
    agree $image.qcow2 "convert -c, $image"
done

# Bitmaps, and an image that was not closed.
rm -f t.qcow2
qemu-img create -q -f qcow2 t.qcow2 10M
qemu-img bitmap --add t.qcow2 one
qemu-img bitmap --add -g 512 --disable t.qcow2 two
qemu-io -f qcow2 -c 'write -P 7 1M 3M' t.qcow2 >/dev/null
agree t.qcow2 bitmaps
qemu-img create -q -f qcow2 -o lazy_refcounts=on dirty.qcow2 10M
qemu-io -f qcow2 -c 'write -P 7 1M 3M' -c abort dirty.qcow2 >/dev/null 2>&1 || true
qemu-img info --output=json dirty.qcow2 >info.qemu
"$EMBR_IMG" info --output=json dirty.qcow2 >info.embr
grep -q '"dirty-flag": true' info.qemu || fail "the image is not dirty"
same_answers info.embr info.qemu "dirty image: info"
same_check dirty.qcow2 "dirty image"
