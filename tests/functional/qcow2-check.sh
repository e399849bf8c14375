#!/bin/bash
# Damaged qcow2 images: check counts what qemu-img check counts.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/qcow2-common.sh"

cat >damage.py <<'END'
# damage.py IMAGE WHAT: one kind of damage. The image has clusters of 64 KiB and
# refcounts of 16 bits.
import struct, sys
path, what = sys.argv[1:3]
CLUSTER = 65536
file = open(path, 'r+b')
size = file.seek(0, 2)

def get(offset):
    file.seek(offset)
    return struct.unpack('>Q', file.read(8))[0]

def put(offset, value, form='>Q'):
    file.seek(offset)
    file.write(struct.pack(form, value & ((1 << 64) - 1)))

L1, REFTABLE, SNAPSHOTS = get(40), get(48), get(64)
MASK = 0x00fffffffffffe00
REFBLOCK = get(REFTABLE) & MASK
L2 = get(L1) & MASK
EXTENDED = get(72) >> 4 & 1
ENTRY = 16 if EXTENDED else 8

def entry(kind):
    for at in range(L2, L2 + CLUSTER, ENTRY):
        e = get(at)
        if kind == 'compressed' and e >> 62 & 1 or \
           kind == 'data' and e & MASK and not e >> 62 & 1 and not e & 1 or \
           kind == 'none' and e == 0:
            return at, e
    sys.exit('no such entry')

def refcount(cluster, value):
    put(REFBLOCK + cluster * 2, value, '>H')

if what == 'leak':
    file.seek(0, 2); file.write(bytes(CLUSTER)); refcount((size + CLUSTER - 1) // CLUSTER, 1)
    file.truncate((size + CLUSTER - 1) // CLUSTER * CLUSTER + CLUSTER)
elif what == 'count-high':
    refcount(entry('data')[1] // CLUSTER & 0xffff, 3)
elif what == 'count-zero':
    refcount(entry('data')[1] // CLUSTER & 0xffff, 0)
elif what == 'count-header':
    refcount(0, 7)
elif what == 'count-l2':
    refcount(L2 // CLUSTER, 0)
elif what == 'data-shared':
    at, e = entry('data'); put(entry('none')[0], e)
elif what == 'data-misaligned':
    at, e = entry('data'); put(at, e + 512)
elif what == 'data-past-end':
    put(entry('none')[0], (1 << 63) | (size + CLUSTER * 4) // CLUSTER * CLUSTER)
elif what == 'data-reserved':
    at, e = entry('data'); put(at, e | 1 << 57)
elif what == 'data-not-copied':
    at, e = entry('data'); put(at, e & ~(1 << 63))
elif what == 'compressed-copied':
    at, e = entry('compressed'); put(at, e | 1 << 63)
elif what == 'compressed-past-end':
    at, e = entry('compressed'); put(at, e | 0xffffffff0000)
elif what == 'compressed-shared':
    at, e = entry('compressed'); put(entry('none')[0], e)
elif what == 'l1-not-copied':
    put(L1, L2)
elif what == 'l1-reserved':
    put(L1, get(L1) | 1 << 58)
elif what == 'l1-misaligned':
    put(L1, get(L1) + 512)
elif what == 'l1-zero':
    put(L1, 0)
elif what == 'l1-shared':
    put(L1 + 8, get(L1))
elif what == 'l1-past-end':
    put(L1 + 8, (1 << 63) | (size + CLUSTER * 8) // CLUSTER * CLUSTER)
elif what == 'block-zero':
    put(REFTABLE, 0)
elif what == 'block-twice':
    put(REFTABLE + 8, REFBLOCK)
elif what == 'block-past-end':
    put(REFTABLE + 8, (size + CLUSTER * 8) // CLUSTER * CLUSTER)
elif what == 'snapshot-l1-misaligned':
    put(SNAPSHOTS, get(SNAPSHOTS) + 512)
elif what == 'snapshot-count':
    refcount(SNAPSHOTS // CLUSTER, 0)
elif what == 'subclusters-both':
    at, e = entry('data'); put(at + 8, 0x0000000100000001)
elif what == 'subclusters-without-host':
    put(entry('none')[0] + 8, 0x00000000000000f0)
elif what == 'subclusters-of-compressed':
    put(entry('compressed')[0] + 8, 1)
elif what == 'zero-flag':
    at, e = entry('data'); put(at, e | 1)
elif what == 'truncated':
    file.truncate(size - size // 3)
else:
    sys.exit('unknown damage ' + what)
END

qemu-img create -q -f qcow2 -o cluster_size=64k whole.qcow2 600M
qemu-io -f qcow2 -c 'write -c -P 1 0 64k' -c 'write -c -P 2 64k 64k' -c 'write -P 3 1M 1M' \
    -c 'write -z 3M 128k' -c 'write -P 4 520M 512k' whole.qcow2 >/dev/null
cp whole.qcow2 snapshot.qcow2
qemu-img snapshot -q -c one snapshot.qcow2
qemu-io -f qcow2 -c 'write -P 9 1M 192k' snapshot.qcow2 >/dev/null
qemu-img create -q -f qcow2 -o extended_l2=on,cluster_size=64k extended.qcow2 600M
qemu-io -f qcow2 -c 'write -c -P 1 0 64k' -c 'write -c -P 2 64k 64k' -c 'write -P 3 1M 5k' \
    -c 'write -z 3M 70k' -c 'write -P 4 520M 512k' extended.qcow2 >/dev/null
qemu-img create -q -f qcow2 -o compat=0.10,cluster_size=64k old.qcow2 600M
qemu-io -f qcow2 -c 'write -c -P 1 0 64k' -c 'write -P 3 1M 5k' old.qcow2 >/dev/null

# damaged IMAGE WHAT...
damaged()
{
    local image=$1 what
    shift
    for what; do
        cp "$image.qcow2" t.qcow2
        python3 damage.py t.qcow2 "$what"
        if [ -n "${LOOK:-}" ]; then
            echo "== $image $what"
            (same_check t.qcow2 "$image, $what") || { head -7 check.err; echo --; tail -27 check.qemu.err; true; }
            continue
        fi
        same_check t.qcow2 "$image, $what"
        grep -q '"corruptions"\|"leaks"\|"check-errors": [1-9]' check.embr ||
            fail "$image, $what: nothing was found"
        [ -s check.err ] || fail "$image, $what: nothing was said"
    done
}

common="leak count-high count-zero count-header count-l2 data-shared data-misaligned
data-past-end data-reserved data-not-copied compressed-copied compressed-shared
compressed-past-end l1-not-copied l1-reserved l1-misaligned l1-zero l1-shared
l1-past-end block-zero block-twice block-past-end truncated"
damaged whole $common
damaged snapshot $common snapshot-l1-misaligned snapshot-count
damaged extended $common subclusters-both subclusters-without-host \
    subclusters-of-compressed
damaged old $common
