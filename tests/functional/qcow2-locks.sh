#!/bin/bash
# embr and QEMU respect each other's locks.
source "$(dirname "$0")/common.sh"
need qemu-img qemu-io python3

qemu-img create -q -f qcow2 a.qcow2 1M
qemu-img create -q -f raw a.raw 1M

# hold FILE FORMAT [OPTION...]: has qemu-io keep it open, until release.
hold()
{
    local file=$1 format=$2
    shift 2
    mkfifo wait
    : >held
    qemu-io -f "$format" "$@" "$file" <wait >held 2>&1 &
    HOLDER=$!
    exec 9>wait
    echo 'read 0 512' >&9
    until grep -q 'read 512/512' held; do
        kill -0 "$HOLDER" 2>/dev/null || fail "qemu-io: $(cat held)"
        sleep 0.05
    done
}

release()
{
    exec 9>&-
    wait "$HOLDER"
    rm -f wait held
}

hold a.qcow2 qcow2
expect_failure 1 'Failed to get shared "write" lock' "$EMBR_IMG" info a.qcow2
grep -q 'Is another process using the image' .stderr || fail 'no hint'
expect_failure 1 'Failed to get "write" lock' "$EMBR_IMG" convert -n -O qcow2 a.raw a.qcow2
expect_failure 1 'Failed to get "write" lock' "$EMBR_IMG" convert -O qcow2 a.raw a.qcow2
expect_failure 1 'Failed to get "write" lock' "$EMBR_IMG" create -q -f qcow2 a.qcow2 2M
"$EMBR_IMG" info -U a.qcow2 >/dev/null || fail 'info -U'
"$EMBR_IMG" check -q -U a.qcow2 || fail 'check -U'
release
[ "$(qemu-img info --output=json a.qcow2 | grep -c '"virtual-size": 1048576')" -ge 1 ] ||
    fail 'the image has changed'
"$EMBR_IMG" info a.qcow2 >/dev/null || fail 'the lock is still there'

# Readers live side by side.
hold a.qcow2 qcow2 -r
"$EMBR_IMG" info a.qcow2 >/dev/null || fail 'info beside a reader'
expect_failure 1 'Failed to get "write" lock' "$EMBR_IMG" check -r all a.qcow2
release

# raw images are shared, as QEMU shares them.
hold a.raw raw
"$EMBR_IMG" info -f raw a.raw >/dev/null || fail 'info of a raw image in use'
release

# embr's locks: a convert that is stopped while it writes.
truncate -s 64M big.raw
random_file noise 1000000 3
for i in $(seq 0 60); do dd if=noise of=big.raw bs=1M seek="$i" conv=notrunc status=none; done
for try in 1 2 3 4 5 6 7 8; do
    rm -f out.qcow2
    "$EMBR_IMG" convert -c -O qcow2 big.raw out.qcow2 &
    pid=$!
    until [ -s out.qcow2 ] || ! kill -0 $pid 2>/dev/null; do :; done
    sleep 0.1
    kill -STOP $pid 2>/dev/null || continue
    status=0
    qemu-img info out.qcow2 >/dev/null 2>refused || status=$?
    kill -CONT $pid
    wait $pid || fail 'convert'
    [ "$status" != 0 ] || continue
    grep -q 'Failed to get shared "write" lock' refused || fail "qemu-img: $(cat refused)"
    break
done
[ "$status" != 0 ] || fail 'qemu-img opens an image that embr-img writes'
qemu-img compare -q -F raw out.qcow2 big.raw || fail 'the copy'
