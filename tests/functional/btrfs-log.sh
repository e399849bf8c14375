#!/bin/bash
# Filesystems that were in use, with a log of what was synchronised since the last transaction:
# they must read as they do after the kernel has replayed the log.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/btrfs-common.sh"
need_btrfs_mount
count=0

# Everything that a log can tell of: first the state that a transaction has, then the rest.
cat >change.py <<'PYTHON'
import ctypes, os, sys

os.chdir(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong)


def put(name, content, at=0):
    fd = os.open(name, os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, content, at)
    return fd


def sync(name):
    fd = os.open(name, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


if sys.argv[2] == 'before':
    for i in range(40):
        os.close(put('file-%d' % i, b'%d' % i * (i * 400 + 1)))
        os.setxattr('file-%d' % i, 'user.old', b'old')
    os.mkdir('dir')
    for i in range(30):
        os.mkdir('dir/%d' % i)
        os.close(put('dir/%d/child' % i, b'child'))
        os.link('file-30', 'dir/link-%d' % i)
    for i in range(90):
        os.link('file-31', 'dir/%s-%d' % ('long-name' * 20, i))
    sys.exit()


def new_files():
    """Inline, in extents, sparse, in a new directory."""
    os.fsync(put('new', b'inline'))
    os.fsync(put('new-large', b'large' * 50000))
    os.fsync(put('new-sparse', b'far away', 5 << 20))
    os.mkdir('new-dir')
    os.mkdir('new-dir/below')
    os.fsync(put('new-dir/below/file', b'deep'))
    os.mkfifo('new-dir/fifo')
    os.symlink('target', 'new-dir/link')
    sync('new-dir')
    os.close(put('lost', b'not synchronised: it is not there afterwards'))


def content():
    """Changed in place, grown, cut, punched, reserved."""
    os.fsync(put('file-1', b'changed'))
    os.fsync(put('file-20', b'in the middle', 4500))
    os.fsync(put('file-21', b'behind', 300000))
    for name, length in (('file-22', 5000), ('file-23', 0), ('file-24', 100000)):
        os.truncate(name, length)
        sync(name)
    fd = os.open('file-39', os.O_RDWR)
    libc.fallocate(fd, 3, 4096, 8192)
    os.fsync(fd)
    fd = os.open('file-25', os.O_RDWR)
    libc.fallocate(fd, 1, 1 << 20, 200000)
    os.fsync(fd)
    os.pwrite(fd, b'reserved', (1 << 20) + 8192)
    os.fsync(fd)


def attributes():
    os.setxattr('file-8', 'user.new', b'new' * 100)
    os.removexattr('file-8', 'user.old')
    sync('file-8')
    os.chmod('file-9', 0o4711)
    os.chown('file-9', 1000, 1001)
    os.utime('file-9', ns=(123456789012345678, -5))
    sync('file-9')
    os.utime('dir', ns=(5, 5))
    sync('dir')


def links():
    os.link('file-2', 'dir/second-name')
    sync('file-2')
    os.link('file-31', 'dir/one-more')
    sync('file-31')
    os.link('file-32', 'dir/29/other')
    sync('dir/29')


def moved():
    os.rename('file-3', 'dir/moved')
    sync('dir/moved')
    os.rename('file-4', 'renamed')
    sync('renamed')


def removed():
    os.unlink('file-5')
    os.unlink('dir/link-7')
    sync('dir')
    for i in range(8):
        os.unlink('dir/%d/child' % i)
        sync('dir/%d' % i)


def replaced():
    os.rename('file-6', 'file-7')
    sync('file-7')
    os.unlink('file-10')
    os.fsync(put('file-10', b'another one'))


globals()[sys.argv[2]]()
PYTHON

# dirty: a copy of the image while it is mounted.  False: its log is empty, since what was done
# last made a transaction.
dirty()
{
    cp --sparse=always image copy
    [ "$(btrfs inspect-internal dump-super copy | awk '$1 == "log_root" { print $2 }')" != 0 ]
}

# replayed NAME: the image must read as it does when the kernel has replayed its log.
replayed()
{
    dump_ours ours || fail "$1: fs-dump"
    if [ -n "${DROP:-}" ]; then
        # Without what is free, all that the log needs is still there.
        "$EMBR_IMG" convert -f raw -O engram -o free_space=drop image engram || fail "$1: convert"
        "$EMBR_IMG" convert -O raw engram image
        rm engram
    fi
    mount -o loop image mnt || fail "$1: the kernel does not mount it"
    umount mnt
    dump_theirs theirs
    # Replaying a removal, the kernel sets times of the directory and the file to the moment.
    compare_dumps "$1" ours theirs dir:mtime ctime
    count=$((count + 1))
}

# check NAME MOUNT-OPTIONS MKFS-OPTION...
check()
{
    local name=$1 options=$2
    shift 2
    new_btrfs 256M "$@" || fail "$name: mkfs.btrfs $*"
    mount -o "loop,commit=900$options" image mnt 2>mount.txt || skip "not mounted: $(cat mount.txt)"
    btrfs subvolume create mnt/sub >/dev/null
    python3 change.py mnt before
    python3 change.py mnt/sub before
    sync -f mnt
    for change in $changes; do
        python3 change.py mnt/sub "$change"
        python3 change.py mnt "$change"
        if dirty; then
            sync -f mnt
            mv copy copy-$change
        else
            skipped+=("$name: $change")
        fi
    done
    umount mnt
    for change in $changes; do
        if [ -e copy-$change ]; then
            mv copy-$change image
            replayed "$name: $change"
        fi
    done
}

skipped=()
changes="new_files content attributes links moved removed replaced" check plain ''
DROP=1 changes="new_files content" check compressed ,compress-force=zstd -n 4096 --csum xxhash
changes="content removed" check old ,nodatasum -O ^no-holes -n 4096
for seed in 1 2; do
    new_btrfs 256M -n 4096
    mount -o loop,commit=900 image mnt
    python3 "$tests/churn.py" mnt $seed 250
    sync -f mnt
    python3 "$tests/churn.py" mnt $((seed + 100)) 120 fast
    dirty || skipped+=("churn $seed")
    umount mnt
    mv copy image
    replayed "churn $seed"
done

# A log that is damaged is not replayed, which is told; the rest is as it was.
new_btrfs 256M -m single
mount -o loop,commit=900 image mnt
python3 change.py mnt before
sync -f mnt
python3 change.py mnt new_files
dirty || fail "new files are not in a log"
umount mnt
root=$(btrfs inspect-internal dump-super copy | awk '$1 == "log_root" { print $2 }')
python3 - copy "$root" <<'PYTHON'
import struct, sys
with open(sys.argv[1], 'r+b') as file:
    data = file.read(256 << 20)
    at = data.find(struct.pack('<Q', int(sys.argv[2])), 1 << 20)
    while at >= 0:
        if at % 4096 == 48:
            file.seek(at + 100)
            file.write(b'\xa5\x5a')
        at = data.find(struct.pack('<Q', int(sys.argv[2])), at + 1)
PYTHON
"$fs_dump" copy >ours 2>errors.txt || { cat errors.txt >&2; fail "a damaged log"; }
grep -qE '^warning: .*tree block: checksum is .*; the log is not replayed' errors.txt ||
    { cat errors.txt >&2; fail "a damaged log: not told"; }
mv copy image
dump_theirs theirs rescue=nologreplay
compare_dumps "a damaged log" ours theirs
[ "$count" -ge 10 ] || fail "only $count logs; no log: ${skipped[*]}"
echo "$count logs; none: ${skipped[*]}"
