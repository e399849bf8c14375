#!/bin/bash
# Backing chains: names, formats, loops, missing files, and what is read through them.
source "$(dirname "$0")/common.sh"
need qemu-img qemu-io cmp
find_aio_modes

mkdir -p images/deep
random_file images/base.raw $((3 << 20)) 5
qemu-img create -q -f qcow2 -b ../base.raw -F raw images/deep/middle.qcow2 5M
qemu-img create -q -f qcow2 -b deep/middle.qcow2 -F qcow2 images/top.qcow2 8M
qemu-io -c 'write -P 1 1M 64k' -c 'write -z 2M 128k' -c 'write -P 3 4M 512k' \
    images/deep/middle.qcow2 >/dev/null
qemu-io -c 'write -P 4 64k 64k' -c 'write -z 4M 64k' -c 'write -P 6 7M 100k' \
    images/top.qcow2 >/dev/null

check_chain()
{
    local image=$1
    rm -f ref.raw out.raw
    qemu-img convert -O raw "$image" ref.raw
    "$EMBR_IMG" convert -O raw "$image" out.raw
    same ref.raw out.raw "$image"
    "$EMBR_IMG" compare -q "$image" ref.raw
    qemu-img map --output=json "$image" >ref
    "$EMBR_IMG" map --output=json "$image" >out
    same ref out "map of $image"
    qemu-img map "$image" >ref
    "$EMBR_IMG" map "$image" >out
    same ref out "map of $image for people"
    qemu-img info --backing-chain --output=json "$image" >ref
    "$EMBR_IMG" info --backing-chain --output=json "$image" >out
    same_json ref out "info of $image"
    qemu-img info --backing-chain "$image" >ref
    "$EMBR_IMG" info --backing-chain "$image" >out
    same ref out "info of $image for people"
}

for aio in $AIO_MODES; do
    export EMBR_AIO=$aio
    check_chain images/top.qcow2
    (cd images && check_chain top.qcow2)
    (cd images/deep && check_chain ../top.qcow2)
    check_chain "$PWD/images/deep/middle.qcow2"
done

# A long chain, at once and in good time.
qemu-img create -q -f qcow2 link0.qcow2 1M
qemu-io -c 'write -P 7 0 64k' link0.qcow2 >/dev/null
for i in $(seq 60); do
    qemu-img create -q -u -f qcow2 -b link$((i - 1)).qcow2 -F qcow2 link$i.qcow2 1M
done
"$EMBR_IMG" compare -q link60.qcow2 link0.qcow2

# What goes wrong is named.
qemu-img create -q -u -f qcow2 -b gone.qcow2 -F qcow2 images/lost.qcow2 1M
expect_failure 1 "Could not open backing file of 'images/lost.qcow2': 'images/gone.qcow2': No such file" \
    "$EMBR_IMG" convert -O raw images/lost.qcow2 lost.raw
qemu-img create -q -u -f qcow2 -b b.qcow2 -F qcow2 a.qcow2 1M
qemu-img create -q -u -f qcow2 -b ./a.qcow2 -F qcow2 b.qcow2 1M
expect_failure 1 "'./a.qcow2': the backing chain is a loop" \
    timeout 10 "$EMBR_IMG" convert -O raw a.qcow2 loop.raw
qemu-img create -q -f qcow2 self.qcow2 1M
qemu-img rebase -u -b self.qcow2 -F qcow2 self.qcow2
expect_failure 1 "is a loop" timeout 10 "$EMBR_IMG" convert -O raw self.qcow2 loop.raw
qemu-img create -q -u -f qcow2 -b images/base.raw -F qcow2 wrong.qcow2 1M
expect_failure 1 "'images/base.raw': Image is not in qcow2 format" \
    "$EMBR_IMG" convert -O raw wrong.qcow2 wrong.raw
for target in lost loop wrong; do
    [ ! -e $target.raw ] || fail "a failed convert left $target.raw"
done
