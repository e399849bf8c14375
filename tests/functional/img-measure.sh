#!/bin/bash
# measure says of raw and qcow2 what qemu-img says, and images are not larger than that.
source "$(dirname "$0")/common.sh"
need qemu-img qemu-io python3
mkdir as
ln -s "$EMBR_IMG" as/qemu-img

# both ARGUMENT...: the same is printed, with the same exit status.
both()
{
    local status=0 expected=0
    as/qemu-img measure "$@" >ours.text 2>&1 || status=$?
    qemu-img measure "$@" >theirs.text 2>&1 || expected=$?
    same ours.text theirs.text "measure $*"
    [ $status = $expected ] || fail "measure $*: exit status $status, qemu-img's $expected"
}

for options in cluster_size=512 cluster_size=64k cluster_size=2M cluster_size=512,refcount_bits=64 \
    extended_l2=on preallocation=metadata preallocation=falloc compat=0.10 data_file=x; do
    for size in 0 512 1000 1M 100M 1G 2T 10T; do
        both -O qcow2 -o $options --size $size
    done
done
both --size 1G
both --size 1000 --output=json
both -O raw -o preallocation=full --size 1M
both -O qcow2 --size 7E

# Of images
qemu-img create -q -f qcow2 -o cluster_size=4k base.qcow2 20M
qemu-io -c 'write -P 1 1M 3M' -c 'write -P 2 10000k 12k' -c 'write -z 15M 1M' base.qcow2 >/dev/null
qemu-img snapshot -c first base.qcow2
qemu-io -c 'write -P 1 5M 5M' base.qcow2 >/dev/null
qemu-img bitmap --add base.qcow2 one
qemu-img bitmap --add --disable -g 512 base.qcow2 a-second-one
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 top.qcow2 30M
qemu-io -c 'write -P 1 12345k 70k' top.qcow2 >/dev/null
qemu-img convert -O raw top.qcow2 top.raw
qemu-img convert -c -O qcow2 top.qcow2 small.qcow2
for image in base.qcow2 top.qcow2 top.raw small.qcow2; do
    both "$image"
    for options in cluster_size=512 cluster_size=64k cluster_size=2M extended_l2=on compat=0.10 \
        preallocation=full backing_file=base.qcow2,backing_fmt=qcow2; do
        both -O qcow2 -o $options "$image"
        both -O qcow2 -o $options --output=json "$image"
    done
done
both -O qcow2 -l first base.qcow2
both -O qcow2 --image-opts driver=qcow2,file.driver=file,file.filename=top.qcow2
both -U -O qcow2 -f raw top.raw

# As large as it says, and no larger
"$EMBR_IMG" convert -O engram top.qcow2 top.engram
for image in base.qcow2 top.raw top.engram; do
    for options in cluster_size=512 cluster_size=64k extended_l2=on preallocation=metadata; do
        "$EMBR_IMG" convert -O qcow2 -o $options "$image" new.qcow2
        required=$("$EMBR_IMG" measure -O qcow2 -o $options "$image" | sed -n 's/required size: //p')
        [ $options = preallocation=metadata ] || [ "$(stat -c %s new.qcow2)" -le "$required" ] ||
            fail "$image, $options: larger than measured"
        full=$("$EMBR_IMG" measure -O qcow2 -o $options "$image" | sed -n 's/fully.*size: //p')
        [ "$(stat -c %s new.qcow2)" -le "$full" ] || fail "$image, $options: larger than full"
    done
done

# Mistakes
both
both --size 1G a.raw
both a.raw b.raw
both -O bogus --size 1M
both -O qcow2 -o cluster_size=1000 --size 1M
both --size 1x
both --size -1
both --size 8E
both -O qcow2 --size 1T -o cluster_size=512
both -l foo --size 1G
both -f raw --size 1G
both --image-opts --size 1G
expect_failure 1 "'foo'" "$EMBR_IMG" measure -O qcow2 -o foo=1 --size 1M
expect_failure 1 "'engram' does not support size measurement" "$EMBR_IMG" measure -O engram top.raw
expect_failure 1 'No such file' "$EMBR_IMG" measure gone.raw
