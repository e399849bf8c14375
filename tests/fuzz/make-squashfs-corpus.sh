#!/bin/bash
# Makes the seeds in corpus/squashfs: small filesystems, of each way to pack one. Needs
# squashfs-tools, zstd and, for attributes that only root may set, root.
set -euo pipefail
out=$(realpath "$(dirname "$0")")/corpus/squashfs
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$out"
cd "$dir"
mkdir tree
python3 - <<'PYTHON'
import os, stat
os.chdir('tree')
os.symlink('t' * 30, 'link')
os.mkfifo('fifo')
os.mknod('device', stat.S_IFCHR | 0o600, os.makedev(5, 1))
os.mkdir('names')
# So many that there is an index.
for i in range(260):
    os.symlink('x', 'names/%s-%d' % ('n' * 40, i))
with open('small', 'w') as file:
    file.write('hello')
os.link('small', 'hard')
with open('large', 'wb') as file:
    for i in range(0, 6, 2):
        os.pwrite(file.fileno(), b'%d ' % i * 1600, i * 4096)
os.setxattr('small', 'user.small', b'value')
os.setxattr('hard', 'trusted.long', b'v' * 3000)
os.setxattr('large', 'trusted.long', b'v' * 3000)
os.setxattr('link', 'trusted.link', b'', follow_symlinks=False)
for root, dirs, files in os.walk('.'):
    for name in dirs + files:
        os.utime(os.path.join(root, name), (10**9, 10**9), follow_symlinks=False)
PYTHON

# seed NAME OPTION...
seed()
{
    local name=$1
    shift
    rm -f image
    mksquashfs tree image -quiet -no-progress -nopad -mkfs-time 0 -b 4096 "$@"
    zstd -q -19 -f image -o "$out/$name.zst"
}

seed raw -noI -noD -noF -noX
seed raw-metadata -noI -noX -comp lz4 -no-exports
seed gzip -comp gzip
seed lzo -comp lzo -always-use-fragments
seed lz4 -comp lz4
seed xz -comp xz -no-fragments
seed lzma -comp lzma
seed zstd -comp zstd -tailends
