#!/bin/bash
# How many files that were moved and slightly edited are found again:
#
#     bench-renames.sh TREE [COUNT [SEED]]
#
# TREE is a real one, such as the root of a machine; COUNT (2000) files of it are moved
# and edited, as many are removed, and as many come new.
source "$(dirname "$0")/bench-common.sh"

tree=${1:?a tree of files}
count=${2:-2000}
seed=${3:-1}
here=$(cd "$(dirname "$0")" && pwd)
cd "$dir"
python3 "$here/make-renames.py" "$tree" "$count" "$seed"
for side in a b; do
    truncate -s 8G $side.fs
    mke2fs -q -F -t ext4 -d $side $side.fs </dev/null
    "$embr" convert -O engram $side.fs $side.engram
done
"$embr" diff --output=json --min-similarity 0.05 a.engram b.engram >out.json || [ $? = 1 ]
python3 "$here/rate-renames.py" a b truth.json out.json
