#!/bin/bash
# Makes the seeds in corpus/exfat: small filesystems of every kind, the end of which, where
# nothing is, is cut off. Needs exfatprogs and zstd.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
out=$here/corpus/exfat
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$out"
cd "$dir"

mkdir -p src/dir/deep/er
echo hello >src/dir/file
printf 'x%.0s' {1..3000} >src/several
{ echo long; head -c 3000 /dev/zero; } >"src/a name of more than one entry.text"
echo näme >src/dir/deep/größe
: >src/dir/deep/empty
chmod a-w src/several
for i in $(seq 20); do : >"src/dir/deep/er/$i of a number of entries"; done

# seed NAME KEEP FILL-OPTION MKFS-OPTION...
seed()
{
    local name=$1 keep=$2 option=$3
    shift 3
    rm -f image
    truncate -s 2M image
    mkfs.exfat -b 4K -L SEED "$@" image >mkfs.txt 2>&1 || { cat mkfs.txt; exit 1; }
    python3 "$here/../functional/exfat-fill.py" image src 1 "$option"
    [ -z "${EDIT:-}" ] || python3 -c "$EDIT"
    head -c "$keep" image >cut
    zstd -q -19 -f cut -o "$out/$name.zst"
}

seed small 300K parts=no -c 512
seed in-pieces 300K parts=yes -c 512
seed vendor 300K vendor=yes -c 512
seed clusters 700K parts=yes -c 4096
EDIT='
f = open("image", "r+b")
f.write(bytes(512))' seed backup 300K parts=no -c 512
du -bc "$out"/*.zst | tail -1
