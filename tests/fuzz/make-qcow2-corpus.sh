#!/bin/bash
# Makes the seeds in corpus/qcow2: small images of every kind. Needs qemu-img, qemu-io, zstd.
set -euo pipefail
out=$(realpath "$(dirname "$0")")/corpus/qcow2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$out"
cd "$dir"

python3 - <<'END'
data = bytearray(96 << 10)
for at in range(0, len(data), 20 << 10):
    data[at:at + 6000] = b''.join(b'%d\n' % n for n in range(at, at + 2000))[:6000]
open('raw', 'wb').write(data)
END
qemu-img create -q -f raw backing 96K

pack()
{
    zstd -q -19 -f image -o "$out/$1.zst"
}

# seed NAME CONVERT-OPTION...
seed()
{
    local name=$1
    shift
    qemu-img convert -f raw -O qcow2 "$@" raw image
    pack "$name"
}

seed v2 -o compat=0.10,cluster_size=4096
seed v2-small -o compat=0.10,cluster_size=512
seed v3 -o cluster_size=4096
seed v3-refcount-1 -o cluster_size=1024,refcount_bits=1
seed zlib -c -o cluster_size=4096
seed zlib-large -c -o cluster_size=64K
seed zstd -c -o cluster_size=4096,compression_type=zstd
seed subclusters -o cluster_size=16K,extended_l2=on
seed subclusters-zlib -c -o cluster_size=16K,extended_l2=on
seed preallocated -S 0 -o cluster_size=1024,preallocation=metadata
seed data-file -o cluster_size=4096,data_file=data,data_file_raw=off
seed data-file-raw -o cluster_size=4096,data_file=data,data_file_raw=on

overlay()
{
    qemu-img create -q -f qcow2 -b backing -F raw -o "$@" image
    qemu-io -c 'write -P 1 1000 5000' -c 'write -z 20K 20K' -c 'write -P 2 70K 512' \
        -c 'discard 72K 4K' image >/dev/null
}
overlay cluster_size=1024 && pack overlay
overlay cluster_size=16K,extended_l2=on && pack overlay-subclusters

qemu-img create -q -f qcow2 -o cluster_size=512 image 96K
for i in 1 2 3; do
    qemu-io -c "write -P $i $((i * 1000)) 3000" image >/dev/null
    qemu-img snapshot -c "snapshot $i" image
done
qemu-img resize -q image 128K
qemu-img bitmap --add -g 1024 image bitmap-1
qemu-img bitmap --add -g 65536 image bitmap-2
qemu-img bitmap --disable image bitmap-2
pack snapshots-bitmaps

qemu-img create -q -f qcow2 image 1T && pack empty-1t
qemu-img create -q -f qcow2 -o cluster_size=256K,lazy_refcounts=on image 3G
qemu-io -c 'write -P 7 1G 64K' image >/dev/null
pack large-clusters
du -bc "$out"/*.zst | tail -1
