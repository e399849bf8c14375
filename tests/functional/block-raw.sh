#!/bin/bash
# Raw images with holes: convert, map, info and compare do what qemu-img does.
source "$(dirname "$0")/common.sh"
need qemu-img python3 cmp
find_aio_modes

# Data, runs of written zeroes of many lengths, and holes; SIZE may be odd.
make_raw()
{
    python3 - "$1" "$2" <<'END'
import random, sys
random.seed(7)
size = int(sys.argv[2])
with open(sys.argv[1], 'wb') as f:
    at = 0
    while at < size:
        n = min(random.choice([512, 4096, 4608, 65536, 300000, 2 << 20]), size - at)
        kind = random.choice('dddzzh')
        if kind == 'd':
            f.seek(at)
            f.write(random.randbytes(n))
        elif kind == 'z':
            f.seek(at)
            f.write(bytes(n))
        at += n
    f.truncate(size)
END
}

# blocks FILE: KiB taken, to within what the filesystem adds for itself
close_in_size()
{
    local a b
    a=$(stat -c %b "$1") b=$(stat -c %b "$2")
    (( a - b <= 64 && b - a <= 64 )) || fail "$1 takes $a sectors, $2 takes $b"
}

make_raw even.raw $((40 << 20))
make_raw odd.raw $(((9 << 20) + 1000))
make_raw tiny.raw 1
: >empty.raw

for aio in $AIO_MODES; do
    export EMBR_AIO=$aio
    for image in even odd tiny empty; do
        rm -f out.raw ref.raw
        qemu-img convert -f raw -O raw $image.raw ref.raw
        "$EMBR_IMG" convert -O raw $image.raw out.raw
        same ref.raw out.raw "$aio: $image.raw converted"
        close_in_size ref.raw out.raw

        "$EMBR_IMG" map --output=json -f raw $image.raw >out
        qemu-img map --output=json -f raw $image.raw >ref
        same_json ref out "map of $image.raw"
        "$EMBR_IMG" map -f raw $image.raw >out
        qemu-img map -f raw $image.raw >ref
        same ref out "map of $image.raw for people"

        "$EMBR_IMG" info --output=json -f raw $image.raw >out
        qemu-img info --output=json -f raw $image.raw >ref
        same_json ref out "info of $image.raw"
        "$EMBR_IMG" info $image.raw >out
        qemu-img info -f raw $image.raw >ref
        same ref out "info of $image.raw for people"

        "$EMBR_IMG" compare -q $image.raw out.raw
        # Over junk, into a target that exists.
        size=$(stat -c %s ref.raw)
        head -c "$size" /dev/zero | tr '\0' U >junk.raw
        "$EMBR_IMG" convert -n -O raw $image.raw junk.raw
        same ref.raw junk.raw "$aio: $image.raw over junk"
    done
    for m in 1 3 16; do
        rm -f out.raw
        "$EMBR_IMG" convert -m $m -O raw even.raw out.raw
        same even.raw out.raw "convert with $m coroutines"
    done
done

# compare: what differs, and exit codes
check_compare()
{
    local ours=0 theirs=0
    "$EMBR_IMG" compare "$@" >out 2>out.err || ours=$?
    qemu-img compare "$@" >ref 2>ref.err || theirs=$?
    [ $ours = $theirs ] || fail "compare $* exits with $ours, qemu-img's with $theirs"
    same ref out "output of compare $*"
}
cp --sparse=always even.raw other.raw
check_compare -f raw -F raw even.raw other.raw
printf X | dd of=other.raw bs=1 seek=$((33 << 20 | 777)) conv=notrunc status=none
check_compare -f raw -F raw even.raw other.raw
cp even.raw longer.raw
truncate -s 45M longer.raw
check_compare -f raw -F raw even.raw longer.raw
check_compare -f raw -F raw longer.raw even.raw
check_compare -s -f raw -F raw even.raw longer.raw
printf X | dd of=longer.raw bs=1 seek=$((44 << 20)) conv=notrunc status=none
check_compare -f raw -F raw even.raw longer.raw
check_compare -f raw -F raw even.raw missing.raw
check_compare -f raw -F raw missing.raw even.raw
truncate -s 1M hole.raw
head -c 1M /dev/zero >zeroes.raw
check_compare -f raw -F raw hole.raw zeroes.raw
check_compare -s -f raw -F raw hole.raw zeroes.raw

# A fifo and a directory are refused, at once.
mkfifo fifo
expect_failure 1 "requires 'fifo' to be a regular file" timeout 10 "$EMBR_IMG" info fifo
expect_failure 1 "requires '.' to be a regular file" "$EMBR_IMG" info .
expect_failure 1 "Could not open 'missing.raw': No such file or directory" \
    "$EMBR_IMG" convert -O raw missing.raw out2.raw
expect_failure 1 "Unknown protocol 'nbd'" "$EMBR_IMG" info nbd:localhost
[ ! -e out2.raw ] || fail "a failed convert left its target"
"$EMBR_IMG" info file:tiny.raw >/dev/null
