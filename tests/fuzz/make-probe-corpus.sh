#!/bin/bash
# Makes the seeds in corpus/probe: the start of what is recognised. Needs zstd and,
# for each seed, the program that makes it; what is missing is left as it is.
set -euo pipefail
out=$(realpath "$(dirname "$0")")/corpus/probe
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$out" "$dir/src"
cd "$dir"
echo hello >src/file

# seed NAME SIZE COMMAND...: the command makes it in ./image
seed()
{
    local name=$1
    rm -f image
    [ "$2" = 0 ] || truncate -s "$2" image
    shift 2
    command -v "$1" >/dev/null || { echo "$1 is missing"; return; }
    "$@" >log 2>&1 || { cat log; exit 1; }
    head -c "${KEEP:-80K}" image | zstd -q -19 -f -o "$out/$name.zst"
}

seed fat12 2M mkfs.fat -F 12 -n 'LABEL 12' image
seed fat16 16M mkfs.fat -F 16 -n 'LABEL 16' image
seed fat32 64M mkfs.fat -F 32 -R 8 -n 'LABEL 32' image
seed exfat 8M mkfs.exfat image
seed ntfs 8M mkfs.ntfs -F -Q -L label image
seed xfs 320M mkfs.xfs -L label image
seed btrfs 120M mkfs.btrfs -L label image
seed f2fs 64M mkfs.f2fs -l label image
seed jfs 20M mkfs.jfs -q -L label image
seed reiserfs 40M mkreiserfs -q -f -l label image
seed swap 1M mkswap -L label image
seed squashfs 0 mksquashfs src image
seed erofs 0 mkfs.erofs image src
seed iso9660 0 genisoimage -V label -o image src
echo secret >key
KEEP=4K seed luks1 4M cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 image key
KEEP=4K seed luks2 20M cryptsetup -q luksFormat --pbkdf pbkdf2 --pbkdf-force-iterations 1000 \
    --label label image key

# What no program makes.
mkdir superblocks
python3 "$(dirname "$out")/../../functional/known-superblocks.py" --seeds superblocks
for file in superblocks/*; do
    zstd -q -19 -f -o "$out/sb-$(basename "$file").zst" "$file"
done
du -bc "$out"/*.zst | tail -1
