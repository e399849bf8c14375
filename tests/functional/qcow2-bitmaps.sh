#!/bin/bash
# Persistent bitmaps: made, kept and changed by embr-img, read by QEMU.
source "$(dirname "$0")/common.sh"
need qemu-img qemu-io qemu-nbd python3

sound()
{
    qemu-img check -q -f qcow2 "$1" || { qemu-img check -f qcow2 "$1" | head >&2; fail "$2: qemu-img check"; }
    "$EMBR_IMG" check -q -f qcow2 "$1" || fail "$2: check"
}

# dirty IMAGE BITMAP: the dirty ranges as QEMU sees them, "START+LENGTH ...".
dirty()
{
    local sock=$TEST_DIR/nbd.sock pid i
    rm -f "$sock"
    qemu-nbd -r -f qcow2 -B "$2" -k "$sock" "$1" &
    pid=$!
    for ((i = 0; i < 100; i++)); do
        [ ! -S "$sock" ] || break
        sleep 0.05
    done
    qemu-img map --output=json --image-opts \
        "driver=nbd,server.type=unix,server.path=$sock,x-dirty-bitmap=qemu:dirty-bitmap:$2" |
        python3 -c "import json, sys
print(' '.join('%d+%d' % (e['start'], e['length']) for e in json.load(sys.stdin) if not e['data']))"
    wait "$pid" || true
}

is_dirty()
{
    local got
    got=$(dirty "$1" "$2")
    [ "$got" = "$3" ] || fail "$1, bitmap $2: dirty is '$got', expected '$3'"
}

k=1024
for options in cluster_size=64k cluster_size=512 extended_l2=on,lazy_refcounts=on; do
    rm -f t.qcow2
    qemu-img create -q -f qcow2 -o $options t.qcow2 10M
    qemu-img bitmap --add -g 64k t.qcow2 theirs
    "$EMBR_IMG" bitmap --add -g 512 t.qcow2 ours
    "$EMBR_IMG" bitmap --add --disable -g 1M t.qcow2 off
    sound t.qcow2 "$options: added"
    # Written to by embr-img.
    qemu-img create -q -f raw in.raw 10M
    qemu-io -f raw -c 'write -P 1 128k 192k' -c 'write -P 2 9M 1M' in.raw >/dev/null
    "$EMBR_IMG" convert -n --target-is-zero -O qcow2 in.raw t.qcow2
    sound t.qcow2 "$options: written to"
    is_dirty t.qcow2 theirs "$((128 * k))+$((192 * k)) $((9 * k * k))+$((k * k))"
    is_dirty t.qcow2 ours "$((128 * k))+$((192 * k)) $((9 * k * k))+$((k * k))"
    is_dirty t.qcow2 off ""
    # Then by QEMU, which finds them usable.
    qemu-io -f qcow2 -c 'write -P 3 1M 512' t.qcow2 >/dev/null
    is_dirty t.qcow2 theirs \
        "$((128 * k))+$((192 * k)) $((k * k))+65536 $((9 * k * k))+$((k * k))"
    "$EMBR_IMG" bitmap --merge ours t.qcow2 off
    is_dirty t.qcow2 off "0+$((2 * k * k)) $((9 * k * k))+$((k * k))"
    "$EMBR_IMG" resize -q --shrink t.qcow2 $((9 * k * k + 100 * k))
    sound t.qcow2 "$options: shrunk"
    is_dirty t.qcow2 ours "$((128 * k))+$((192 * k)) $((k * k))+512 $((9 * k * k))+$((100 * k))"
    "$EMBR_IMG" resize -q t.qcow2 40M
    sound t.qcow2 "$options: grown"
    is_dirty t.qcow2 ours "$((128 * k))+$((192 * k)) $((k * k))+512 $((9 * k * k))+$((100 * k))"
    "$EMBR_IMG" bitmap --clear t.qcow2 theirs
    "$EMBR_IMG" snapshot -c s t.qcow2
    expect_failure 1 "Could not apply snapshot 's'.*Device has active dirty bitmaps" \
        "$EMBR_IMG" snapshot -a s t.qcow2
    is_dirty t.qcow2 theirs ""
    # From one image into another.
    rm -f u.qcow2
    "$EMBR_IMG" create -q -f qcow2 u.qcow2 40M
    "$EMBR_IMG" bitmap --add --merge ours --merge off -b t.qcow2 -F qcow2 -g 512 u.qcow2 both
    is_dirty u.qcow2 both "0+$((2 * k * k)) $((9 * k * k))+$((k * k))"
    sound u.qcow2 "$options: merged"
    qemu-img info --output=json t.qcow2 >info.qemu
    "$EMBR_IMG" info --output=json t.qcow2 >info.embr
    python3 -c "import json
