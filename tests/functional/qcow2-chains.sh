#!/bin/bash
# Backing chains with qcow2 images, against qemu-img.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/qcow2-common.sh"

# A chain of different cluster sizes, compression types and disk sizes; the names are
# relative to the image they are in.
random_file base.raw 3000320 3
mkdir -p a/b
qemu-img create -q -f qcow2 -b ../base.raw -F raw -o cluster_size=4k a/1.qcow2 5M
fill a/1.qcow2 1 5242880 4096 compress
qemu-img create -q -f qcow2 -b ../1.qcow2 -F qcow2 -o cluster_size=64k,compression_type=zstd a/b/2.qcow2 2M
fill a/b/2.qcow2 2 2097152 65536 compress
qemu-img create -q -f qcow2 -b a/b/2.qcow2 -F qcow2 -o compat=0.10,cluster_size=512 3.qcow2 8M
fill 3.qcow2 3 8388608 512 compress
qemu-img create -q -f qcow2 -b "$PWD/3.qcow2" -F qcow2 -o extended_l2=on,cluster_size=128k a/4.qcow2 9M
fill a/4.qcow2 4 9437184 131072 compress
for image in a/1 a/b/2 3 a/4; do
    agree $image.qcow2 "chain, $image"
done
(cd a/b && EMBR_IMG=$EMBR_IMG "$EMBR_IMG" convert -O raw ../4.qcow2 ../../got.raw)
same expected.raw got.raw "a chain opened from another directory"

# The format of the backing file is not recorded: it is found by looking.
qemu-img create -q -f qcow2 -b 3.qcow2 -F qcow2 5.qcow2
python3 - <<'END'
# The backing format extension becomes one that nobody knows.
import struct
with open('5.qcow2', 'r+b') as file:
    data = bytearray(file.read(4096))
    at = data.index(struct.pack('>I', 0xe2792aca))
    data[at:at + 4] = struct.pack('>I', 0x12345678)
    file.seek(0)
    file.write(data)
END
! qemu-img info --output=json 5.qcow2 | grep -q backing-filename-format || fail "format is recorded"
fill 5.qcow2 5 8388608 65536 plain
agree 5.qcow2 "backing format not recorded"

# Zeroes, discards and subclusters over data below.
for options in cluster_size=64k cluster_size=64k,extended_l2=on cluster_size=2M,extended_l2=on \
    cluster_size=4k; do
    for seed in 11 12 13; do
        rm -f top.qcow2
        qemu-img create -q -f qcow2 -b base.raw -F raw -o $options top.qcow2
        fill top.qcow2 $seed 3000320 65536 plain 60
        agree top.qcow2 "overlay, $options, seed $seed"
    done
done

# Data files below and on top.
qemu-img create -q -f qcow2 -o data_file=low.data low.qcow2 4M
fill low.qcow2 21 4194304 65536 plain
qemu-img create -q -f qcow2 -b low.qcow2 -F qcow2 -o data_file=a/high.data high.qcow2 4M
fill high.qcow2 22 4194304 65536 plain
agree high.qcow2 "external data files in a chain"

# A long chain.
previous=base.raw format=raw
for i in $(seq 1 30); do
    qemu-img create -q -f qcow2 -b "$previous" -F $format long$i.qcow2
    qemu-io -f qcow2 -c "write -P $i $((i * 70000 / 512 * 512)) 90112" long$i.qcow2 >/dev/null
    previous=long$i.qcow2 format=qcow2
done
agree long30.qcow2 "a chain of 31"

# Loops and missing files are named.
qemu-img create -q -f qcow2 loop1.qcow2 1M
qemu-img create -q -f qcow2 -b loop1.qcow2 -F qcow2 loop2.qcow2
qemu-img rebase -u -f qcow2 -b loop2.qcow2 -F qcow2 loop1.qcow2
expect_failure 1 "loop1.qcow2|loop2.qcow2" "$EMBR_IMG" convert -O raw loop1.qcow2 got.raw
qemu-img create -q -f qcow2 -u -b nowhere/gone.qcow2 -F qcow2 lost.qcow2 1M
expect_failure 1 "nowhere/gone.qcow2" "$EMBR_IMG" convert -O raw lost.qcow2 got.raw
rm low.data
expect_failure 1 "low.data" "$EMBR_IMG" convert -O raw high.qcow2 got.raw
