#!/bin/bash
# convert with a backing file, several sources, rate limits and cache modes: what qemu-img
# makes, and what it says.
source "$(dirname "$0")/common.sh"
need qemu-img qemu-io python3
mkdir as
ln -s "$EMBR_IMG" as/qemu-img

random_file base.raw 3000000 1
truncate -s 3M base.raw
qemu-img convert -O qcow2 base.raw base.qcow2
qemu-img create -q -f qcow2 -b base.raw -F raw top.qcow2 5M
qemu-io -c 'write -P 1 100k 200k' -c 'write -z 1M 300k' -c 'write -P 2 2900k 300k' \
    -c 'write -z 4M 200k' -c 'write -P 0 4500k 64k' -c 'write -s base.raw 2001k 3k' top.qcow2 >/dev/null
qemu-img convert -O raw top.qcow2 top.raw

# data_bytes IMAGE: of its own layer
data_bytes()
{
    qemu-img map --output=json "$1" | python3 -c 'import json, sys
print(sum(r["length"] for r in json.load(sys.stdin) if r["data"] and r["depth"] == 0))'
}

# overlay OPTION...: an overlay with these options reads as the source, and holds no more than
# qemu-img's.
overlay()
{
    rm -f o.qcow2 q.qcow2
    "$EMBR_IMG" convert -O qcow2 "$@" top.qcow2 o.qcow2 || fail "convert $*"
    qemu-img convert -O qcow2 "$@" top.qcow2 q.qcow2
    qemu-img check -q o.qcow2 || fail "$*: check"
    qemu-img compare -q o.qcow2 top.qcow2 || fail "$*: content"
    same <(qemu-img info o.qcow2 | grep backing) <(qemu-img info q.qcow2 | grep backing) "$*: info"
    [ "$(data_bytes o.qcow2)" -le $(($(data_bytes q.qcow2) + 131072)) ] ||
        fail "$*: $(data_bytes o.qcow2) bytes of data, qemu-img has $(data_bytes q.qcow2)"
}
overlay -B base.raw -F raw
overlay -B base.qcow2 -F qcow2
overlay -o backing_file=base.raw,backing_fmt=raw
overlay -c -B base.raw -F raw -o cluster_size=4k
overlay -B base.raw -F raw -o compat=0.10
overlay -B base.raw -F raw -o extended_l2=on -S 0
mkdir sub
"$EMBR_IMG" convert -O qcow2 -B ../base.raw -F raw top.qcow2 sub/o.qcow2
qemu-img compare -q sub/o.qcow2 top.qcow2 || fail 'backing file beside the target'
# Over an engram, too
"$EMBR_IMG" convert -O engram base.raw base.engram
"$EMBR_IMG" convert -O qcow2 -B base.engram -F engram top.qcow2 o.qcow2
"$EMBR_IMG" compare -q o.qcow2 top.raw || fail 'over an engram'
[ "$(stat -c %s o.qcow2)" -lt 1500000 ] || fail 'over an engram: all of it is stored'
# A base that is shorter than the source's, and one that is longer
qemu-img create -q -f qcow2 -b base.raw -F raw short.qcow2 1M
qemu-io -c 'write -P 9 100k 100k' short.qcow2 >/dev/null
"$EMBR_IMG" convert -O qcow2 -B base.raw -F raw short.qcow2 o.qcow2
qemu-img compare -q o.qcow2 short.qcow2 || fail 'a longer backing file'
# Into an overlay that is there
qemu-img create -q -f qcow2 -b base.raw -F raw there.qcow2 5M
"$EMBR_IMG" convert -n -O qcow2 -B base.raw -F raw top.qcow2 there.qcow2
qemu-img compare -q there.qcow2 top.qcow2 || fail '-n -B'
[ "$(stat -c %s there.qcow2)" -lt 1500000 ] || fail '-n -B: all of it is stored'

