#!/bin/bash
# Time of embr-img ls -R over a whole disk as a ratio to that of sleuthkit's fls -r over
# its filesystems of type ext4, in one run.
#
#     bench-ls.sh IMAGE [RUNS]
#
# fls reads raw disks only; for any other image it gets a raw copy, made beforehand.
# Runs alternate between the two programs; medians count.  The page cache is warmed first.
set -euo pipefail

image=${1:?usage: bench-ls.sh IMAGE [RUNS]}
runs=${2:-11}
embr=${EMBR_IMG:-$(dirname "$0")/../../build/tools/embr-img}
dir=$(mktemp -d "${TMPDIR:-/tmp}/embr-bench-ls.XXXXXX")
trap 'rm -rf "$dir"' EXIT

# seconds COMMAND...: prints its wall time
seconds()
{
    local start=$EPOCHREALTIME
    "$@" >"$dir/out" 2>"$dir/err"
    awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.4f\n", b - a }'
}

median()
{
    sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

raw=$image
if ! "$embr" info --output=json "$image" | grep -q '"format": "raw"'; then
    raw=$dir/raw
    "$embr" convert -O raw "$image" "$raw"
fi
mapfile -t sectors < <("$embr" volumes --output=json "$image" | python3 -c '
import json, sys
table = json.load(sys.stdin)
for v in table["volumes"]:
    if v.get("filesystem") == "ext4":
        print(v["offset"] // 512)')

fls_all()
{
    local sector
    for sector in "${sectors[@]}"; do
        fls -r -o "$sector" "$raw"
    done
}

cat "$image" "$raw" >/dev/null
for ((i = 0; i < runs; i++)); do
    for options in -R -lR "-R --output=json"; do
        # shellcheck disable=SC2086
        seconds "$embr" ls $options "$image" >>"$dir/ours${options// /}"
    done
    seconds fls_all >>"$dir/theirs"
done
echo "$(wc -l <"$dir/out") files to fls"
theirs=$(median <"$dir/theirs")
for options in -R -lR "-R --output=json"; do
    awk -v n="$options" -v a="$(median <"$dir/ours${options// /}")" -v b="$theirs" \
        'BEGIN { printf "ls %-18s embr-img %7.4f s   fls -r %7.4f s   ratio %.2f\n", n, a, b, a / b }'
done
