#!/bin/bash
# What an engram says of the files on its image: each with its metadata, the digest of its
# content as the specification defines it, the same wherever its blocks lie.
source "$(dirname "$0")/common.sh"
need mke2fs sfdisk qemu-img python3

tests=$EMBR_SOURCE/tests/functional
spec()
{
    python3 "$tests/engram_spec.py" "$@" || { [ $? = 77 ] && skip "no libzstd or libxxhash"; fail "$*"; }
}

mkdir tree
python3 "$tests/make-tree.py" tree plain many=300 block=1024 xattr=600
random_file tree/large 11000000 1
random_file tree/holes 300000 2
truncate -s 9M tree/holes
printf 'short' >tree/short
: >tree/empty
truncate -s 5M tree/only-a-hole
mkdir tree/tiny
for size in 1 7 8 59 60 61 100 140 4000; do
    random_file tree/tiny/$size $size $size
done
chmod 4750 tree/short
find tree -type f -size -400k | LC_ALL=C sort | sed -n '1,60p' >digested
echo tree/holes >>digested

# make_fs NAME TREE MKE2FS-OPTION...
make_fs()
{
    local name=$1 tree=$2
    shift 2
    truncate -s 96M "$name"
    mke2fs -q -F -d "$tree" "$@" "$name" </dev/null 2>mke2fs.txt ||
        { cat mke2fs.txt >&2; fail "mke2fs $*"; }
}

# Two layouts of one tree, and small files inside their inodes, on one disk.
make_fs first.fs tree -t ext4 -b 4096
make_fs second.fs tree -t ext3 -b 1024 -I 256
make_fs third.fs tree/tiny -t ext4 -b 4096 -O inline_data -I 256
truncate -s 293M disk.raw
printf 'label: gpt\nstart=2048, size=196608\nstart=200704, size=196608\nstart=399360, size=196608\n' |
    sfdisk -q disk.raw
dd if=first.fs of=disk.raw bs=1M seek=1 conv=notrunc,sparse status=none
dd if=second.fs of=disk.raw bs=1M seek=98 conv=notrunc,sparse status=none
dd if=third.fs of=disk.raw bs=1M seek=195 conv=notrunc,sparse status=none
qemu-img convert -O qcow2 disk.raw disk.qcow2

find_aio_modes
for aio in $AIO_MODES; do
    EMBR_AIO=$aio "$EMBR_IMG" convert -O engram disk.qcow2 $aio.engram 2>stderr ||
        { cat stderr >&2; fail "convert, $aio"; }
    [ ! -s stderr ] || { cat stderr >&2; fail "convert, $aio: says something"; }
    spec verify $aio.engram
    spec raw $aio.engram back.raw
    same back.raw disk.raw "$aio: the disk read back"
    "$EMBR_IMG" check $aio.engram >check.txt || { cat check.txt >&2; fail "$aio: check"; }
    spec files $aio.engram >$aio.files
done
[ ! -e io_uring.files ] || same io_uring.files threads.files "manifests"

# Every file, as the tree has it.
python3 - threads.files tree digested threads.engram "$tests" >facts <<'END' || fail "manifest"
import hashlib, json, os, stat, struct, subprocess, sys
listing, tree, digested, engram, tests = sys.argv[1:]
entries = [json.loads(line) for line in open(listing)]
volumes = {number: {e['path']: e for e in entries if e['volume'] == number} for number in (1, 2, 3)}
tiny = volumes.pop(3)
want = {''}
for folder, dirs, files in os.walk(os.fsencode(tree)):
    for name in dirs + files:
        path = os.path.relpath(os.path.join(folder, name), os.fsencode(tree))
        want.add(path.decode('utf-8', 'surrogateescape'))
for number, found in volumes.items():
    assert set(found) - {'lost+found'} == want, (number, set(found) ^ want)
    order = [e['path'] for e in entries if e['volume'] == number]
    key = [os.fsencode(p).split(b'/') if p else [] for p in order]
    assert key == sorted(key), 'order of the walk'
    inodes = {}
    for path, entry in found.items():
        if path in ('', 'lost+found'):
            continue
        st = os.lstat(os.path.join(os.fsencode(tree), os.fsencode(path)))
        assert entry['mode'] == st.st_mode, (path, oct(entry['mode']), oct(st.st_mode))
        assert (entry['uid'], entry['gid']) == (st.st_uid, st.st_gid), path
        assert entry['mtime'][0] == int(st.st_mtime), path
        if stat.S_ISREG(st.st_mode):
            assert entry['size'] == st.st_size, path
            first = inodes.setdefault(entry['ino'], path)
            assert (entry['flags'] & 2 != 0) == (first != path), (path, entry['flags'])
            assert (entry['digest'] is not None) == (first == path), path
        elif stat.S_ISLNK(st.st_mode):
            target = os.readlink(os.path.join(os.fsencode(tree), os.fsencode(path)))
            assert entry['digest'] == hashlib.sha256(target).hexdigest(), path
        elif stat.S_ISDIR(st.st_mode):
            linked = any(e['flags'] & 2 for p, e in found.items() if p.startswith(path + '/'))
            assert (entry['digest'] is None) == linked, path
            assert linked or entry['below'] == sum(p.startswith(path + '/') for p in found), path
        elif stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
            number = struct.pack('<II', os.major(st.st_rdev), os.minor(st.st_rdev))
            assert entry['digest'] == hashlib.sha256(number).hexdigest(), path
        else:
            assert entry['digest'] is None, path
        xattrs = b''
        for name in sorted(map(os.fsencode, os.listxattr(
                os.path.join(os.fsencode(tree), os.fsencode(path)), follow_symlinks=False))):
            value = os.getxattr(os.path.join(os.fsencode(tree), os.fsencode(path)), name,
                                follow_symlinks=False)
            xattrs += name + b'\0' + struct.pack('<Q', len(value)) + value
        assert entry['attributes'] == hashlib.sha256(xattrs).hexdigest(), path
# One content, one digest, in both layouts.
count = 0
for path, entry in volumes[1].items():
    if entry['digest'] and not stat.S_ISDIR(entry['mode']):
        assert entry['digest'] == volumes[2][path]['digest'], path
        count += 1
inline = [path for path, entry in tiny.items() if entry['digest'] and entry['size'] and
          not stat.S_ISDIR(entry['mode'])]
assert len(inline) == 9
for path in inline:
    assert tiny[path]['digest'] == volumes[1]['tiny/' + path]['digest'], path
names = open(digested, encoding='utf-8', errors='surrogateescape').read().split('\n')[:-1]
names = [n for n in names if os.path.isfile(n)]
out = subprocess.run([sys.executable, tests + '/engram_spec.py', 'digest', engram] + names,
                     check=True, capture_output=True, text=True).stdout.split()
assert len(out) == len(names)
checked = 0
for name, digest in zip(names, out):
    entry = volumes[1][os.path.relpath(name, tree)]
    if entry['digest'] and not entry['flags'] & 2:
        assert entry['digest'] == digest, (name, entry['digest'], digest)
        checked += 1
assert checked > 20 and count > 100, (checked, count)
print(count, 'files in both layouts,', checked, 'digests made from the specification')
END
cat facts
