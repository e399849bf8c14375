#!/bin/bash
# rebase and commit leave the disk as it is, do what qemu-img does, say what it says, and may
# be killed at any time.
source "$(dirname "$0")/common.sh"
need qemu-img qemu-io python3
mkdir as
ln -s "$EMBR_IMG" as/qemu-img

# make_chain [OPTIONS]: base.raw <- mid.qcow2 <- top.qcow2, and other.raw, a little different
# from base.raw.
make_chain()
{
    rm -f -- *.raw *.qcow2
    random_file base.raw 2000000 1
    truncate -s 2M base.raw
    cp base.raw other.raw
    qemu-io -f raw -c 'write -P 1 300k 100k' -c 'write -P 1 1700k 4k' -c 'write -P 0 0 64k' other.raw >/dev/null
    truncate -s 2500k other.raw
    qemu-img create -q -f qcow2 -o "${1:-cluster_size=64k}" -b base.raw -F raw mid.qcow2 1800k
    qemu-io -c 'write -P 2 100k 70k' -c 'write -P 3 1M 200k' mid.qcow2 >/dev/null
    qemu-img create -q -f qcow2 -o "${1:-cluster_size=64k}" -b mid.qcow2 -F qcow2 top.qcow2 3M
    qemu-io -c 'write -P 4 120k 70k' -c 'write -z 1050k 100k' -c 'write -P 5 2900k 10k' top.qcow2 >/dev/null
    qemu-img convert -O raw top.qcow2 expected.disk
}

# sound WHAT: the disk is as before, and the image in order.
sound()
{
    qemu-img check -q top.qcow2 || fail "$1: qemu-img check"
    qemu-img compare -q -f raw -F qcow2 expected.disk top.qcow2 || fail "$1: content"
}

for options in cluster_size=512 extended_l2=on compat=0.10,cluster_size=4k; do
    for to in base.raw other.raw mid.qcow2 ''; do
        make_chain $options
        format=${to##*.}
        "$EMBR_IMG" rebase -b "$to" ${to:+-F $format} top.qcow2 || fail "$options: rebase to '$to'"
        sound "$options: rebase to '$to'"
        [ "$(qemu-img info top.qcow2 | sed -n 's/^backing file: //p')" = "$to" ] || fail "$to: name"
        got=$(stat -c %s top.qcow2)
        make_chain $options
        qemu-img rebase -b "$to" ${to:+-F $format} top.qcow2
        [ $got -le $((2 * $(stat -c %s top.qcow2))) ] || fail "$options, '$to': $got bytes"
    done
    make_chain $options
    "$EMBR_IMG" rebase -u -b gone -F raw top.qcow2
    "$EMBR_IMG" rebase -u -b mid.qcow2 -F qcow2 top.qcow2
    sound "$options: rebase -u"

    # An image of version 2 cannot grow in front of a longer backing image.
    [[ $options != compat* ]] || continue
    make_chain $options
    [ "$(as/qemu-img commit top.qcow2)" = 'Image committed.' ] || fail "$options: commit"
    sound "$options: commit"
    qemu-img check -q mid.qcow2 || fail "$options: commit: check of the base"
    qemu-img compare -q -f qcow2 -F raw mid.qcow2 expected.disk || fail "$options: commit: base"
    [ "$(qemu-img map top.qcow2 | grep -c top)" = 0 ] || fail "$options: commit: not empty"

    make_chain $options
    "$EMBR_IMG" commit -q -d -t writethrough top.qcow2
    sound "$options: commit -d"
    qemu-img compare -q -f qcow2 -F raw mid.qcow2 expected.disk || fail "$options: commit -d: base"
    [ "$(qemu-img map top.qcow2 | grep -c top)" != 0 ] || fail "$options: commit -d: it is empty"

    make_chain $options
    "$EMBR_IMG" commit -q -b base.raw top.qcow2
    qemu-img compare -q -f raw -F raw base.raw expected.disk || fail "$options: commit -b: base"
    sound "$options: commit -b"
done

# Onto an engram
make_chain
"$EMBR_IMG" convert -O engram other.raw other.engram
"$EMBR_IMG" rebase -b other.engram -F engram top.qcow2
"$EMBR_IMG" compare -q top.qcow2 expected.disk || fail 'onto an engram'
expect_failure 1 'cannot be written' "$EMBR_IMG" commit top.qcow2

# The same words
refused()
{
    local status=0 expected=0
    as/qemu-img "$@" >ours.text 2>&1 || status=$?
    qemu-img "$@" >theirs.text 2>&1 || expected=$?
    same <(grep -v ^Try ours.text) <(grep -v ^Try theirs.text) "$*"
    [ $status = $expected ] || fail "$*: exit status $status, qemu-img's $expected"
}
make_chain
refused rebase top.qcow2
refused rebase -b base.raw top.qcow2
refused rebase -u -b x top.qcow2
refused rebase -b base.raw -F bogus top.qcow2
refused rebase -b '' -f raw base.raw
refused rebase -T foo -b base.raw top.qcow2
refused rebase -t foo -b base.raw top.qcow2
refused commit -b none top.qcow2
refused commit -f raw base.raw
refused commit -t foo top.qcow2
refused commit -r x top.qcow2
refused commit a b
expect_failure 1 "Could not open 'none': No such" "$EMBR_IMG" rebase -b none -F raw top.qcow2
expect_failure 1 'the image itself' "$EMBR_IMG" rebase -u -b top.qcow2 -F qcow2 top.qcow2
sound 'what was refused'

# Killed, at whatever time
for i in 1 2 3; do
    make_chain cluster_size=4k
    (exec "$EMBR_IMG" rebase -t directsync -b other.raw -F raw top.qcow2 2>/dev/null) &
    sleep 0.0$((i * 3 % 10)) && kill -9 $! 2>/dev/null || true
    wait $! 2>/dev/null || true
    "$EMBR_IMG" check -q -r leaks top.qcow2 || fail "killed rebase: check"
    sound 'killed rebase'
    make_chain cluster_size=4k
    (exec "$EMBR_IMG" commit -q -t writethrough top.qcow2 2>/dev/null) &
    sleep 0.0$((i * 3 % 10)) && kill -9 $! 2>/dev/null || true
    wait $! 2>/dev/null || true
    for image in mid top; do
        "$EMBR_IMG" check -q -r leaks $image.qcow2 || fail "killed commit: check of $image.qcow2"
    done
    sound 'killed commit'
done
