# What the tests of squashfs share; source it after common.sh.
need mksquashfs python3

fs_dump=$EMBR_BUILD/tests/functional/fs-dump
tests=$EMBR_SOURCE/tests/functional

need_squashfs_mount()
{
    need mount
    need_loop
    grep -qw squashfs /proc/filesystems || modprobe squashfs 2>/dev/null ||
        skip "this kernel has no squashfs"
    mkdir mnt
    on_exit "mountpoint -q '$TEST_DIR/mnt' && umount '$TEST_DIR/mnt'"
}

# pack OPTION...: makes the file "image" of the folder "tree".
pack()
{
    rm -f image
    mksquashfs tree image -quiet -no-progress "$@" >pack.txt 2>&1 || {
        cat pack.txt >&2
        return 1
    }
}

# dump_theirs FILE: what the kernel says of the image.
dump_theirs()
{
    mount -o loop,ro image mnt
    python3 "$tests/fs-tree.py" dump mnt >"$1"
    umount mnt
}

# dump_ours FILE: what embr says of it; there must be no warning.
dump_ours()
{
    "$fs_dump" image >"$1" 2>errors.txt || {
        cat errors.txt >&2
        return 1
    }
    if grep '^warning' errors.txt >&2; then
        return 1
    fi
}

# same_links OURS THEIRS: names of one inode here are names of one inode there.
same_links()
{
    python3 - "$1" "$2" <<'PYTHON'
import sys
groups = []
for name in sys.argv[1:]:
    inodes = {}
    for row in open(name):
        path, ino = row.split()[:2]
        inodes.setdefault(ino, []).append(path)
    groups.append(sorted(map(sorted, inodes.values())))
sys.exit('hard links differ' if groups[0] != groups[1] else 0)
PYTHON
}
