#!/bin/bash
# Time of embr-img ls -R over a whole disk as a ratio to that of sleuthkit's fls -r over
# its filesystems of type ext4, in one run.
#
#     bench-ls.sh IMAGE [RUNS]
#
# fls reads raw disks only; for any other image it gets a raw copy, made beforehand.
# Runs alternate between the two programs; medians count.  The page cache is warmed first.
source "$(dirname "$0")/bench-common.sh"
image=${1:?usage: bench-ls.sh IMAGE [RUNS]}
runs=${2:-11}

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
echo "$(wc -l <"$dir/stdout") files to fls"
theirs=$(median <"$dir/theirs")
for options in -R -lR "-R --output=json"; do
    ratio "ls $options, and fls -r" "$(median <"$dir/ours${options// /}")" "$theirs" s
done
