#!/bin/bash
# embr-io beside qemu-io: the same commands print the same, and leave the same disk.
source "$(dirname "$0")/common.sh"
need qemu-img qemu-io
EMBR_IO=${EMBR_IO:-$EMBR_BUILD/tools/embr-io}

# What differs from run to run, and the program's name.
filter()
{
    sed -E -e 's/; [0-9:.]+( sec)? \([0-9.]+ [KMGT]?i?B?(bytes)?\/sec and [0-9.]+ ops\/sec\)/; T/' \
        -e 's/^([0-9]+,1,)[0-9:.,]+$/\1T/' -e 's/^(embr|qemu)-io(:|> )/NAME\2/' -e 's/[ab]\.qcow2/X/'
}

# alike STATUS COMMAND...: on both programs, each with an image of its own.
alike()
{
    local wanted=$1 args=() status_a=0 status_b=0
    shift
    for command; do
        args+=(-c "$command")
    done
    "$EMBR_IO" -t writeback "${args[@]}" a.qcow2 >raw.a 2>err.a || status_a=$?
    qemu-io -t writeback "${args[@]}" b.qcow2 >raw.b 2>err.b || status_b=$?
    filter <raw.a >out.a
    filter <raw.b >out.b
    filter <err.a >>out.a
    filter <err.b >>out.b
    cmp -s out.a out.b || { diff out.b out.a >&2; fail "output of: $*"; }
    [ "$status_a" = "$wanted" ] && [ "$status_b" = "$wanted" ] ||
        fail "status $status_a, qemu-io's $status_b: $*"
}

for name in a b; do
    qemu-img create -q -f qcow2 $name.qcow2 16M
done
alike 0 'write -P 0x11 0 64k' 'read -P 0x11 0 64k' 'read -v 0 40' 'writev -P 1 512 1k 3' \
    'readv -v 510 10 20' 'aio_write -P 7 1M 4k 512' 'aio_flush' 'aio_read -P 7 1M 4k' 'aio_flush'
alike 0 'write -z 2M 128k' 'write -z -u 3M 64k' 'write -c -P 5 4M 64k' 'discard 0 64k' 'map' \
    'alloc 0 1M' 'alloc 2M' 'length' 'write -s /etc/passwd 5M 3k' 'write -f 1 3' 'read -Cv 5M 50'
alike 0 'truncate 32M' 'length' 'write 20M 1' 'read -P 0xcd 20M 1'
alike 1 'read -P 9 0 512' 'read 64M 512' 'read 0 xyz' 'read 0 99G' 'nosuch' 'write -u 0 1' \
    'write -z -P 3 0 1' 'read -P 300 0 1' 'length x' 'sigraise 99' 'break a b' 'resume a' 'sleep x'
alike 0 'read -P 0xcd -s 1 -l 2 0 16k' 'quit' 'nosuch'
[ "$("$EMBR_IO" --image-opts driver=qcow2,file.filename=a.qcow2 -c length)" = '32 MiB' ] ||
    fail "--image-opts"
[ "$(printf 'length\nquit\n' | "$EMBR_IO" a.qcow2 | filter)" = 'NAME> 32 MiB
NAME> ' ] || fail "standard input"
qemu-img compare -q a.qcow2 b.qcow2 || fail "the disks differ"
qemu-img check -q a.qcow2 || fail "check"

# Options that do not exist are named.
expect_failure 1 "Block format 'qcow2' does not support the option 'foo'" \
    "$EMBR_IO" --image-opts driver=qcow2,file.filename=a.qcow2,foo=1 -c length
expect_failure 1 "Unknown driver 'nosuch'" \
    "$EMBR_IO" "json:{'driver':'nosuch','file.filename':'a.qcow2'}" -c length

# Counts are left behind, and the image marked so, only where that was asked for.
lazy_mark()
{
    "$EMBR_IO" --image-opts "driver=qcow2,lazy-refcounts=$1,file.filename=c.qcow2" \
        -c 'write 0 64k' -c flush -c abort >/dev/null 2>&1 && fail "abort"
    od -An -tu1 -j79 -N1 c.qcow2 | tr -d ' '
}
for asked in on off; do
    qemu-img create -q -f qcow2 -o lazy_refcounts=on c.qcow2 1M
    [ "$(lazy_mark $asked)" = $((${#asked} == 2)) ] || fail "lazy-refcounts=$asked"
done
qemu-img create -q -f qcow2 -o compat=0.10 c.qcow2 1M
expect_failure 1 'c.qcow2: Lazy refcounts require' \
    "$EMBR_IO" --image-opts driver=qcow2,lazy-refcounts=on,file.filename=c.qcow2 -c length

# Every option is in the manual page.
page=$EMBR_SOURCE/docs/man/embr-io.1
for option in $("$EMBR_IO" --help | grep -oE -- '--[a-z-]+' | sort -u); do
    grep -qF -- "${option//-/\\-}" "$page" || fail "$option is not in the manual page"
done
