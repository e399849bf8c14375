#!/bin/bash
# Time of embr-img convert to raw as a ratio to qemu-img's, in one run.
#
#     bench-convert.sh IMAGE.qcow2 [RUNS]
#
# IMAGE is converted as it is, and compressed with zlib and with zstd (made beside the
# output, removed at the end).  Runs alternate between the two programs; medians count.
# The page cache is warmed first.  Output goes to $TMPDIR (default /tmp).
set -euo pipefail

image=${1:?usage: bench-convert.sh IMAGE.qcow2 [RUNS]}
runs=${2:-7}
embr=${EMBR_IMG:-$(dirname "$0")/../../build/tools/embr-img}
dir=$(mktemp -d "${TMPDIR:-/tmp}/embr-bench-convert.XXXXXX")
trap 'rm -rf "$dir"' EXIT

# seconds COMMAND...: prints its wall time
seconds()
{
    local start=$EPOCHREALTIME
    "$@" >/dev/null
    awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f\n", b - a }'
}

median()
{
    sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

bench()
{
    local name=$1 src=$2 i ours theirs
    cat "$src" >/dev/null
    : >"$dir/ours"
    : >"$dir/theirs"
    for ((i = 0; i < runs; i++)); do
        rm -f "$dir/out.raw"
        seconds "$embr" convert -O raw "$src" "$dir/out.raw" >>"$dir/ours"
        rm -f "$dir/out.raw"
        seconds qemu-img convert -O raw "$src" "$dir/out.raw" >>"$dir/theirs"
    done
    ours=$(median <"$dir/ours")
    theirs=$(median <"$dir/theirs")
    awk -v n="$name" -v a="$ours" -v b="$theirs" \
        'BEGIN { printf "%-22s embr-img %6.2f s   qemu-img %6.2f s   ratio %.2f\n", n, a, b, a / b }'
}

bench "qcow2 -> raw" "$image"
for type in zlib zstd; do
    qemu-img convert -c -O qcow2 -o compression_type=$type -m 8 -W "$image" "$dir/$type.qcow2"
    bench "qcow2 ($type) -> raw" "$dir/$type.qcow2"
    rm "$dir/$type.qcow2"
done
