#!/bin/bash
# Makes the seeds in corpus/fat: small filesystems of every kind. Needs dosfstools, mtools
# and zstd.
set -euo pipefail
out=$(realpath "$(dirname "$0")")/corpus/fat
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$out"
cd "$dir"
export MTOOLS_SKIP_CHECK=1

mkdir -p src/dir/deep/er
echo hello >src/dir/file
echo upper >src/UPPER.TXT
printf 'x%.0s' {1..3000} >src/several
echo long >"src/a name that does not fit into eight and three.text"
echo näme >src/dir/deep/größe
: >src/dir/deep/empty
for i in $(seq 20); do : >"src/dir/deep/er/$i of a number of entries"; done

# seed NAME SIZE MKFS-OPTION...
seed()
{
    local name=$1 size=$2
    shift 2
    rm -f image
    truncate -s "$size" image
    mkfs.fat -n SEED -i 1234abcd --invariant -a "$@" image >mkfs.txt 2>&1 || { cat mkfs.txt; exit 1; }
    for i in 1 2 3 4; do mcopy -i image src/dir/file ::/hole$i </dev/null; done
    mdel -i image ::/hole2 ::/hole4
    mcopy -s -m -Q -i image src/* ::/ </dev/null
    mattrib -i image +r +h ::/several
    [ -z "${EDIT:-}" ] || python3 -c "$EDIT"
    zstd -q -19 -f image -o "$out/$name.zst"
}

seed fat12 80K -F 12 -s 1 -r 64 -f 2
seed fat12-4k 400K -F 12 -s 1 -S 4096 -r 128
seed fat16 2200K -F 16 -s 1 -r 64

# mtools wants as many clusters of FAT32 as others do: what is not used is cut off.
cut='
import os, struct
f = open("image", "r+b")
for boot in 0, 6 * 512:
    f.seek(boot + 32)
    f.write(struct.pack("<I", KEEP // 512))
f.truncate(KEEP)
'
EDIT=${cut//KEEP/600000} seed fat32 34M -F 32 -s 1 -R 8
EDIT=${cut//KEEP/320000} seed fat32-one-fat 34M -F 32 -s 1 -R 9 -f 1
EDIT="${cut//KEEP/320000}
f.seek(0)
f.write(bytes(512))" seed fat32-backup 34M -F 32 -s 1 -R 8 -f 1
EDIT='
f = open("image", "r+b")
f.seek(512)
f.write(bytes(3))' seed fat12-second-fat 80K -F 12 -s 1 -r 64
du -bc "$out"/*.zst | tail -1