a, b = (json.load(open(n))['format-specific'] for n in ('info.qemu', 'info.embr'))
assert a == b, (a, b)"
    for name in theirs ours off; do
        "$EMBR_IMG" bitmap --remove t.qcow2 $name
    done
    "$EMBR_IMG" snapshot -a s t.qcow2
    sound t.qcow2 "$options: removed"
done

# One that a crash has left in use.
"$EMBR_IMG" create -q -f qcow2 v.qcow2 10M
"$EMBR_IMG" bitmap --add v.qcow2 good
"$EMBR_IMG" bitmap --add v.qcow2 broken
python3 - <<'END'
data = bytearray(open('v.qcow2', 'rb').read())
data[data.rfind(b'broken') - 24 + 15] |= 1
open('v.qcow2', 'wb').write(data)
END
"$EMBR_IMG" convert -n --target-is-zero -O qcow2 in.raw v.qcow2
for action in --enable --disable --clear '--merge good'; do
    expect_failure 1 "on bitmap broken failed: Bitmap 'broken' is inconsistent and cannot be used" \
        "$EMBR_IMG" bitmap $action v.qcow2 broken
done
expect_failure 1 "on bitmap good failed: Bitmap 'broken' is inconsistent" \
    "$EMBR_IMG" bitmap --merge broken v.qcow2 good
expect_failure 1 "Bitmap 'broken' is inconsistent and cannot be used" "$EMBR_IMG" resize v.qcow2 20M
is_dirty v.qcow2 good "$((128 * k))+$((192 * k)) $((9 * k * k))+$((k * k))"
qemu-img info v.qcow2 | grep -q in-use || fail "the mark is gone"
expect_failure 1 "Cannot copy inconsistent bitmap 'broken'" \
    "$EMBR_IMG" convert --bitmaps -O qcow2 v.qcow2 copy.qcow2
[ ! -e copy.qcow2 ] || fail "a target is left"
"$EMBR_IMG" convert --bitmaps --skip-broken-bitmaps -O qcow2 v.qcow2 copy.qcow2 2>log
grep -q "Skipping inconsistent bitmap 'broken'" log || fail "not named"
is_dirty copy.qcow2 good "$((128 * k))+$((192 * k)) $((9 * k * k))+$((k * k))"
sound copy.qcow2 "convert --bitmaps"
expect_failure 1 'Source lacks bitmap support' \
    "$EMBR_IMG" convert --bitmaps -f raw -O qcow2 in.raw no.qcow2
expect_failure 1 "'raw' does not support bitmaps" \
    "$EMBR_IMG" convert --bitmaps -O raw v.qcow2 no.raw
expect_failure 1 'requires --bitmaps' \
    "$EMBR_IMG" convert --skip-broken-bitmaps -O qcow2 v.qcow2 no.qcow2
"$EMBR_IMG" bitmap --remove v.qcow2 broken
sound v.qcow2 "removed a broken one"

# What is refused.
expect_failure 1 'Operation add on bitmap good failed: Bitmap already exists: good' \
    "$EMBR_IMG" bitmap --add v.qcow2 good
expect_failure 1 'failed: Granularity must be power of 2 and at least 512' \
    "$EMBR_IMG" bitmap --add -g 300 v.qcow2 new
expect_failure 1 "Operation remove on bitmap no failed: Dirty bitmap 'no' not found" \
    "$EMBR_IMG" bitmap --remove v.qcow2 no
expect_failure 1 'Need at least one of --add' "$EMBR_IMG" bitmap v.qcow2 good
expect_failure 1 'granularity only supported with --add' \
    "$EMBR_IMG" bitmap --clear -g 1k v.qcow2 good
expect_failure 1 'Merge bitmap source file only supported with --merge' \
    "$EMBR_IMG" bitmap -b t.qcow2 --add v.qcow2 new
expect_failure 1 'of different sizes' "$EMBR_IMG" bitmap -b u.qcow2 --merge both v.qcow2 good
"$EMBR_IMG" create -q -f qcow2 -o compat=0.10 w.qcow2 1M
expect_failure 1 'Cannot store dirty bitmaps in qcow2 v2 files' "$EMBR_IMG" bitmap --add w.qcow2 b
expect_failure 1 'persistent bitmaps' "$EMBR_IMG" bitmap -f raw --add in.raw b
