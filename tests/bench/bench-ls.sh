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

# list_files SECTOR...: those of all filesystems, by fls
list_files()
{
    local sector
    for sector; do
        fls -r -o "$sector" "$raw"
    done
}
export raw
export -f list_files

ours() { times "$embr" ls $options "$image"; }
theirs() { times bash -c 'list_files "$@"' list_files "${sectors[@]}"; }

cat "$image" "$raw" >/dev/null
for options in -R -lR "-R --output=json"; do
    alternate "$runs" ours theirs true
    compare "ls $options, fls -r" "$dir/ours" "$dir/theirs" 1.00
done
