#!/bin/bash
# Makes the seeds in corpus/iso9660: small volumes, of each kind of tree. Needs xorriso, genisoimage,
# python3, zstd and, for attributes that only root may set, root.
set -euo pipefail
here=$(realpath "$(dirname "$0")")
out=$here/corpus/iso9660
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$out"
cd "$dir"
mkdir tree
python3 - <<'PYTHON'
import os, stat, struct
os.chdir('tree')
os.symlink('/'.join(('part', '..', '.', 'x' * 100)), 'link')
os.symlink('/' + '/'.join('p%d' % i for i in range(80)), 'long-link')
os.mkfifo('fifo')
os.mknod('device', stat.S_IFCHR | 0o600, os.makedev(5, 1))
os.makedirs('1/2/3/4/5/6/7/8/9/10')
os.mkdir('names')
for i in range(60):
    open('names/%s-%d' % ('n' * (i * 3), i), 'w').close()
with open('small', 'w') as file:
    file.write('hello')
os.link('small', 'hard')
with open('text', 'w') as file:
    file.write('text ' * 9000)
os.setxattr('small', 'user.small', b'value')
os.setxattr('text', 'trusted.long', b'v' * 3000)
os.setxattr('text', 'system.posix_acl_access', struct.pack('<I', 2) + b''.join(
    struct.pack('<HHI', *e) for e in ((1, 6, 2**32 - 1), (2, 4, 1000), (4, 4, 2**32 - 1),
                                      (16, 4, 2**32 - 1), (32, 0, 2**32 - 1))))
for root, dirs, files in os.walk('.'):
    for name in dirs + files:
        os.utime(os.path.join(root, name), (10**9, 10**9), follow_symlinks=False)
PYTHON

seed() { zstd -q -19 -f image -o "$out/$1.zst"; rm -f image; }

xorriso -as mkisofs -quiet -no-pad -R --acl --xattr-any --hardlinks -o image tree
seed rock
xorriso -zisofs block_size=32k -padding 0 -outdev image -map tree / \
    -find / -type f -exec set_filter --zisofs -- -commit 2>/dev/null
seed zisofs
xorriso -zisofs version_2=on:susp_z2=on -padding 0 -outdev image -map tree / \
    -find / -type f -exec set_filter --zisofs -- -commit 2>/dev/null
seed zisofs2
rm tree/long-link
genisoimage -quiet -no-pad -R -o image tree
seed relocated
rm -r tree/1 tree/device tree/fifo tree/link
xorriso -as mkisofs -quiet -no-pad --norock -J -joliet-long -o image tree
seed joliet
genisoimage -quiet -no-pad -iso-level 4 -o image tree
seed enhanced
for kind in interleaved sparse disagree xa no-primary loop; do
    python3 "$here/../functional/iso9660-odd.py" image $kind
    seed $kind
done
