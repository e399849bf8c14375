#!/bin/bash
# Makes the seeds in corpus/ext4: small filesystems of every kind, most without checksums,
# which would hide what is behind them from a fuzzer. Needs e2fsprogs, zstd, attr, acl and, to
# mount one of them, root.
set -euo pipefail
out=$(realpath "$(dirname "$0")")/corpus/ext4
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir -p "$out"
cd "$dir"

mkdir -p src/dir/deep/er src/names
echo hello >src/dir/file
ln src/dir/file src/dir/deep/hard-link
ln -s /short src/short
ln -s "$(printf 'long/%.0s' {1..30})" src/long
mkfifo src/fifo
printf 'x%.0s' {1..100} >src/inline
setfattr -n user.small -v value src/dir/file
setfattr -n user.large -v "$(printf 'v%.0s' {1..500})" src/dir/file
setfacl -m u:1000:r-x,g:5:rwx src/dir/deep
python3 - <<'END'
for i in range(90):
    open('src/names/%s-%d' % ('n' * (i % 40), i), 'w').close()
with open('src/pieces', 'wb') as file:
    for i in range(0, 60, 2):
        file.seek(i * 1024)
        file.write(b'%d' % i)
    file.seek(100 << 20)
    file.write(b'far')
END
for i in $(seq 90); do ln -f src/dir/file "src/names/hard-$i"; done
rm -f src/names/n*

# seed NAME BLOCKS MKE2FS-OPTION...
seed()
{
    local name=$1 blocks=$2
    shift 2
    rm -f image
    mke2fs -q -F -b 1024 -N 40 -m 0 -d src "$@" image "$blocks" 2>mke2fs.txt || { cat mke2fs.txt; exit 1; }
    if grep -q "too small for a journal" mke2fs.txt; then
        exit 1
    fi
    if [ "${INDEX:-}" ]; then
        e2fsck -fyD image >/dev/null || [ $? = 1 ]
    fi
    if [ "${DEBUGFS:-}" ]; then
        debugfs -w -f <(echo "$DEBUGFS") image >/dev/null 2>&1
    fi
    zstd -q -19 -f image -o "$out/$name.zst"
}

dd if=/dev/urandom of=value bs=3000 count=1 2>/dev/null
printf '\xc0\x3b\x39\x98rest' >magic
truncate -s 3072 magic

seed ext2 400 -t ext2
seed ext2-old-inodes 400 -t ext2 -I 128 -O ^dir_index,^filetype
seed revision-0 400 -r 0 -O none
seed ext4-checksums 400 -t ext4 -O ^has_journal
INDEX=1 seed ext4-index 400 -t ext4 -O ^has_journal,^metadata_csum
INDEX=1 seed ext4-index-checksums 400 -t ext4 -O ^has_journal
seed inline-data 400 -t ext4 -O ^has_journal,^metadata_csum,inline_data
seed inline-data-large 400 -t ext4 -O ^has_journal,inline_data -I 512
seed bigalloc 1600 -t ext4 -O ^has_journal,^metadata_csum,bigalloc -C 4096
seed meta-bg 2400 -t ext4 -g 512 -O ^has_journal,^metadata_csum,meta_bg,^resize_inode
seed uninit 2400 -t ext4 -g 512 -O ^has_journal,^metadata_csum,uninit_bg,^flex_bg
DEBUGFS='ea_set -f value /dir/file user.ea' \
    seed ea-inode 400 -t ext4 -O ^has_journal,^metadata_csum,ea_inode
DEBUGFS='set_inode_field /names flags 0x81800
set_inode_field /dir flags 0x80800
set_inode_field /dir/file flags 0x80800
set_inode_field /long flags 0x80800
set_inode_field /short flags 0x800' \
    INDEX=1 seed encrypted 400 -t ext4 -O ^has_journal,^metadata_csum,encrypt
journal='jo
jw -b 300,301,302 magic
jw -r 301
jc'
DEBUGFS=$journal seed journal 3000 -t ext4 -J size=1 -O ^metadata_csum
DEBUGFS=${journal/jo/jo -c -v 3} seed journal-v3 3000 -t ext4 -J size=1
DEBUGFS=${journal/jo/jo -c -v 2} seed journal-v2 3000 -t ext4 -J size=1 -O ^64bit

# Only the kernel writes fast commits.
mkdir mnt
rm -f image
mke2fs -q -F -b 1024 -N 40 -m 0 -d src -t ext4 -O fast_commit,^metadata_csum image 6000
mount -o loop,commit=300 image mnt
echo first >mnt/first
sync -f mnt
for i in 1 2 3; do
    mkdir mnt/new-$i
    head -c $((i * 3000)) value >mnt/new-$i/file
    sync mnt/new-$i/file
    ln mnt/first mnt/new-$i/link
    mv mnt/new-$i/file mnt/renamed-$i
    truncate -s 100 mnt/renamed-1
    sync mnt/renamed-1 mnt/first
done
rm mnt/renamed-2
sync mnt/first
zstd -q -19 -f image -o "$out/fast-commit.zst"
umount mnt
du -bc "$out"/*.zst | tail -1
