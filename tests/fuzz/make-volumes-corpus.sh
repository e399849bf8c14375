#!/bin/bash
# Makes the seeds in corpus/gpt, corpus/mbr and corpus/apple: small disks with every kind of
# table. Needs sgdisk, sfdisk, fdisk, parted, mke2fs, zstd, python3.
set -euo pipefail
out=$(realpath "$(dirname "$0")")/corpus
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$out/gpt" "$out/mbr" "$out/apple"
cd "$dir"

# disk BYTES: an empty one.
disk()
{
    rm -f disk
    truncate -s "$1" disk
}

pack()
{
    zstd -q -19 -f disk -o "$out/$1.zst"
}

# table NAME: makes the table on stdin
table()
{
    sfdisk -q disk
    pack "$1"
}

guid=11111111-2222-3333-4444-5555555555
# two NAME SGDISK-OPTION...: a disk of 64 KiB with two partitions
two()
{
    local name=$1
    shift
    disk 64K
    sgdisk -a 1 "$@" -U ${guid}00 -n 3:40:50 -u 3:${guid}01 -t 3:ef00 -c 3:'name ä 𝄞' \
        -n 1:60:70 -u 1:${guid}02 -A 1:set:2 disk >/dev/null
    pack "$name"
}

two gpt/unordered
dd if=/dev/zero of=disk bs=1 seek=520 count=4 conv=notrunc status=none
pack gpt/primary-damaged
two gpt/four-entries -S 4
truncate -s 80K disk
pack gpt/grown
disk 64K
sgdisk -a 1 -U ${guid}00 disk >/dev/null
pack gpt/empty
two gpt/hybrid
sgdisk -h 1:3:EE disk >/dev/null
pack gpt/hybrid
disk 128K
printf '%s\n' g n 1 7 8 n 2 9 18 w | fdisk -b 4096 disk >/dev/null
pack gpt/sectors-4096

disk 32K
table mbr/primary <<END
label: dos
label-id: 0x12345678
start=1, size=9, type=83, bootable
start=20, size=10, type=82
start=10, size=10, type=c
END
disk 32K
table mbr/logical <<END
label: dos
label-id: 0x12345678
start=1, size=3, type=83
start=4, size=50, type=f
start=6, size=4, type=83
start=12, size=4, type=83
start=18, size=10, type=82
END
disk 32K
table mbr/empty <<END
label: dos
label-id: 0x12345678
END
# No tool makes these in a file: a table's sectors of 512 bytes, put 4096 apart.
disk 16K
sfdisk -q disk <<END
label: dos
label-id: 0x12345678
start=2, size=16, type=83
start=18, size=10, type=5
start=20, size=4, type=83
END
mv disk small
disk 64K
mke2fs -q -F -t ext2 -b 1024 -N 16 -m 0 -E offset=8192 disk 64
truncate -s 128K disk
for sector in 0 18; do
    dd if=small of=disk bs=512 skip=$sector seek=$((sector * 8)) count=1 conv=notrunc status=none
done
pack mbr/sectors-4096
disk 64K
mke2fs -q -F -t ext2 -b 1024 -N 16 -m 0 disk 64
printf '\x55\xaa' | dd of=disk bs=1 seek=510 conv=notrunc status=none
pack mbr/bare-ext2

# fdisk makes disklabels on larger disks only.
disk 64K
sfdisk -q disk <<END
label: dos
label-id: 0x12345678
start=1, size=60, type=a5
start=61, size=60, type=a6
END
python3 - <<'END'
import struct
with open('disk', 'r+b') as disk:
    for start, version in (1, 0), (61, 1):
        label = bytearray(148 + 16 * 8)
        struct.pack_into('<I', label, 0, 0x82564557)
        struct.pack_into('<H', label, 114, version)
        struct.pack_into('<IHH', label, 132, 0x82564557, 0, 8)
        base = start if version else 0
        for i, (first, sectors, kind) in enumerate(((10, 20, 7), (30, 10, 1), (0, 60, 1))):
            struct.pack_into('<IIIB', label, 148 + 16 * i, sectors, base + first, 0, kind)
        total = 0
        for word in struct.unpack('<%dH' % (len(label) // 2), label):
            total ^= word
        struct.pack_into('<H', label, 136, total)
        disk.seek((start + 1) * 512)
        disk.write(label)
END
pack mbr/bsd
disk 256K
parted -s disk mklabel mac mkpart one ext2 64s 99s mkpart two hfs 100s 300s
pack apple/two
