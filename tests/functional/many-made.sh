#!/bin/bash
# A folder with 100,000 entries, or with as many as FAT has room for, in filesystems that
# need no kernel to be filled.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/many-common.sh"
source "$(dirname "$0")/guest.sh"

# list_folder NAME: the same of filesystems without an index of names, which fs-dump would
# search once for each.
list_folder()
{
    "$EMBR_IMG" ls --output=json image /many >list.json || fail "$1: ls"
    python3 - <<'PYTHON' | sort >ours.txt
import json
for entry in json.load(open('list.json')):
    kind = 'dir' if entry['type'] == 'directory' else 'file'
    print(entry['path'].rpartition('/')[2], 0, kind)
PYTHON
}

# Squashfs, of what is not a filesystem's folder yet; hard links are names of one file.
mkdir tree
python3 fill.py tree 100000
if command -v mksquashfs >/dev/null; then
    rm -f image
    mksquashfs tree image -quiet -no-progress >mkfs.txt 2>&1 || { cat mkfs.txt >&2; fail mksquashfs; }
    python3 list.py tree/many >theirs.txt
    list_all squashfs
    check squashfs names
fi

if command -v mkfs.exfat >/dev/null; then
    rm -f image
    truncate -s 1G image
    mkfs.exfat -c 4096 image >mkfs.txt 2>&1 || { cat mkfs.txt >&2; fail mkfs.exfat; }
    python3 "$tests/exfat-fill.py" image tree 1 || fail "exfat: not filled"
    python3 list.py tree/many >theirs.txt
    list_folder exfat
    check exfat names
fi

# FAT has room for 65,536 entries, of which a long name takes several.
cat >fill-fat.py <<'PYTHON'
import struct, sys
image = open('image', 'r+b')
boot = image.read(512)
sector, per, reserved, fats = struct.unpack_from('<HBHB', boot, 11)
length, = struct.unpack_from('<I', boot, 36)
cluster = sector * per
entries, names = bytearray(), []
def put(short, long=''):
    global entries
    total = sum_of(short)
    units = (long + '\0').encode('utf-16-le') if long else b''
    pieces = [units[i:i + 26].ljust(26, b'\xff') for i in range(0, len(units), 26)]
    for n in range(len(pieces), 0, -1):
        u = pieces[n - 1]
        entries += struct.pack('<B10sBBB12sH4s', n | (0x40 if n == len(pieces) else 0), u[:10],
                               15, 0, total, u[10:22], 0, u[22:])
    entries += struct.pack('<11sB20s', short, 0x20, bytes(20))
    names.append(long or short.decode().strip())
def sum_of(short):
    total = 0
    for c in short:
        total = ((total << 7 | total >> 1) + c) & 255
    return total
for i in range(15000):
    put(b'L%07d   ' % i, 'a longer name, number %05d' % i)
while len(entries) < 65536 * 32:
    put(b'S%07d   ' % len(names))
clusters = len(entries) // cluster
image.seek((reserved + fats * length) * sector)
image.write(entries)
for fat in range(fats):
    image.seek((reserved + fat * length) * sector + 8)
    image.write(struct.pack('<%dI' % clusters, *range(3, clusters + 2), 0x0fffffff))
open('names.txt', 'w').write('\n'.join(sorted(names)) + '\n')
PYTHON
if command -v mkfs.fat >/dev/null; then
    rm -f image
    truncate -s 300M image
    mkfs.fat -F 32 -s 8 image >mkfs.txt 2>&1 || { cat mkfs.txt >&2; fail mkfs.fat; }
    python3 fill-fat.py
    "$EMBR_IMG" ls image / | sort >ours.txt
    same ours.txt names.txt "fat32: entries"
    [ "$("$EMBR_IMG" ls -l image "/$(tail -n 1 names.txt)" | wc -l)" = 1 ] || fail "fat32: the last"
    done_with+=(fat32)
    if command -v linux.uml >/dev/null; then
        need_guest vfat
        guest -r image <<'SCRIPT'
mount -t vfat -o ro,utf8,shortname=winnt /dev/ubda /mnt
python3 -c 'import os; print("\n".join(sorted(os.listdir("/mnt"))))' >theirs.txt
SCRIPT
        same ours.txt theirs.txt "fat32: entries, and those of Linux"
    fi
fi
[ ${#done_with[@]} -gt 0 ] || skip "no program that makes one of them is installed"
echo "compared: ${done_with[*]}"
