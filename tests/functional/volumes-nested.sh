#!/bin/bash
# Tables in partitions, and Apple's: disklabels of the BSDs in slices of an MBR, made by fdisk
# and after their headers; maps made by parted.  Numbers are those of partx.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/volumes-common.sh"
need sfdisk fdisk partx mke2fs python3

mbr()
{
    new_disk 60M
    sfdisk -q disk <<'END'
label: dos
label-id: 0x12345678
1: start=2048, size=40000, type=a5
2: start=43008, size=20000, type=f
3: start=65000, size=30000, type=a9
4: start=96000, size=20000, type=a6
5: start=44000, size=1000, type=83
END
}

# label SLICE-SECTOR VERSION SUM PARTITION...: a disklabel, whose checksum is off by SUM; a
# partition is "LETTER TYPE FIRST SECTORS"
label()
{
    python3 - "$@" <<'END'
import struct, sys
start, version, off = (int(n) for n in sys.argv[1:4])
label = bytearray(148 + 16 * 16)
struct.pack_into('<I', label, 0, 0x82564557)
struct.pack_into('<I', label, 40, 512)
struct.pack_into('<H', label, 114, version)
struct.pack_into('<I', label, 132, 0x82564557)
struct.pack_into('<H', label, 138, 16)
for text in sys.argv[4:]:
    letter, kind, first, sectors = text.split()
    first, sectors = int(first), int(sectors)
    struct.pack_into('<IIHHB', label, 148 + 16 * (ord(letter) - ord('a')), sectors & 0xffffffff,
                     first & 0xffffffff, first >> 32, sectors >> 32, int(kind))
total = off
for word in struct.unpack('<%dH' % (len(label) // 2), label):
    total ^= word
struct.pack_into('<H', label, 136, total)
with open('disk', 'r+b') as disk:
    disk.seek((start + 1) * 512)
    disk.write(label)
END
}

# named: number, name and type of partitions in slices
named()
{
    python3 -c 'import json
for v in json.load(open("table.json"))["volumes"]:
    if "partition-name" in v:
        print(v["number"], v["partition-name"], v["type"], v.get("type-name", "-"))'
}

# By fdisk.
mbr
printf '%s\n' b y n a '' +5M n e '' +4M t a 7 w r q | fdisk disk >fdisk.txt 2>&1
grep -q 'Disklabel written' fdisk.txt || fail "fdisk: $(cat fdisk.txt)"
as_linux
named >found
echo '6 a bsd:0x07 BSD FFS' >expected
same found expected "what fdisk made"

# FreeBSD, counting from the slice; NetBSD and OpenBSD, from the disk.
mbr
label 2048 0 0 'a 7 16 10000' 'b 1 10016 5000' 'c 0 0 40000' 'd 27 15016 24984'
label 65000 0 0 'a 7 65000 20000' 'b 1 85000 10000' 'c 0 65000 30000' 'd 0 0 122880'
label 96000 1 0 'a 7 96064 10000' 'c 0 0 122880' 'p 8 106064 9000'
as_linux
named >found
cat >expected <<'END'
6 a bsd:0x07 BSD FFS
7 b bsd:0x01 BSD swap
8 d bsd:0x1b BSD ZFS
9 a bsd:0x07 BSD FFS
10 b bsd:0x01 BSD swap
11 a bsd:0x07 BSD FFS
12 p bsd:0x08 BSD MS-DOS
END
same found expected "what is in slices"

# FreeBSD, counting from the disk; what covers the slice is the slice.
mbr
label 2048 0 0 'a 7 2048 10000' 'c 1 2048 40000' 'e 7 12048 1000'
as_linux
named >found
printf '%s\n' '6 a bsd:0x07 BSD FFS' '7 e bsd:0x07 BSD FFS' >expected
same found expected "a label that counts from the disk"

# What is on them is read, also through an engram.
mkdir -p tree/etc
echo nested >tree/etc/name
mke2fs -q -F -t ext4 -d tree a.img 5000k >mke2fs.txt 2>&1
dd if=a.img of=disk bs=512 seek=2048 conv=notrunc status=none
label 2048 0 0 'a 7 2048 10000' 'c 1 2048 40000' 'e 7 12048 1000'
"$EMBR_IMG" cat disk /p6/etc/name >found || fail "no file in a slice"
same found tree/etc/name "a file in a slice"
"$EMBR_IMG" convert -O engram disk disk.engram
"$EMBR_IMG" cat disk.engram /p6/etc/name >found || fail "no file in a slice of an engram"
same found tree/etc/name "a file in a slice of an engram"
"$EMBR_IMG" compare disk disk.engram >compare.txt || fail "engram: $(cat compare.txt)"

# Bad ones: a wrong checksum, a partition that is not within the slice.
label 2048 0 1 'a 7 2048 10000'
volumes table.json
warns table.json 'partition 1: the BSD disklabel at offset 0x100200 has a wrong checksum'
! grep -q '"bsd:' table.json || fail "partitions of a damaged label"
label 2048 0 0 'a 7 2048 10000' 'b 1 2048 50000' 'c 1 2048 40000'
volumes table.json
warns table.json 'BSD partition b \(offset 0x100000, 25600000 bytes\) is not within it'
[ "$(named)" = '6 a bsd:0x07 BSD FFS' ] || fail "not the partition that is good: $(named)"

# Apple's map: by parted, and with blocks of 2048 bytes, as on CDs.
need parted
new_disk 40M
parted -s disk mklabel mac mkpart primary ext2 1MiB 10MiB mkpart files hfs 10MiB 20MiB
as_linux
grep -q '"type": "mac"' table.json || fail "no map: $(cat table.json)"
grep -q '"partition-name": "files"' table.json || fail "no name: $(cat table.json)"
grep -q '"type": "Apple_HFS"' table.json || fail "no type: $(cat table.json)"
"$EMBR_IMG" part list disk | grep -qE '^p3 .* Apple_HFS, files$' || fail "part list"
expect_failure 1 "of type 'mac' can be read, but not written" "$EMBR_IMG" part delete disk 2
dd if=a.img of=disk bs=1M seek=1 conv=notrunc status=none
"$EMBR_IMG" cat disk /p2/etc/name >found || fail "no file in a map"
same found tree/etc/name "a file in an Apple partition"
python3 - <<'END'
import struct
with open('disk', 'r+b') as disk:
    disk.write(bytes(1 << 20))
    disk.seek(0)
    disk.write(struct.pack('>HHI', 0x4552, 2048, 20480))
    parts = [('Apple', 'Apple_partition_map', 1, 3), ('data', 'Apple_UNIX_SVR2', 512, 4608),
             ('Extra\xff\n', 'Apple_Free', 5120, 100)]
    for i, (name, kind, first, blocks) in enumerate(parts):
        disk.seek(2048 * (i + 1))
        disk.write(struct.pack('>HHIII32s32s', 0x504d, 0, len(parts), first, blocks,
                               name.encode('latin1'), kind.encode()))
END
as_linux
"$EMBR_IMG" cat disk /p2/etc/name >found || fail "no file in a map of larger blocks"
same found tree/etc/name "a file in a map of larger blocks"
grep -q '"Extra? "' table.json || fail "a name that is not ASCII: $(cat table.json)"
printf '\0\0' | dd of=disk bs=1 seek=4096 conv=notrunc status=none
volumes table.json
warns table.json 'no entry of an Apple partition map at offset 0x1000, where number 2 of 3'
