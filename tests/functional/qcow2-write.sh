#!/bin/bash
# Images that embr writes, by random work on them and by convert, are sound to qemu-img and
# hold what they should; images that qemu-io has written are written on.
source "$(dirname "$0")/common.sh"
need qemu-img qemu-io python3
CHURN=$EMBR_BUILD/tests/functional/qcow2-churn
[ -x "$CHURN" ] || skip "$CHURN is not built"
find_aio_modes

sound()
{
    qemu-img check -q -f qcow2 "$1" || { qemu-img check -f qcow2 "$1" | head >&2; fail "$3: qemu-img check"; }
    "$EMBR_IMG" check -q -f qcow2 "$1" || fail "$3: check"
    qemu-img compare -q -f qcow2 -F raw "$1" "$2" || fail "$3: content"
}

qemu-img create -q -f raw base.raw 1M
qemu-io -f raw -c 'write -P 7 0 300k' -c 'write -P 8 500k 77k' base.raw >/dev/null

seed=0
for options in cluster_size=512 cluster_size=64k cluster_size=2M extended_l2=on \
    cluster_size=16k,extended_l2=on,preallocation=metadata compat=0.10,cluster_size=4k \
    refcount_bits=1,cluster_size=1k refcount_bits=64,cluster_size=512 refcount_bits=4 \
    lazy_refcounts=on compression_type=zstd preallocation=falloc,cluster_size=8k \
    data_file=d,data_file_raw=on data_file=d,cluster_size=4k backing overlay; do
    compress=1
    overlay=()
    case $options in
    *data_file*) compress= ;;
    backing) overlay=(-b base.raw -F raw) options=cluster_size=4k ;;
    overlay) overlay=(-b base.raw -F raw) options=extended_l2=on ;;
    esac
    for mode in $AIO_MODES; do
        seed=$((seed + 1))
        rm -f t.qcow2 d
        "$EMBR_IMG" create -q -f qcow2 -o "$options" "${overlay[@]}" t.qcow2 2000k
        EMBR_AIO=$mode "$CHURN" t.qcow2 t.raw "$seed" 120 $compress || fail "$options: churn"
        sound t.qcow2 t.raw "$options, seed $seed"
        if [[ $options == *data_file_raw* ]]; then
            cmp d t.raw || fail "$options: the data file is not the disk"
        fi
        # Handed over to QEMU, and back.
        for command in 'write -P 33 100k 130k' 'write -z 300k 100k' 'discard 0 64k'; do
            qemu-io -f qcow2 -d unmap -c "$command" t.qcow2 >/dev/null
            qemu-io -f raw -c "${command/discard/write -z}" t.raw >/dev/null
        done
        qemu-img convert -f qcow2 -O raw t.qcow2 t.raw
        EMBR_AIO=$mode "$CHURN" t.qcow2 t.raw "$((seed + 1000))" 60 $compress || fail "$options: churn"
        sound t.qcow2 t.raw "$options, seed $seed, after QEMU"
    done
done

# convert makes images of every kind.
random_file noise.raw 700000 5
python3 - <<'END'
data = bytearray(6 << 20)
noise = open('noise.raw', 'rb').read()
data[100000:800000] = noise
data[3 << 20:(3 << 20) + 5000] = b'text ' * 1000
data[5 << 20:5 << 20 | 1 << 19] = b'more text' * 58254 + b'..'
open('disk.raw', 'wb').write(data[:(6 << 20) - 1024])
END
for options in cluster_size=512 cluster_size=64k cluster_size=2M extended_l2=on compat=0.10 \
    refcount_bits=1 compression_type=zstd preallocation=metadata lazy_refcounts=on \
    data_file=d; do
    for flag in -c -S0 -S4k; do
        case $flag/$options in
        -c/data_file=d | -c/preallocation=metadata) continue ;;
        esac
        rm -f t.qcow2 d
        "$EMBR_IMG" convert $flag -O qcow2 -o "$options" disk.raw t.qcow2
        sound t.qcow2 disk.raw "convert $flag -o $options"
    done
done
expect_failure 1 'Compression and preallocation not supported at the same time' \
    "$EMBR_IMG" convert -c -O qcow2 -o preallocation=metadata disk.raw t.qcow2
# Compressed ones take no more than qemu-img's.
"$EMBR_IMG" convert -c -O qcow2 disk.raw ours.qcow2
qemu-img convert -c -O qcow2 disk.raw theirs.qcow2
ours=$(stat -c %s ours.qcow2) theirs=$(stat -c %s theirs.qcow2)
[ "$ours" -le $((theirs + theirs / 50 + 65536)) ] || fail "compressed: $ours bytes, qemu-img: $theirs"

# A corrupt image is not written to.
qemu-img create -q -f qcow2 t.qcow2 1M
printf '\2' | dd of=t.qcow2 bs=1 seek=79 conv=notrunc status=none
cp t.qcow2 before
expect_failure 1 'Image is corrupt; cannot be opened read/write' \
    "$EMBR_IMG" convert -n -O qcow2 base.raw t.qcow2
same t.qcow2 before 'the corrupt image'

# Bitmaps that record nothing stay as they are.
qemu-img create -q -f qcow2 t.qcow2 2M
qemu-img bitmap --add -g 64k t.qcow2 b
qemu-io -f qcow2 -c 'write -P 1 0 64k' t.qcow2 >/dev/null
qemu-img bitmap --disable t.qcow2 b
qemu-img info --output=json t.qcow2 | grep -A9 bitmaps >before
"$CHURN" t.qcow2 t.raw 77 60 1 || fail 'churn beside a bitmap'
qemu-img info --output=json t.qcow2 | grep -A9 bitmaps >after
same before after 'the bitmap'
sound t.qcow2 t.raw 'an image with a bitmap'

# What internal snapshots share with the disk is not touched.
for options in cluster_size=4k extended_l2=on refcount_bits=2,cluster_size=1k; do
    qemu-img create -q -f qcow2 -o "$options" t.qcow2 2M
    "$CHURN" t.qcow2 then.raw 81 60 1 || fail "$options: churn before a snapshot"
    qemu-img snapshot -c then t.qcow2
    "$CHURN" t.qcow2 t.raw 82 100 1 || fail "$options: churn after a snapshot"
    sound t.qcow2 t.raw "$options: the disk after a snapshot"
    qemu-img convert -f qcow2 -O raw -l then t.qcow2 got.raw
    same got.raw then.raw "$options: the snapshot"
done
