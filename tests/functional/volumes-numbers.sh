#!/bin/bash
# Partitions are numbered as Linux numbers them, in strange tables, too: partx reads them
# as the kernel does, and says what the kernel finds if that has partition tables built in.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/volumes-common.sh"
need sgdisk sfdisk partx

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
