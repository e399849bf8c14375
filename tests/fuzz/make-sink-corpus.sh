#!/bin/bash
# Makes the seeds in corpus/sink: small disks with several volumes, also some that overlap
# or end where the disk goes on. Needs sfdisk, mke2fs, debugfs, mkswap, python3, zstd.
set -euo pipefail
out=$(realpath "$(dirname "$0")")/corpus/sink
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$out" "$dir/tree/dir" "$dir/tiny"
cd "$dir"

python3 - <<'END_OF_TREE'
import random
random.seed(4)
def noise(n):
    return random.randbytes(n)
same = noise(9000)
files = {'first': same, 'dir/second': b'x' * 1024 + same, 'text': b'words and words\n' * 300,
         'elf': b'\x7fELF' + noise(3000), 'tail': noise(4097), 'empty': b''}
for name, content in files.items():
    open('tree/' + name, 'wb').write(content)
with open('tree/holes', 'wb') as file:
    for at, content in (0, noise(100)), (5 << 20, noise(2500)), (13 << 20, b'end'):
        file.seek(at)
        file.write(content)
for n in 1, 7, 59, 100:
    open('tiny/%d' % n, 'wb').write(noise(n))
END_OF_TREE

# fs NAME KIB TREE MKE2FS-OPTION...
fs()
{
    local name=$1 kib=$2 tree=$3
    shift 3
    rm -f "$name"
    truncate -s "${kib}K" "$name"
    mke2fs -q -F -d "$tree" -N 32 -m 0 -O ^resize_inode "$@" "$name" </dev/null
}

# disk KIB: makes an empty one with the table on stdin
disk()
{
    rm -f disk
    truncate -s "${1}K" disk
    sfdisk -q --force disk 2>/dev/null
}

# put FILE SECTOR
put() { dd if="$1" of=disk bs=512 seek="$2" conv=notrunc status=none; }
pack() { zstd -q -19 -f disk -o "$out/$1.zst"; }

fs extents 160 tree -t ext4 -b 1024 -O ^has_journal,^metadata_csum
fs blocks 160 tree -t ext2 -b 1024
fs inline 160 tiny -t ext4 -b 1024 -I 256 -O ^has_journal,^metadata_csum,inline_data
fs large 320 tree -t ext4 -b 4096 -O ^has_journal,^metadata_csum
cp extents twice
for file in first tail; do
    debugfs -w -R "ln $file again-$file" twice 2>/dev/null      # its count stays one
done
debugfs -w -R "set_inode_field text block[5] 30" twice 2>/dev/null
truncate -s 64K swap
mkswap -q swap

disk 640 <<END_OF_TABLE
label: gpt
start=40, size=320
start=360, size=320
start=680, size=320
start=1000, size=128
END_OF_TABLE
put extents 40
put blocks 360
put inline 680
put swap 1000
pack gpt

disk 512 <<END_OF_TABLE
label: dos
start=1, size=320
start=321, size=700, type=5
start=323, size=320
start=645, size=128, type=82
END_OF_TABLE
put twice 1
put extents 323
put swap 645
pack logical

# One volume twice, one in the middle of another, one that ends behind the disk: no tool
# makes such a table.
disk 1024 <<END_OF_TABLE
label: dos
start=8, size=640
END_OF_TABLE
python3 - <<'END_OF_CODE'
import struct
with open('disk', 'r+b') as file:
    file.seek(446)
    for start, sectors in (8, 640), (8, 1000), (100, 320), (1100, 900):
        file.write(struct.pack('<8BII', 0, 0, 0, 0, 0x83, 0, 0, 0, start, sectors))
END_OF_CODE
put large 8
put extents 1100
truncate -s 620K disk
pack overlaps

fs bare 160 tree -t ext4 -b 1024 -O ^has_journal,^metadata_csum
mv bare disk
printf 'odd' >>disk
pack bare
