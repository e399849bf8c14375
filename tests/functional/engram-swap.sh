#!/bin/bash
# Swap areas in engrams: -o free_space=drop leaves out their pages, unless memory was
# saved in them or they may be something else.
source "$(dirname "$0")/common.sh"
need mkswap sfdisk python3

random_file pages 4194304 1

# area NAME [PYTHON]: a swap area of 4 MiB of random pages; PYTHON changes its header.
area()
{
    cp pages "$1"
    mkswap -p "${page:-4096}" -L swapped "$1" >mkswap.txt 2>&1 || { cat mkswap.txt >&2; fail mkswap; }
    python3 - "$1" "${2:-}" <<'END2'
import struct, sys
with open(sys.argv[1], 'r+b') as file:
    header = bytearray(file.read(65536))
    exec(sys.argv[2])
    file.seek(0)
    file.write(header)
END2
}

# stored NAME BYTES: only the first BYTES of it are in an engram, if free space is dropped; all
# are, if not.
stored()
{
    local name=$1 bytes=$2 size
    size=$(stat -c %s "$name")
    "$EMBR_IMG" convert -f raw -O engram -o free_space=keep "$name" keep.engram
    "$EMBR_IMG" compare -q -f raw "$name" keep.engram || fail "$name: not kept"
    "$EMBR_IMG" convert -f raw -O engram -o free_space=drop "$name" drop.engram
    "$EMBR_IMG" check -q drop.engram || fail "$name: check"
    "$EMBR_IMG" convert -O raw drop.engram drop.raw
    { head -c "$bytes" "$name"; head -c $((size - bytes)) /dev/zero; } >expected
    same drop.raw expected "$name without its free space"
    rm keep.engram drop.engram
}

area swap
stored swap 4096
page=65536 area large-pages
stored large-pages 65536
area bad-pages 'struct.pack_into("<I", header, 1032, 2); struct.pack_into("<2I", header, 1536, 7, 9)'
stored bad-pages 4096
area big-endian 'header[1024:1036] = struct.pack(">3I", 1, 1023, 0)'
stored big-endian 4096

whole=4194304
for signature in S1SUSPEND S2SUSPEND ULSUSPEND LINHIB0001; do
    area hibernated "header[4076:4096] = b'SWAPSPACE2' + b'$signature'.ljust(10, b'\\0')"
    stored hibernated $whole
done
area too-long 'struct.pack_into("<I", header, 1028, 1024)'
stored too-long $whole
area overwritten 'header[1200] = 1'
stored overwritten $whole
area version-0 'header[4086:4096] = b"SWAP-SPACE"'
stored version-0 $whole

# What is behind the area on its volume is not the area's.
area short 'struct.pack_into("<I", header, 1028, 255)'
"$EMBR_IMG" convert -f raw -O engram -o free_space=drop short drop.engram
"$EMBR_IMG" convert -O raw drop.engram drop.raw
{ head -c 4096 short; head -c 1044480 /dev/zero; tail -c +1048577 short; } >expected
same drop.raw expected "a volume longer than its swap area"

# In a partition, with a neighbour that is not known.
truncate -s 12M disk
printf 'label: gpt\nstart=2048, size=8192, type=S\nstart=10240, size=8192\n' | sfdisk -q disk
dd if=swap of=disk bs=1M seek=1 conv=notrunc status=none
dd if=pages of=disk bs=1M seek=5 conv=notrunc status=none
"$EMBR_IMG" convert -O engram -o free_space=drop disk drop.engram
"$EMBR_IMG" convert -O raw drop.engram drop.raw
cp disk expected
dd if=/dev/zero of=expected bs=4096 seek=257 count=1023 conv=notrunc status=none
same drop.raw expected "a disk with a swap partition"
"$EMBR_IMG" map --output=json drop.engram | python3 -c '
import json, sys
dropped = sum(e["length"] for e in json.load(sys.stdin) if not e["present"])
sys.exit(dropped != 4194304 - 4096)' || fail "map does not show what was dropped"
