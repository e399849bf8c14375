#!/bin/bash
# How time and memory of an encode grow with the size of a disk that is full of data.
#
#     bench-large.sh DATA [GIB...] >large.txt
#
# The disks are of GIB (1 4 16 64 256 1024) GiB, made by make-large.py of DATA, a raw image of
# some GiB.  Prints a row for each: GiB, the engram's bytes, wall and CPU seconds, and
# peak memory in KiB.
source "$(dirname "$0")/bench-common.sh"
data=${1:?a raw image}
shift
[ $# -gt 0 ] || set -- 1 4 16 64 256 1024
cat "$data" >/dev/null
for gib; do
    python3 "$(dirname "$0")/make-large.py" "$data" "$gib" "$dir/disk.qcow2"
    figures=$(measured "$embr" convert -O engram "$dir/disk.qcow2" "$dir/disk.engram")
    echo "$gib $(stat -c %s "$dir/disk.engram") $figures"
done
