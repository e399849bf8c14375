#!/bin/bash
# Internal snapshots, against qemu-img.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/qcow2-common.sh"

# snapshot_disk IMAGE ID RAW: what the guest saw then, as qemu-img restores it.
snapshot_disk()
{
    cp "$1" restored.qcow2
    qemu-img snapshot -q -a "$2" restored.qcow2
    qemu-img convert -f qcow2 -O raw restored.qcow2 "$3"
}

for options in compat=0.10 compat=1.1 cluster_size=512 compression_type=zstd,cluster_size=2M \
    extended_l2=on; do
    rm -f t.qcow2
    qemu-img create -q -f qcow2 -o $options t.qcow2 21M
    for i in 1 2 3 4; do
        fill t.qcow2 $i 22020096 2097152 compress 12
        qemu-img snapshot -q -c "state $i" t.qcow2
    done
    fill t.qcow2 9 22020096 2097152 plain 12
    qemu-img snapshot -q -d "state 2" t.qcow2
    agree t.qcow2 "$options with snapshots"
    for i in 1 3 4; do
        snapshot_disk t.qcow2 $i expected.raw
        same_disk t.qcow2 expected.raw "$options, snapshot $i by ID" -l $i
        same_disk t.qcow2 expected.raw "$options, snapshot $i by name" -l "state $i"
    done
done

# Each snapshot has its own disk size.
qemu-img create -q -f qcow2 t2.qcow2 3M
qemu-io -f qcow2 -c 'write -P 1 0 3M' t2.qcow2 >/dev/null
qemu-img snapshot -q -c small t2.qcow2
qemu-img resize -q -f qcow2 t2.qcow2 90M
qemu-io -f qcow2 -c 'write -P 2 1M 60M' t2.qcow2 >/dev/null
qemu-img snapshot -q -c large t2.qcow2
agree t2.qcow2 "snapshots of different sizes"
for name in small large; do
    snapshot_disk t2.qcow2 $name expected.raw
    same_disk t2.qcow2 expected.raw "snapshot $name" -l $name
done

# An ID goes before a name.
qemu-img create -q -f qcow2 t3.qcow2 1M
for i in 2 1; do
    qemu-io -f qcow2 -c "write -P $i 0 1M" t3.qcow2 >/dev/null
    qemu-img snapshot -q -c $i t3.qcow2
done
qemu-img convert -f qcow2 -l snapshot.id=1 -O raw t3.qcow2 expected.raw
same_disk t3.qcow2 expected.raw "snapshot 1" -l 1

expect_failure 1 "t3.qcow2.*'nothing'" "$EMBR_IMG" convert -l nothing -O raw t3.qcow2 got.raw

# Snapshots over a backing file.
random_file base.raw 2000384 5
qemu-img create -q -f qcow2 -b base.raw -F raw t4.qcow2
fill t4.qcow2 31 2000384 65536 plain
qemu-img snapshot -q -c one t4.qcow2
fill t4.qcow2 32 2000384 65536 plain
qemu-img convert -f qcow2 -l one -O raw t4.qcow2 expected.raw
same_disk t4.qcow2 expected.raw "snapshot over a backing file" -l one
agree t4.qcow2 "overlay with a snapshot"

# Many of them.
qemu-img create -q -f qcow2 t5.qcow2 1M
for i in $(seq 1 150); do
    qemu-img snapshot -q -c "snapshot with a name that is not short, number $i" t5.qcow2
done
agree t5.qcow2 "150 snapshots"