# Several sources
qemu-img create -q -f raw odd.raw 1000k
qemu-io -f raw -c 'write -P 5 999k 1k' odd.raw >/dev/null
for format in raw qcow2 engram; do
    "$EMBR_IMG" convert -O $format odd.raw top.qcow2 base.qcow2 odd.raw all.$format
    qemu-img convert -O raw odd.raw top.qcow2 base.qcow2 odd.raw expected.raw
    "$EMBR_IMG" compare -q all.$format expected.raw || fail "several sources, $format"
done
"$EMBR_IMG" convert --salvage -q -c -O qcow2 odd.raw top.qcow2 two.qcow2
cat odd.raw top.raw >two.raw
"$EMBR_IMG" compare -q two.qcow2 two.raw || fail 'several sources, --salvage -c'

# Cache modes end in the same image.
for mode in none writeback writethrough directsync unsafe; do
    dd if=top.raw of=direct bs=4096 count=1 oflag=direct status=none 2>/dev/null ||
        [[ $mode != none && $mode != directsync ]] || continue
    "$EMBR_IMG" convert -t $mode -T $mode -O qcow2 top.qcow2 t.qcow2
    qemu-img check -q t.qcow2 && qemu-img compare -q t.qcow2 top.qcow2 || fail "-t $mode"
done

# 2.5 MiB of data at 4 MiB/s
qemu-img create -q -f raw rate.raw 10M
qemu-io -f raw -c 'write -P 5 0 2500k' rate.raw >/dev/null
start=$(date +%s%N)
"$EMBR_IMG" convert -r 4M -O qcow2 rate.raw t.qcow2
ms=$((($(date +%s%N) - start) / 1000000))
[ $ms -ge 300 ] || fail "-r: $ms ms"
qemu-img compare -q rate.raw t.qcow2 || fail '-r: content'

# Mistakes are called by the same words.
refused()
{
    local status=0 expected=0
    as/qemu-img convert "$@" >ours.text 2>&1 || status=$?
    [ ! -e x ] || fail "something is left: convert $*"
    qemu-img convert "$@" >theirs.text 2>&1 || expected=$?
    rm -f x
    same <(grep -v ^Try ours.text) <(grep -v ^Try theirs.text) "convert $*"
    [ $status = $expected ] || fail "convert $*: exit status $status, qemu-img's $expected"
}
refused -O qcow2 -B base.raw top.qcow2 x
refused -O raw -B base.raw -F raw top.qcow2 x
refused -O qcow2 -B base.raw -F raw top.qcow2 base.raw x
refused -n -o compat=v3 -O qcow2 top.qcow2 there.qcow2
expect_failure 1 'Cannot use --target-is-zero when the destination image has a backing file' \
    "$EMBR_IMG" convert -n --target-is-zero -O qcow2 -B base.raw -F raw top.qcow2 there.qcow2
refused --target-is-zero -O qcow2 top.qcow2 x
refused -c -O raw top.qcow2 x
refused -r x top.qcow2 x
refused -m 0 top.qcow2 x
refused -S 100 top.qcow2 x
refused -S y top.qcow2 x
refused -t foo top.qcow2 x
refused -T foo top.qcow2 x
refused -O foo top.qcow2 x
refused top.qcow2
refused -l foo top.qcow2 base.raw x
refused --target-image-opts top.qcow2 driver=raw,file.filename=x
refused -n --target-image-opts -O raw top.qcow2 driver=raw,file.filename=x
refused --image-opts -f raw top.qcow2 x
refused -c -O qcow2 -o preallocation=metadata top.qcow2 x
sha256sum base.raw base.qcow2 top.qcow2 >before
expect_failure 1 'No such file' "$EMBR_IMG" convert -O qcow2 -B gone -F raw top.qcow2 x
[ ! -e x ] || fail 'something is left'
expect_failure 1 'its own backing file' "$EMBR_IMG" convert -O qcow2 -B base.qcow2 -F qcow2 odd.raw base.qcow2
expect_failure 1 'would be overwritten' "$EMBR_IMG" convert odd.raw top.qcow2 base.raw
expect_failure 1 'would be overwritten' "$EMBR_IMG" convert -n odd.raw base.qcow2 base.qcow2
sha256sum -c --quiet before || fail 'the sources were changed'
