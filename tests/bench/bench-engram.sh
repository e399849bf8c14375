#!/bin/bash
# Engrams against qemu-img's compressed qcow2, in one run: time and size of making one,
# time of getting the disk back, peak memory.
#
#     bench-engram.sh IMAGE [RUNS]
#
# The other program is qemu-img with zstd. Runs alternate; medians count. The page cache is
# warmed first.  Output goes to $TMPDIR (default /tmp).
source "$(dirname "$0")/bench-common.sh"
image=${1:?usage: bench-engram.sh IMAGE [RUNS]}
runs=${2:-7}

# make_engram, make_qcow2: what is timed
make_engram() { "$embr" convert -O engram "$image" "$dir/disk.engram"; }
make_qcow2() { qemu-img convert -c -O qcow2 -o compression_type=zstd "$image" "$dir/disk.qcow2"; }
raw_of_engram() { "$embr" convert -O raw "$dir/disk.engram" "$dir/out.raw"; }
raw_of_qcow2() { qemu-img convert -O raw "$dir/disk.qcow2" "$dir/out.raw"; }

# bench NAME OURS THEIRS REMOVED-BEFORE LIMIT
bench()
{
    local i
    : >"$dir/ours"
    : >"$dir/theirs"
    for ((i = 0; i < runs; i++)); do
        rm -f "$dir/$4"
        seconds "$2" >>"$dir/ours"
        rm -f "$dir/$5"
        seconds "$3" >>"$dir/theirs"
    done
    ratio "$1" "$(median <"$dir/ours")" "$(median <"$dir/theirs")" s "$6"
}

# peak COMMAND...: its largest resident set in KiB
peak()
{
    python3 - "$@" <<'END'
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
END
}

cat "$image" >/dev/null
bench "encode, and qcow2 with zstd" make_engram make_qcow2 disk.engram disk.qcow2 1.00
ratio "  size" "$(($(stat -c %s "$dir/disk.engram") / 1000))e-3" \
    "$(($(stat -c %s "$dir/disk.qcow2") / 1000))e-3" MB 0.92
bench "to raw, and from qcow2 with zstd" raw_of_engram raw_of_qcow2 out.raw out.raw 0.50
rm -f "$dir/out.raw"

rm "$dir/disk.engram"
kib=$(peak "$embr" convert -O engram "$image" "$dir/disk.engram")
echo "peak memory while encoding         $((kib / 1024)) MiB  (under 256)"
qemu-img create -q -f qcow2 -F "$(qemu-img info --output=json "$image" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["format"])')" \
    -b "$(realpath "$image")" "$dir/large.qcow2" 1T
kib=$(peak "$embr" convert -O engram "$dir/large.qcow2" "$dir/disk.engram")
echo "the same disk as 1 TiB, sparse     $((kib / 1024)) MiB  (under 256)"
