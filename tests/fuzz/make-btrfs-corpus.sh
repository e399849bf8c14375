#!/bin/bash
# Makes the seeds in corpus/btrfs: small filesystems whose chunks were moved together, so that
# what is used of them is all at the start of the volume. Needs btrfs-progs, zstd and root.
set -euo pipefail
out=$(realpath "$(dirname "$0")")/corpus/btrfs
dir=$(mktemp -d)
trap 'mountpoint -q "$dir/mnt" && umount "$dir/mnt"; rm -rf "$dir"' EXIT
mkdir -p "$out"
cd "$dir"
mkdir mnt

cat >fill.py <<'PYTHON'
import os, sys
os.chdir(sys.argv[1])
os.symlink('t' * 30, 'short')
with open('file', 'w') as file:
    file.write('hello')
os.mkfifo('fifo')
for i in range(int(sys.argv[2])):
    os.link('file', '%s-%d' % ('n' * (i % 40), i))
with open('pieces', 'wb') as file:
    for i in range(6):
        os.pwrite(file.fileno(), b'%d' % i, i * 8192)
with open('text', 'wb') as file:
    file.write(b'the same again and again ' * 1000)
with open('reserved', 'wb') as file:
    os.posix_fallocate(file.fileno(), 4096, 8192)
for i in range(6):
    os.setxattr('file', 'user.a%d' % i, b'v' * (i * 9))
PYTHON

cat >compact.py <<'PYTHON'
"""compact.py IMAGE OUT START: moves the chunks of a filesystem with crc32c together."""
import struct, sys

table = []
for i in range(256):
    for _ in range(8):
        i = i >> 1 ^ 0x82f63b78 * (i & 1)
    table.append(i)


def seal(block):
    crc = 0xffffffff
    for byte in block[32:]:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    struct.pack_into('<I', block, 0, crc ^ 0xffffffff)


disk = open(sys.argv[1], 'rb').read()
sb = bytearray(disk[65536:65536 + 4096])
node = struct.unpack_from('<I', sb, 148)[0]
chunks = {}         # logical -> (length, place of the item's stripes in a block)
moved = {}          # logical -> new logical, new physical, new length


def physical(logical):
    for start, (length, at) in chunks.items():
        if start <= logical < start + length:
            return at + logical - start
    sys.exit('0x%x is in no chunk' % logical)


def items(block):
    for i in range(struct.unpack_from('<I', block, 96)[0]):
        objectid, kind, offset, at, size = struct.unpack_from('<QBQII', block, 101 + 25 * i)
        yield kind, offset, 101 + at, 101 + 25 * i


size = struct.unpack_from('<I', sb, 160)[0]
pos = 811
while pos < 811 + size:
    logical, (length,) = struct.unpack_from('<Q', sb, pos + 9)[0], struct.unpack_from('<Q', sb, pos + 17)
    chunks[logical] = (length, struct.unpack_from('<Q', sb, pos + 17 + 56)[0])
    pos += 17 + 48 + 32 * struct.unpack_from('<H', sb, pos + 17 + 44)[0]
chunk_root = struct.unpack_from('<Q', sb, 88)[0]
block = disk[physical(chunk_root):][:node]
for kind, offset, at, _ in items(block):
    if kind == 228:
        chunks[offset] = (struct.unpack_from('<Q', block, at)[0],
                          struct.unpack_from('<Q', block, at + 56)[0])
new = bytearray(int(sys.argv[3]))
for logical, (length, at) in sorted(chunks.items()):
    data = disk[at:at + length].rstrip(b'\0')
    data += bytes(-len(data) % node)
    # What is in front of the first block that is used is left out, too.
    lead = (len(data) - len(data.lstrip(b'\0'))) // node * node
    data = data[lead:] or bytes(node)
    moved[logical] = logical + lead, len(new), len(data)
    new += data


def move(block, key, at):
    offset, start, length = moved[struct.unpack_from('<Q', block, key + 9)[0]]
    struct.pack_into('<Q', block, key + 9, offset)
    struct.pack_into('<Q', block, at, length)
    for i in range(struct.unpack_from('<H', block, at + 44)[0]):
        struct.pack_into('<Q', block, at + 48 + 32 * i + 8, start)


pos = 811
while pos < 811 + size:
    move(sb, pos, pos + 17)
    pos += 17 + 48 + 32 * struct.unpack_from('<H', sb, pos + 17 + 44)[0]
for start, (length, _) in chunks.items():
    if start <= chunk_root < start + length:
        at = moved[start][1] + chunk_root - moved[start][0]
block = bytearray(new[at:at + node])
for kind, _, place, key in items(block):
    if kind == 228:
        move(block, key, place)
seal(block)
new[at:at + node] = block
struct.pack_into('<Q', sb, 112, len(new))
seal(sb)
new[65536:65536 + 4096] = sb
open(sys.argv[2], 'wb').write(new)
PYTHON

# seed NAME NAMES MOUNT-OPTIONS MKFS-OPTION...
seed()
{
    local name=$1 names=$2 options=$3
    shift 3
    rm -f image
    truncate -s 128M image
    mkfs.btrfs -q -f -K -m single -d single "$@" image >mkfs.txt 2>&1
    mount -o "loop$options" image mnt
    python3 fill.py mnt "$names"
    btrfs subvolume create mnt/sub >/dev/null
    cp mnt/file mnt/text mnt/sub
    btrfs subvolume create mnt/sub/nested >/dev/null
    btrfs subvolume snapshot mnt/sub mnt/snapshot >/dev/null
    echo more >mnt/snapshot/more
    umount mnt
    # What trees no longer have would only make seeds larger.
    python3 compact.py image "$name" "${START:-69632}"
    zstd -q -19 -f "$name" -o "$out/$name.zst"
}

# log NAME MKFS-OPTION...: one that is in use, with a log
log()
{
    local name=$1
    shift
    rm -f image
    truncate -s 128M image
    mkfs.btrfs -q -f -K -m single -d single "$@" image >mkfs.txt 2>&1
    mount -o loop,commit=900 image mnt
    python3 fill.py mnt 30
    mkdir mnt/dir
    btrfs subvolume create mnt/sub >/dev/null
    cp mnt/file mnt/text mnt/sub
    sync -f mnt
    python3 - mnt <<'PYTHON'
import os, sys
os.chdir(sys.argv[1])
for top in ('.', 'sub'):
    for name, at in (('text', 5000), ('new', 0), ('file', 0)):
        fd = os.open(top + '/' + name, os.O_RDWR | os.O_CREAT)
        os.pwrite(fd, b'changed', at)
        os.setxattr(fd, 'user.new', b'new')
        os.fsync(fd)
    os.link(top + '/new', top + '/new-too')
    os.fsync(fd)
os.unlink('n-1')
os.rename('text', 'dir/text')
fd = os.open('dir', os.O_RDONLY)
os.fsync(fd)
PYTHON
    cp image copy
    umount mnt
    python3 compact.py copy "$name" 69632
    zstd -q -19 -f "$name" -o "$out/$name.zst"
}

log log -n 4096
seed zlib 20 ,compress-force=zlib -n 4096
seed lzo 300 ,compress-force=lzo -n 4096
seed zstd 20 ,compress-force=zstd -n 16384
# The first MiB is never free: what is behind it is looked up.
START=1048576 seed old 90 '' -n 4096 -O ^no-holes,^skinny-metadata,^extref -R ^free-space-tree
du -bc "$out"/*.zst | tail -1
