#!/bin/bash
# resize does to raw and qcow2 images what qemu-img does, and says the same.
source "$(dirname "$0")/common.sh"
need qemu-img qemu-io python3
ln -s "$EMBR_IMG" embr
mkdir as
ln -s "$EMBR_IMG" as/qemu-img

# both OPTION...: resizes t.qcow2 or t.raw in ours and theirs; what is printed and the exit
# status are the same.
both()
{
    local status=0 expected=0
    (cd ours && ../as/qemu-img resize "$@" >../ours.text 2>&1) || status=$?
    (cd theirs && qemu-img resize "$@" >../theirs.text 2>&1) || expected=$?
    same ours.text theirs.text "resize $*: what is printed"
    [ $status = $expected ] || fail "resize $*: exit status $status, qemu-img's $expected"
}

# fresh COMMAND...: makes the images anew; COMMAND... is run in both directories.
fresh()
{
    local dir
    rm -rf ours theirs
    for dir in ours theirs; do
        mkdir $dir
        (cd $dir && "$@")
    done
}

# QEMU looks for data files where it runs.
same_images()
{
    local dir format=raw
    [ ! -e ours/t.qcow2 ] || format=qcow2
    for dir in ours theirs; do
        (
            cd $dir
            qemu-img convert -f $format -O raw t.$format ../$dir.disk
            [ $format = raw ] || qemu-img check -q t.qcow2
        ) || fail "$1: $dir"
    done
    cmp ours.disk theirs.disk || fail "$1: content"
    [ $format = qcow2 ] || [ "$(stat -c %s ours/t.raw)" = "$(stat -c %s theirs/t.raw)" ] ||
        fail "$1: size of the file"
}

# kinds IMAGE: which ranges of the disk are of which kind
kinds()
{
    qemu-img map --output=json "$1" | python3 -c 'import itertools, json, sys
for kind, ranges in itertools.groupby(json.load(sys.stdin), lambda r: (r["data"], r["zero"])):
    print(next(ranges)["start"], kind)'
}

make_raw()
{
    qemu-img create -q -f raw t.raw 1M
    qemu-io -f raw -c 'write -P 7 0 300k' -c 'write -P 8 900k 124k' t.raw >/dev/null
}
make_qcow2()
{
    qemu-img create -q -f qcow2 -o "$@" t.qcow2 1M
    qemu-io -f qcow2 -c 'write -P 7 0 300k' -c 'write -P 8 900k 124k' t.qcow2 >/dev/null
}
make_overlay()
{
    head -c 3M /dev/zero | tr '\0' B >base.raw
    qemu-img create -q -f qcow2 -b base.raw -F raw -o "$@" t.qcow2 1M
    qemu-io -f qcow2 -c 'write -P 7 0 300k' -c 'write -P 8 900k 124k' t.qcow2 >/dev/null
}

fresh make_raw
for size in 2M +512k 1M +1 0 x '' + -- -100M 1.5M; do
    both -f raw t.raw "$size"
    same_images "raw, $size"
done
for size in 1000k -100k -1 512; do
    both -f raw --shrink t.raw "$size"
    same_images "raw, --shrink $size"
done
for mode in off falloc full; do
    both --preallocation=$mode -f raw t.raw +1M
    same_images "raw, preallocation=$mode"
    [ $mode = off ] || [ "$(stat -c %b ours/t.raw)" -ge 2048 ] || fail "$mode: not allocated"
done
both --preallocation=bogus -f raw t.raw +1M
both --preallocation=full --shrink -f raw t.raw 1M

for options in cluster_size=64k cluster_size=512 compat=0.10,cluster_size=4k \
    extended_l2=on data_file=d; do
    for make in make_qcow2 make_overlay; do
        [ "$make $options" != "make_overlay compat=0.10,cluster_size=4k" ] || continue
        fresh $make $options
        both t.qcow2 5M
        same_images "$options, $make, growth"
        both -q t.qcow2 +100M
        same_images "$options, $make, more growth"
        both --shrink t.qcow2 -100M
        both --shrink -f qcow2 t.qcow2 1000k
        same_images "$options, $make, shrinking"
        both t.qcow2 +24k
        # Where QEMU shows what was cut off before.
        (cd ours && qemu-io -f qcow2 -c 'read -P 8 900k 100k' -c 'read -P 0 1000k 24k' t.qcow2) >reads
        ! grep 'verification failed' reads || fail "$options, $make: what was cut off is back"
        both t.qcow2 1001
        both t.qcow2 512
    done
done
for mode in off metadata falloc full; do
    fresh make_qcow2 cluster_size=4k
    both --preallocation=$mode t.qcow2 +3M
    same_images "preallocation=$mode"
    same <(kinds ours/t.qcow2) <(kinds theirs/t.qcow2) "preallocation=$mode: what is allocated"
done
both --image-opts driver=qcow2,file.driver=file,file.filename=t.qcow2 8M
same_images '--image-opts'

# What is written after the disk has been made smaller and larger again is found there.
fresh make_qcow2 cluster_size=4k
both --shrink t.qcow2 100k
both t.qcow2 1M
for dir in ours theirs; do
    qemu-io -f qcow2 -c 'write -P 9 500k 100k' $dir/t.qcow2 >/dev/null
done
same_images 'shrinking by whole clusters, growth, writing'

refused()
{
    local pattern=$1
    shift
    expect_failure 1 "^embr: .*$pattern" ./embr resize "$@"
}
truncate -s 1M none.raw
./embr convert -O engram none.raw none.engram
cp none.engram none.copy
refused 'Not enough arguments' t.qcow2
refused 'Expecting image file name and size' a b 1M
refused "Could not open 'gone': No such file" gone 1M
refused 'engram.* cannot be written' none.engram 2M
refused 'Use the --shrink option' ours/t.qcow2 -512
refused 'mutually exclusive' --image-opts -f raw ours/t.qcow2 1M
./embr resize --help | grep -q -e --shrink || fail 'no help'
cmp none.engram none.copy || fail 'the engram was changed'

# No room for what is asked for: the image stays as it was.
if [ "$(id -u)" = 0 ] && mkdir full && mount -t tmpfs -o size=4M none full 2>/dev/null; then
    on_exit "umount '$TEST_DIR/full'"
    for format in raw qcow2; do
        qemu-img create -q -f $format full/t 1M
        cp full/t before
        expect_failure 1 'No space left on device' \
            "$EMBR_IMG" resize -f $format --preallocation=falloc full/t +20M
        same <(qemu-img info -f $format before | grep 'virtual size') \
            <(qemu-img info -f $format full/t | grep 'virtual size') "$format: size after a failure"
        qemu-img compare -q -f $format -F $format before full/t ||
            fail "$format: content after a failure"
        [ $format = raw ] || qemu-img check -q full/t || fail "no room: check"
        rm full/t
    done
fi
