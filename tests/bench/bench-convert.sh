#!/bin/bash
# Time of embr-img convert to raw as a ratio to qemu-img's, in one run.
#
#     bench-convert.sh IMAGE.qcow2 [RUNS]
#
# IMAGE is converted as it is, compressed with zlib and with zstd, and as an engram
# (which qemu-img's time for zstd is compared with); all are made beside the output,
# and removed at the end.  Runs alternate between the two programs; medians count: of
# wall time, and of user and system time together.  The page cache is warmed first.
# Output goes to $TMPDIR (default /tmp).  On a machine that others use, too, $RUN is put
# before both commands: RUN='chrt -f 10' has the processors to itself.
source "$(dirname "$0")/bench-common.sh"
image=${1:?usage: bench-convert.sh IMAGE.qcow2 [RUNS]}
runs=${2:-7}

# times COMMAND...: prints its wall time, and user and system time
times()
{
    local TIMEFORMAT='%R %U %S'
    { time ${RUN:-} "$@" >/dev/null; } 2>&1 | awk '{ print $1, $2 + $3 }'
}

# field NUMBER FILE: the median of a column
field() { cut -d' ' -f"$1" "$2" | median; }

# bench NAME OURS THEIRS: to raw, from the image in OURS and from that in THEIRS
bench()
{
    local i
    cat "$2" "$3" >/dev/null
    : >"$dir/ours"
    : >"$dir/theirs"
    for ((i = 0; i < runs; i++)); do
        rm -f "$dir/out.raw"
        times "$embr" convert -O raw "$2" "$dir/out.raw" >>"$dir/ours"
        rm -f "$dir/out.raw"
        times qemu-img convert -O raw "$3" "$dir/out.raw" >>"$dir/theirs"
    done
    awk -v n="$1" -v a="$(field 1 "$dir/ours")" -v b="$(field 1 "$dir/theirs")" \
        -v c="$(field 2 "$dir/ours")" -v d="$(field 2 "$dir/theirs")" 'BEGIN {
            printf "%-22s embr-img %6.2f s (CPU %5.2f)   qemu-img %6.2f s (CPU %5.2f)   " \
                   "ratio %.2f (CPU %.2f)\n", n, a, c, b, d, a / b, c / d }'
}

bench "qcow2 -> raw" "$image" "$image"
for type in zlib zstd; do
    qemu-img convert -c -O qcow2 -o compression_type=$type -m 8 -W "$image" "$dir/$type.qcow2"
    bench "qcow2 ($type) -> raw" "$dir/$type.qcow2" "$dir/$type.qcow2"
done
"$embr" convert -q -O engram "$image" "$dir/image.engram"
bench "engram -> raw" "$dir/image.engram" "$dir/zstd.qcow2"
