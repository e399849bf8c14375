#!/bin/bash
# Partitions are numbered as Linux numbers them, in strange tables, too: partx reads them
# as the kernel does, and says what the kernel finds if that has partition tables built in.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/volumes-common.sh"
need sgdisk sfdisk partx

# kernel_list: number, start, sectors of what the kernel finds on disk, in order; nothing
# if it does not look.
kernel_list()
{
    local loop part
    [ "$(id -u)" = 0 ] && loop=$(losetup --show -f -r -P disk 2>/dev/null) || return 0
    for part in "/sys/block/${loop#/dev/}/${loop#/dev/}"p*; do
        if [ -e "$part/partition" ]; then
            echo "$(<"$part/partition") $(<"$part/start") $(<"$part/size")"
        fi
    done | sort -n
    losetup -d "$loop"
}

# as_linux [PATTERN]: same numbers, offsets and sizes; warnings only like PATTERN.
as_linux()
{
    volumes table.json
    if [ $# -gt 0 ]; then
        warns table.json "$1"
    else
        no_warnings table.json
    fi
    python3 -c 'import json
for v in json.load(open("table.json"))["volumes"]:
    print(v["number"], v["offset"] // 512, v["size"] // 512)' >embr.txt
    [ -s embr.txt ] || fail "no partitions"
    partx -s -g -o NR,START,SECTORS disk | awk '{ print $1, $2, $3 }' >partx.txt
    same embr.txt partx.txt "what embr-img and partx find"
    # Of an extended partition the kernel shows no more than its boot record.
    kernel_list >kernel.txt
    [ ! -s kernel.txt ] || python3 - <<'END' || fail "embr-img and the kernel differ"
from sys import exit
embr, kernel = ([line.split() for line in open(name)] for name in ('embr.txt', 'kernel.txt'))
exit(len(embr) != len(kernel) or
     any(a[:2] != b[:2] or b[2] not in (a[2], '2') for a, b in zip(embr, kernel)))
END
}

# mbr LBA ENTRY...: a boot record; an entry is "INDEX TYPE FIRST SECTORS"
mbr()
{
    python3 -c 'import struct, sys
with open("disk", "r+b") as file:
    lba = int(sys.argv[1]) * 512
    for entry in sys.argv[2:]:
        index, kind, first, sectors = (int(n, 0) for n in entry.split())
        file.seek(lba + 446 + 16 * index)
        file.write(struct.pack("<B3xB3xII", 0, kind, first, sectors))
    file.seek(lba + 510)
    file.write(b"\x55\xaa")' "$@"
}

new_disk 64M
sgdisk -n 5:2048:+1M -n 1:20480:+1M -n 90:30000:+8K disk >/dev/null
as_linux

new_disk 64M
sfdisk -q disk <<'END'
label: dos
3: start=2048, size=100, type=83
2: start=4096, size=100000, type=f
5: start=6000, size=100, type=83
6: start=7000, size=100, type=83
7: start=8000, size=100, type=83
END
as_linux

# Empty links, types of zero, surplus entries, a next link that comes first.
new_disk 8M
mbr 0 '0 0x83 10 20' '1 5 100 2000' '3 0 3000 8'
mbr 100 '0 0x83 1 9' '1 5 100 200' '2 0x83 20 10' '3 0x83 1 5000'
mbr 200 '0 0x83 1 0' '1 5 400 300'
mbr 500 '0 5 1000 100' '1 0 10 20'
mbr 1100 '0 0x83 5 20'
as_linux

# A link to where there is nothing.
mbr 1100 '1 5 1500 100'
as_linux 'no boot record signature'
