#!/bin/bash
# Internal snapshots made, applied and deleted.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/qcow2-common.sh"

# Made, applied and deleted by embr-img, and by qemu-img in turn: both find the image sound and
# see the same.
sound()
{
    qemu-img check -q -f qcow2 "$1" || { qemu-img check -f qcow2 "$1" | head >&2; fail "$2: qemu-img check"; }
    "$EMBR_IMG" check -q -f qcow2 "$1" || fail "$2: check"
}

for options in compat=0.10 cluster_size=512,lazy_refcounts=on extended_l2=on,refcount_bits=64; do
    rm -f t.qcow2
    "$EMBR_IMG" create -q -f qcow2 -o $options t.qcow2 3M
    tools=("$EMBR_IMG" qemu-img)
    for i in 1 2 3 4; do
        fill t.qcow2 $i 3145728 65536 compress 12
        qemu-img convert -f qcow2 -O raw t.qcow2 $i.raw
        "${tools[i % 2]}" snapshot -q -c "state $i" t.qcow2
        sound t.qcow2 "$options, snapshot $i"
    done
    for i in 3 4 1; do
        "${tools[(i + 1) % 2]}" snapshot -a "state $i" t.qcow2
        sound t.qcow2 "$options, applied $i"
        qemu-img compare -q -f qcow2 -F raw t.qcow2 $i.raw || fail "$options, applied $i"
        fill t.qcow2 2$i 3145728 65536 plain 8
        sound t.qcow2 "$options, written to after applying $i"
    done
    for i in 2 3; do
        "${tools[i % 2]}" snapshot -d "state $i" t.qcow2
        sound t.qcow2 "$options, deleted $i"
    done
    for i in 1 4; do
        same_disk t.qcow2 $i.raw "$options: snapshot $i" -l "state $i"
    done
    agree t.qcow2 "$options: snapshots"
    for i in 1 4; do
        "$EMBR_IMG" snapshot -d "state $i" t.qcow2
    done
    sound t.qcow2 "$options: no snapshots"
done

# IDs, sizes, and what is refused.
"$EMBR_IMG" create -q -f qcow2 u.qcow2 1M
for name in one 7 one; do
    "$EMBR_IMG" snapshot -c $name u.qcow2
done
"$EMBR_IMG" snapshot -d one u.qcow2
"$EMBR_IMG" resize -q u.qcow2 5M
"$EMBR_IMG" snapshot -c large u.qcow2
[ "$("$EMBR_IMG" snapshot -l u.qcow2 | awk 'NR > 2 { print $1, $2 }')" = $'2 7\n3 one\n4 large' ] ||
    fail "snapshot -l: $("$EMBR_IMG" snapshot -l u.qcow2)"
"$EMBR_IMG" snapshot -a 2 u.qcow2
"$EMBR_IMG" info u.qcow2 | grep -q '(1048576 bytes)' || fail "the size was not applied"
"$EMBR_IMG" snapshot -a large u.qcow2
qemu-img info u.qcow2 | grep -q '(5242880 bytes)' || fail "the size was not applied"
sound u.qcow2 "sizes"
cp u.qcow2 before.qcow2
expect_failure 1 "Could not apply snapshot 'no': Failed to load snapshot: No such file" \
    "$EMBR_IMG" snapshot -a no u.qcow2
expect_failure 1 "Could not delete snapshot '4': snapshot not found" \
    "$EMBR_IMG" snapshot -d 4 u.qcow2
expect_failure 1 "Cannot mix '-l', '-a', '-c', '-d'" "$EMBR_IMG" snapshot -a one -c two u.qcow2
expect_failure 1 "force-share|locked|read-only" "$EMBR_IMG" snapshot -U -c two u.qcow2
cmp u.qcow2 before.qcow2 || fail "refused, but changed"
"$EMBR_IMG" create -q -f qcow2 -o refcount_bits=1 v.qcow2 1M
qemu-io -f qcow2 -c 'write 0 64k' v.qcow2 >/dev/null
expect_failure 1 "Could not create snapshot 'x': -22 \(Invalid argument\)" \
    "$EMBR_IMG" snapshot -c x v.qcow2
sound v.qcow2 "counts at their limit"
"$EMBR_IMG" create -q -f qcow2 -o data_file=data w.qcow2 1M
expect_failure 1 "Could not create snapshot 'x': -95 \(Operation not supported\)" \
    "$EMBR_IMG" snapshot -c x w.qcow2
"$EMBR_IMG" create -q -f raw r.raw 1M
expect_failure 1 "Could not create snapshot 'x': -95 \(Operation not supported\)" \
    "$EMBR_IMG" snapshot -f raw -c x r.raw
