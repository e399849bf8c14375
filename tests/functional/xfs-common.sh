# What the tests of XFS share; source it after common.sh.
need mkfs.xfs xfs_db python3

fs_dump=$EMBR_BUILD/tests/functional/fs-dump
tests=$EMBR_SOURCE/tests/functional

# Mounts of kernels that know XFS but not one of its features.
need_xfs_mount()
{
    need mount
    need_loop
    grep -qw xfs /proc/filesystems || modprobe xfs 2>/dev/null ||
        skip "this kernel has no XFS"
    mkdir mnt
    on_exit "mountpoint -q '$TEST_DIR/mnt' && umount '$TEST_DIR/mnt'"
}

# new_xfs SIZE MKFS-OPTION...: a new filesystem in the file "image".
new_xfs()
{
    local size=$1
    shift
    rm -f image
    truncate -s "$size" image
    mkfs.xfs -q -f "$@" image >mkfs.txt 2>&1 || {
        cat mkfs.txt >&2
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

# check_free NAME BLOCK: blocks of the image that are free are as many as its groups say.
check_free()
{
    local groups free theirs
    "$fs_dump" -b image 2>/dev/null | awk '$1 == "use"' >use.txt
    free=$(awk '$2 == "free" { n += $4 } END { print n + 0 }' use.txt)
    groups=$(xfs_db -r -c 'sb 0' -c 'print agcount' image | awk '{ print $3 }')
    theirs=$(for ((i = 0; i < groups; i++)); do
        xfs_db -r -c "agf $i" -c 'print freeblks' image
    done | awk -v b="$2" '{ n += $3 } END { print n * b }')
    [ "$free" = "$theirs" ] || fail "$1: $free bytes are free, by the groups' sums $theirs"
}
