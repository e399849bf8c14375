# What the tests of ISO 9660 share; source it after common.sh.
need xorriso python3

fs_dump=$EMBR_BUILD/tests/functional/fs-dump
tests=$EMBR_SOURCE/tests/functional

# pack IMAGE OPTION...: makes the image of the folder "tree", as xorriso does for mkisofs.
pack()
{
    rm -f "$1"
    xorriso -as mkisofs -quiet -o "$@" tree >pack.txt 2>&1 || {
        cat pack.txt >&2
        return 1
    }
}

# pack_old IMAGE OPTION...: the same with genisoimage.
pack_old()
{
    rm -f "$1"
    timeout 60 genisoimage -quiet -o "$@" tree >pack.txt 2>&1 || {
        cat pack.txt >&2
        return 1
    }
}

# dump_ours FILE [IMAGE]: what embr says of it; there must be no warning.
dump_ours()
{
    "$fs_dump" "${2:-image}" >"$1" 2>errors.txt || {
        cat errors.txt >&2
        return 1
    }
    if [ -s errors.txt ]; then
        grep -v '^type=' errors.txt >&2 && return 1
    fi
    return 0
}

# make_iso_tree [OPTION...]: the folder "tree" with everything that is hard, and that Rock Ridge
# can hold: components of links have up to 248 bytes.
make_iso_tree()
{
    rm -rf tree
    mkdir tree
    python3 "$tests/make-tree.py" tree plain block=2048 target=240 "$@" 2>left-out.txt || {
        cat left-out.txt >&2
        return 1
    }
    python3 - <<'PYTHON'
import os
links = {'long': '/'.join('component-%03d' % i for i in range(70)), 'root': '/',
         'dots': '../../x/./y/../z', 'here': '.', 'above': '..', 'absolute': '/usr/../usr/bin',
         'hidden': '/.hidden/..x/.../', 'component': 'c' * 200 + '/' + 'd' * 230,
         'many': '/'.join('abcdefgh'[i % 8] for i in range(480)), 'empty-part': 'x//y'}
for name, target in links.items():
    if not target.endswith('/') or target == '/':
        os.symlink(target, 'tree/links/' + name)
os.mkdir('tree/times')
for time in (0, 1, 946684799, 2147483647, 2147483648, 4294967295, 4294967296, 5869583999):
    open('tree/times/%d' % time, 'w').close()
    os.utime('tree/times/%d' % time, (time, time))
for root, dirs, files in os.walk('tree'):
    for name in files + dirs:
        path = os.path.join(root, name)
        if '/times/' not in path and os.lstat(path).st_mtime > 1.5e9:
            os.utime(path, (10**9, 10**9), follow_symlinks=False)
os.utime('tree/times', (10**9, 10**9))
PYTHON
}
