#!/bin/bash
# Makes the seeds in corpus/xfs: the first bytes of small filesystems, with a small log moved
# to their end. Needs xfsprogs, zstd and, to fill some of them through mounts, root.
set -euo pipefail
out=$(realpath "$(dirname "$0")")/corpus/xfs
dir=$(mktemp -d)
trap 'mountpoint -q "$dir/mnt" && umount "$dir/mnt"; rm -rf "$dir"' EXIT
mkdir -p "$out"
cd "$dir"
mkdir mnt tree

cat >fill.py <<'PYTHON'
import os, sys
os.chdir(sys.argv[1])
full = sys.argv[2] == 'full'
os.symlink('t' * 30, 'short')
with open('file', 'w') as file:
    file.write('hello')
os.mkfifo('fifo')
# Directories below would be in other groups.
for i in range(int(sys.argv[3])):
    if full:
        os.link('file', '%s-%d' % ('n' * (i % 40), i))
    else:
        open('%s-%d' % ('n' * (i % 40), i), 'w').close()
if full:
    os.symlink('t' * 1000, 'long')
    with open('pieces', 'wb') as file:
        for i in range(40):
            os.pwrite(file.fileno(), b'%d' % i, i * 8192)
    os.setxattr('.', 'user.small', b'value')
    os.setxattr('.', 'system.posix_acl_default',
                bytes.fromhex('0200000001000700ffffffff04000500ffffffff20000500ffffffff'))
    for i in range(int(sys.argv[4])):
        os.setxattr('file', 'user.a%d' % i, b'v' * (i * 3))
    os.setxattr('file', 'user.remote', b'r' * 3000)
PYTHON

# cut NAME BYTES BLOCK [LOG-BLOCKS]: the image's first bytes; the first blocks of its log are
# their end.
cut()
{
    local name=$1 bytes=$2 block=$3 log=${4:-8} start
    start=$(xfs_db -r -c 'sb 0' -c 'convert fsb '"$(xfs_db -r -c 'sb 0' -c 'print logstart' image |
        awk '{ print $3 }')"' byte' image | sed 's/.*(\([0-9]*\)).*/\1/')
    xfs_db -x -c 'sb 0' -c "write logstart $(((bytes - log * block) / block))" \
        -c "write logblocks $log" image >/dev/null
    head -c $((bytes - log * block)) image >"$name"
    dd if=image of="$name" bs="$block" skip=$((start / block)) seek=$((bytes / block - log)) \
        count="$log" conv=notrunc status=none
    zstd -q -19 -f "$name" -o "$out/$name.zst"
}

# seed NAME BYTES BLOCK NAMES ATTRIBUTES MKFS-OPTION...
seed()
{
    local name=$1 bytes=$2 block=$3 names=$4 attributes=$5
    shift 5
    rm -f image
    truncate -s 320M image
    if [[ "$*" = *crc=0* ]]; then
        rm -rf tree && mkdir tree
        python3 fill.py tree plain "$names" "$attributes"
        python3 "$tests/xfs-proto.py" write tree >proto
        mkfs.xfs -q -f -b "size=$block" -p proto "$@" image 2>mkfs.txt
        ino=$(xfs_db -r -c 'sb 0' -c 'print rootino' image | awk '{ print $3 }')
        for ((i = 0; i < attributes; i++)); do
            echo "inode $ino"
            echo "attr_set -u -v $((i * 5 + 1)) attribute-$i"
        done | xfs_db -x image >/dev/null
    else
        mkfs.xfs -q -f -b "size=$block" "$@" image
        mount -o loop image mnt
        python3 fill.py mnt full "$names" "$attributes"
        umount mnt
    fi
    cut "$name" "$bytes" "$block"
}

# dirty NAME BYTES BLOCK LOG-BLOCKS MKFS-OPTION...: a log that is not empty.
dirty()
{
    local name=$1 bytes=$2 block=$3 log=$4
    shift 4
    rm -f image
    truncate -s 320M image
    mkfs.xfs -q -f -b "size=$block" "$@" image
    mount -o loop image mnt
    python3 fill.py mnt full 30 10
    sync -f mnt
    rm mnt/pieces mnt/nnn*
    python3 fill.py mnt full 30 2 2>/dev/null || true
    xfs_io -x -c 'shutdown -f' mnt
    cp --sparse=always image cut-off
    umount mnt
    mv cut-off image
    cut "$name" "$bytes" "$block" "$log"
}

tests=$(dirname "$out")/../../functional
tests=$(realpath "$tests")
seed v4-block 200704 512 4 3 -m crc=0
seed v4-leaf 200704 512 24 40 -m crc=0
seed v4-node 393216 512 300 80 -m crc=0 -n ftype=0
seed v4-4k 401408 4096 60 40 -m crc=0
seed v5-block 524288 1024 6 3 -m reflink=1,rmapbt=1
seed v5-leaf 524288 1024 60 30 -m reflink=0 -n size=4096
seed v5-node 524288 1024 600 60 -i nrext64=1
seed v5-4k 524288 4096 250 20 -m bigtime=0
dirty v5-dirty 720896 1024 300 -m rmapbt=1
dirty v5-dirty-4k 1048576 4096 64 -i nrext64=1
du -bc "$out"/*.zst | tail -1
