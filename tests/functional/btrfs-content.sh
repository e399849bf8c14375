#!/bin/bash
# All kinds of checksums and of compression: content that the kernel compressed, cut, wrote
# over and cloned must read as the kernel reads it.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/btrfs-common.sh"
need_btrfs_mount
count=0

cat >fill.py <<'PYTHON'
import errno, fcntl, os, random, struct, sys

os.chdir(sys.argv[1])
rng = random.Random(7)
words = [rng.randbytes(rng.randrange(2, 9)).hex().encode() for _ in range(300)]


def text(length):
    return b' '.join(rng.choices(words, k=length // 5))[:length]


def put(name, content):
    with open(name, 'wb') as file:
        file.write(content)


put('long', text(1500000))
put('mixed', b''.join(rng.choice((text, rng.randbytes, bytes))(rng.randrange(1, 200000))
                      for _ in range(20)))
put('random', rng.randbytes(300000))
for length in (5, 1000, 2000, 2048, 3000, 4095, 4096, 4097, 8191, 131071, 131072, 131073, 262144):
    put('text-%d' % length, text(length))
    put('same-%d' % length, b'x' * length)
put('overwritten', text(2000000))
os.sync()
with open('overwritten', 'r+b') as file:
    for _ in range(40):
        file.seek(rng.randrange(1900000))
        file.write(rng.choice((text, rng.randbytes))(rng.randrange(1, 30000)))
        os.fsync(file.fileno())
for i, length in enumerate((1, 1999, 4096, 100000, 131073, 400001)):
    put('cut-%d' % i, text(600000))
    os.sync()
    os.truncate('cut-%d' % i, length)
    put('small-cut-%d' % i, text(2000))
    os.sync()
    os.truncate('small-cut-%d' % i, min(length, 1999))
    if i % 2:
        os.truncate('cut-%d' % i, length + 50000)
        os.truncate('small-cut-%d' % i, 100000)
os.sync()
with open('long', 'rb') as source:
    for i in range(4):
        with open('clone-%d' % i, 'w+b') as clone:
            fcntl.ioctl(clone.fileno(), 0x4020940d, struct.pack(
                'qQQQ', source.fileno(), i * 40960, 400 * 4096 - i * 409600 if i < 3 else 40960,
                (4 - i) * 8192)) if i else fcntl.ioctl(clone.fileno(), 0x40049409, source.fileno())
for start in (0, 100000):
    with open('preallocated-%d' % start, 'wb') as file:
        os.posix_fallocate(file.fileno(), start, 500000)
        file.seek(200000)
        file.write(text(70000))
PYTHON

# check NAME COMPRESSION MKFS-OPTION...
check()
{
    local name=$1 compression=$2
    shift 2
    new_btrfs 256M "$@" || fail "$name: mkfs.btrfs $*"
    if ! mount -o "loop${compression:+,compress-force=$compression}" image mnt 2>mount.txt; then
        echo "$name: not mounted by this kernel: $(cat mount.txt)"
        return
    fi
    python3 fill.py mnt
    umount mnt
    dump_theirs theirs
    dump_ours ours || fail "$name: fs-dump"
    compare_dumps "$name" ours theirs
    check_free "$name"
    [ -z "$compression" ] || compressed "$name" "${compression%:*}"
    count=$((count + 1))
}

# compressed NAME KIND: the test is about what it says it is about.
compressed()
{
    btrfs inspect-internal dump-tree -t fs image >tree.txt
    grep -q "extent compression . ($2)" tree.txt ||
        fail "$1: nothing is compressed with $2"
}

check crc32c-zlib zlib --csum crc32c
grep -q "define CONFIG_LZO" "$EMBR_BUILD/embr-config.h" || lzo=zlib
check xxhash-lzo "${lzo:-lzo}" --csum xxhash -n 4096
check sha256-zstd zstd --csum sha256
check blake2-zstd zstd:15 --csum blake2 -d dup -m dup
check blake2-plain '' --csum blake2 -n 32768

[ "$count" -gt 0 ] || skip "this kernel mounts none of them"
echo "$count kinds of filesystems"
