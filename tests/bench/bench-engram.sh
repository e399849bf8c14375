#!/bin/bash
# Making an engram against making qemu-img's qcow2 compressed with zstd, in one run: time,
# size, peak memory.
#
#     bench-engram.sh IMAGE [RUNS]
#
# Runs alternate; medians count. The page cache is warmed first.  Output goes to $TMPDIR
# (default /tmp). What it takes to get the disk back is in bench-convert.sh.
source "$(dirname "$0")/bench-common.sh"
image=${1:?usage: bench-engram.sh IMAGE [RUNS]}
runs=${2:-7}

ours() { times "$embr" convert -O engram "$image" "$dir/disk.engram"; }
theirs()
{
    times qemu-img convert -c -O qcow2 -o compression_type=zstd "$image" "$dir/disk.qcow2"
}
clean() { rm -f "$dir"/disk.*; }

# peak COMMAND...: its largest resident set in MiB
peak()
{
    python3 - "$@" <<'END'
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
END
}

cat "$image" >/dev/null
alternate "$runs" ours theirs clean
compare "engram, qcow2 with zstd" "$dir/ours" "$dir/theirs" 1.00
ours >/dev/null
awk -v a="$(stat -c %s "$dir/disk.engram")" -v b="$(stat -c %s "$dir/disk.qcow2")" 'BEGIN {
    printf "  size: %.1f MB, %.1f MB, ratio %.3f  at most 0.92\n", a / 1e6, b / 1e6, a / b }'

echo "  peak memory: $(peak "$embr" convert -O engram "$image" "$dir/disk.engram") MiB, under 256"
format=$(qemu-img info --output=json "$image" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["format"])')
qemu-img create -q -f qcow2 -F "$format" -b "$(realpath "$image")" "$dir/large.qcow2" 1T
echo "  of the same disk as 1 TiB, sparse:" \
    "$(peak "$embr" convert -O engram "$dir/large.qcow2" "$dir/disk.engram") MiB, under 256"
