#!/bin/bash
# Options of images that are there, changed by embr-img: sound to qemu-img, and the same disk.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/qcow2-common.sh"

# sound IMAGE RAW WHAT
sound()
{
    qemu-img check -q -f qcow2 "$1" || { qemu-img check -f qcow2 "$1" | head >&2; fail "$3: qemu-img check"; }
    "$EMBR_IMG" check -q -f qcow2 "$1" || fail "$3: check"
    qemu-img compare -q -f qcow2 -F raw "$1" "$2" || fail "$3: content"
}

shows()
{
    qemu-img info t.qcow2 | grep -q "$1" || fail "$2: not '$1'"
}

qemu-img create -q -f raw base.raw 1M
qemu-io -f raw -c 'write -P 7 0 1M' base.raw >/dev/null
for kind in cluster_size=64k cluster_size=512 overlay; do
    options=$kind
    overlay=()
    [ $kind != overlay ] || { options=cluster_size=4k overlay=(-b base.raw -F raw); }
    rm -f t.qcow2
    qemu-img create -q -f qcow2 -o $options "${overlay[@]}" t.qcow2 1M
    fill t.qcow2 3 1048576 65536 compress 20
    qemu-img snapshot -c one t.qcow2
    fill t.qcow2 4 1048576 65536 compress 20
    qemu-img convert -f qcow2 -O raw t.qcow2 t.raw
    qemu-img convert -f qcow2 -l one -O raw t.qcow2 one.raw
    for bits in 64 32 16; do
        "$EMBR_IMG" amend -o refcount_bits=$bits t.qcow2
        shows "refcount bits: $bits" "$kind"
        sound t.qcow2 t.raw "$kind, refcount_bits=$bits"
    done
    "$EMBR_IMG" amend -f qcow2 -o lazy_refcounts=on t.qcow2
    shows 'lazy refcounts: true' "$kind"
    for compat in 0.10 1.1 0.10; do
        "$EMBR_IMG" amend -o compat=$compat t.qcow2
        shows "compat: $compat" "$kind"
        sound t.qcow2 t.raw "$kind, compat=$compat"
        qemu-img convert -f qcow2 -l one -O raw t.qcow2 got.raw
        same one.raw got.raw "$kind, compat=$compat: the snapshot"
    done
    qemu-img info t.qcow2 | grep -q 'lazy refcounts: true' && fail "$kind: lazy refcounts in version 2"
    [ $kind != overlay ] || shows 'backing file format: raw' "$kind"
    qemu-img snapshot -d one t.qcow2
    "$EMBR_IMG" amend -q -o compat=1.1,size=1500k,refcount_bits=32 t.qcow2
    shows '(1536000 bytes)' "$kind"
    "$EMBR_IMG" check -q t.qcow2 || fail "$kind: check"
    qemu-img check -q t.qcow2 || fail "$kind: qemu-img check"
done

# The external data file has another name.
"$EMBR_IMG" create -q -f qcow2 -o data_file=d,data_file_raw=on t.qcow2 1M
mv d e
"$EMBR_IMG" amend --image-opts -o data_file=e \
    driver=qcow2,file.driver=file,file.filename=t.qcow2,data-file.driver=file,data-file.filename=e
"$EMBR_IMG" amend -o data_file_raw=off t.qcow2
shows 'data file: e' data_file
shows 'data file raw: false' data_file_raw

# What is refused changes nothing.
"$EMBR_IMG" create -q -f qcow2 t.qcow2 1M
"$EMBR_IMG" create -q -f qcow2 -o extended_l2=on x.qcow2 1M
"$EMBR_IMG" create -q -f qcow2 -o data_file=d y.qcow2 1M
qemu-io -f qcow2 -c 'write 0 64k' t.qcow2 >/dev/null
"$EMBR_IMG" snapshot -c s t.qcow2
cp t.qcow2 before.qcow2
refuse()
{
    expect_failure 1 "$1" "$EMBR_IMG" amend -o "$2" "${3:-t.qcow2}"
}
refuse "Invalid parameter 'cluster_size'" cluster_size=4k
refuse 'This option is only supported for image creation' preallocation=full
refuse "Invalid parameter 'foo'" foo=bar
refuse 'Unknown compatibility level 0.42' compat=0.42
refuse 'Refcount width must be a power of two' refcount_bits=7
refuse 'Cannot decrease refcount entry width to 1 bits: Cluster at offset 0x.* has a refcount of 2' \
    refcount_bits=1
refuse 'Refcount widths other than 16 bits require' compat=0.10,refcount_bits=8
refuse 'Cannot amend the backing file' backing_file=base.raw
refuse 'data-file can only be set' data_file=d
refuse 'data-file-raw cannot be set' data_file_raw=on
refuse 'incompatible features 0x10 set' compat=0.10 x.qcow2
refuse 'Cannot downgrade an image with a data file' compat=0.10 y.qcow2
expect_failure 1 "Format driver 'raw' does not support option amendment" \
    "$EMBR_IMG" amend -f raw -o size=1M base.raw
expect_failure 1 'Must specify options' "$EMBR_IMG" amend t.qcow2
cmp t.qcow2 before.qcow2 >/dev/null || sound t.qcow2 before.qcow2 refused
"$EMBR_IMG" amend -o refcount_bits=8 t.qcow2
refuse 'compat=0.10 requires refcount_bits=16' compat=0.10
"$EMBR_IMG" amend -o refcount_bits=16 t.qcow2
"$EMBR_IMG" resize -q t.qcow2 2M
refuse 'Internal snapshots prevent downgrade' compat=0.10
