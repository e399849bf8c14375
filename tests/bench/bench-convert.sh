#!/bin/bash
# Time of embr-img convert to raw and to qcow2 as a ratio to qemu-img's, in one run.
#
#     bench-convert.sh IMAGE.qcow2 [RUNS]
#
# IMAGE is converted as it is, compressed with zlib and with zstd, and as an engram
# (which qemu-img's time for zstd is compared with); all are made beside the output,
# and removed at the end.  Runs alternate between the two programs; medians count: of
# wall time, and of user and system time together.  The page cache is warmed first.
# Output goes to $TMPDIR (default /tmp).
source "$(dirname "$0")/bench-common.sh"
image=${1:?usage: bench-convert.sh IMAGE.qcow2 [RUNS]}
runs=${2:-7}

ours() { times "$embr" convert -O raw "$our_source" "$dir/out.raw"; }
theirs() { times qemu-img convert -O raw "$their_source" "$dir/out.raw"; }
clean() { rm -f "$dir/out.raw"; }

# bench NAME LIMIT OURS THEIRS: to raw, from the image in OURS and from that in THEIRS
bench()
{
    our_source=$3 their_source=$4
    cat "$3" "$4" >/dev/null
    alternate "$runs" ours theirs clean
    compare "$1" "$dir/ours" "$dir/theirs" "$2"
}

bench "qcow2 -> raw" 1.00 "$image" "$image"
for type in zlib zstd; do
    qemu-img convert -c -O qcow2 -o compression_type=$type -m 8 -W "$image" "$dir/$type.qcow2"
    bench "qcow2 ($type) -> raw" 1.00 "$dir/$type.qcow2" "$dir/$type.qcow2"
done
"$embr" convert -q -O engram "$image" "$dir/image.engram"
bench "engram -> raw, zstd qcow2 -> raw" 0.50 "$dir/image.engram" "$dir/zstd.qcow2"

ours() { times "$embr" convert $options -O qcow2 "$our_source" "$dir/out.qcow2"; }
theirs() { times qemu-img convert $options -m 8 -W -O qcow2 "$their_source" "$dir/out.qcow2"; }
clean() { rm -f "$dir/out.qcow2"; }

# bench_qcow2 NAME LIMIT SOURCE [CONVERT-OPTION...]: to qcow2, with these options
bench_qcow2()
{
    options=${*:4}
    bench "$1" "$2" "$3" "$3"
}

qemu-img convert -O raw "$image" "$dir/image.raw"
bench_qcow2 "qcow2 -> qcow2" 1.00 "$image"
bench_qcow2 "raw -> qcow2" 1.00 "$dir/image.raw"
bench_qcow2 "raw -> qcow2 (zlib)" 0.60 "$dir/image.raw" -c
bench_qcow2 "raw -> qcow2 (zstd)" 0.60 "$dir/image.raw" -c -o compression_type=zstd
