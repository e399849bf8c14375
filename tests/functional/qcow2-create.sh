#!/bin/bash
# New qcow2 images are what qemu-img makes of the same options, to the byte of the header.
source "$(dirname "$0")/common.sh"
need qemu-img

# both OPTION... -- NAME [SIZE]: the images made by both, in ours and theirs.
both()
{
    rm -rf ours theirs
    mkdir ours theirs
    cp base.qcow2 base.raw ours
    cp base.qcow2 base.raw theirs
    (cd ours && "$EMBR_IMG" create "$@" >../ours.text) || fail "create $*"
    (cd theirs && qemu-img create "$@" >../theirs.text) || fail "qemu-img create $*"
    same ours.text theirs.text "create $*: what is printed"
}

# same_images WHAT: the header's cluster is the same, and qemu-img takes ours.
same_images()
{
    local cluster
    cluster=$(qemu-img info --output=json -U theirs/t.qcow2 |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["cluster-size"])')
    cmp -n "$cluster" ours/t.qcow2 theirs/t.qcow2 || fail "$1: headers differ"
    sound_images "$1"
    (cd ours && qemu-img map --output=json t.qcow2) | sed 's/"offset": [0-9]*/"offset"/' >ours.map
    (cd theirs && qemu-img map --output=json t.qcow2) | sed 's/"offset": [0-9]*/"offset"/' >theirs.map
    same ours.map theirs.map "$1: map"
}

sound_images()
{
    (cd ours && qemu-img check -q t.qcow2) || fail "$1: qemu-img check"
    (cd ours && "$EMBR_IMG" check -q t.qcow2) || fail "$1: check"
    (cd ours && qemu-img info t.qcow2 | grep -v 'disk size') >ours.info
    (cd theirs && qemu-img info t.qcow2 | grep -v 'disk size') >theirs.info
    same ours.info theirs.info "$1: info"
    # QEMU looks for data files where it runs.
    (cd ours && qemu-img compare -q t.qcow2 t.qcow2) || fail "$1: content"
}

qemu-img create -q -f raw base.raw 1000k
qemu-img create -q -f qcow2 base.qcow2 3M

for options in compat=0.10 compat=v3 cluster_size=512 cluster_size=2M extended_l2=on \
    extended_l2=on,cluster_size=16k refcount_bits=1 refcount_bits=64,cluster_size=1k \
    lazy_refcounts=on,refcount_bits=8 compression_type=zstd preallocation=metadata \
    preallocation=metadata,extended_l2=on data_file=d \
    data_file=d,data_file_raw=on,preallocation=off; do
    both -f qcow2 -o "$options" t.qcow2 2G
    same_images "$options"
done
for options in preallocation=falloc preallocation=full,cluster_size=4k \
    preallocation=metadata,cluster_size=512,refcount_bits=64; do
    both -f qcow2 -o "$options" t.qcow2 3M
    sound_images "$options"
done
both -f qcow2 -b base.qcow2 -F qcow2 t.qcow2
same_images 'overlay'
both -f qcow2 -b base.raw -F raw -o compat=0.10 t.qcow2 5M
same_images 'larger overlay'
both -f qcow2 -u -b gone -F raw t.qcow2 5M
cmp -n 65536 ours/t.qcow2 theirs/t.qcow2 || fail 'overlay of what is not there'
both -f qcow2 -o backing_file=base.qcow2,backing_fmt=qcow2,cluster_size=128k t.qcow2
same_images 'overlay by -o'
both -f qcow2 -o size=7M t.qcow2
same_images 'size by -o'
for size in 0 1000 1G 5T; do
    both -f qcow2 t.qcow2 $size
    same_images "size $size"
done
both -q -f qcow2 t.qcow2 1M
[ ! -s ours.text ] || fail '-q prints something'
both -f raw t.raw 10000
same ours/t.raw theirs/t.raw 'raw'

# The same errors, and nothing is left behind.
refused()
{
    local pattern=$1
    shift
    expect_failure 1 "^embr-img: .*$pattern" "$EMBR_IMG" create "$@"
    [ ! -e x ] || fail "something is left: create $*"
}
refused 'Image creation needs a size parameter' -f qcow2 x
refused 'Invalid image size specified. You may use k, M, G' -f qcow2 x 1x
refused 'Must be between 0 and 9223372036854775807' -f qcow2 x 8E
refused "Could not open 'none': No such file" -f qcow2 -b none -F qcow2 x
refused 'Backing file specified without backing format' -f qcow2 -b base.qcow2 x
refused 'needs a size parameter' -f qcow2 -u -b none -F qcow2 x
refused "Backing file not supported for file format 'raw'" -f raw -b base.qcow2 x 1M
refused "'bogus'" -f qcow2 -o compat=v3,bogus=1 x 1M
refused 'Cluster size must be a power of two between 512 and 2048k' -f qcow2 -o cluster_size=1000 x 1M
refused 'Refcount width must be a power of two' -f qcow2 -o refcount_bits=3 x 1M
refused 'Lazy refcounts only supported with' -f qcow2 -o compat=0.10,lazy_refcounts=on x 1M
refused 'if extended_l2 is on' -f qcow2 -b base.qcow2 -F qcow2 -o preallocation=metadata x
refused 'at least 16384 bytes' -f qcow2 -o extended_l2=on,cluster_size=4k x 1M
refused 'data-file-raw requires data-file' -f qcow2 -o data_file_raw=on x 1M
refused 'External data files are only' -f qcow2 -o compat=0.10,data_file=y x 1M
refused 'too large for file format' -f qcow2 -o cluster_size=512 x 1T
refused 'only once' -f qcow2 -o size=5M x 6M
refused 'Different refcount widths' -f qcow2 -o compat=0.10,refcount_bits=8 x 1M
refused 'Non-zlib compression type' -f qcow2 -o compat=0.10,compression_type=zstd x 1M
refused "Unknown file format 'bogus'" -f bogus x 1M
refused 'does not support image creation' -f engram x 1M
refused "Unsupported preallocation mode 'metadata'" -f raw -o preallocation=metadata x 1M
refused 'No such file or directory' -f qcow2 gone/x 1M
refused 'Expecting image file name' -f qcow2
[ ! -e y ] || fail 'a data file is left'
