# What the tests of Btrfs share; source it after common.sh.
need mkfs.btrfs btrfs python3

fs_dump=$EMBR_BUILD/tests/functional/fs-dump
tests=$EMBR_SOURCE/tests/functional

# Mounts of kernels that know Btrfs but not one of its features.
need_btrfs_mount()
{
    need mount
    need_loop
    grep -qw btrfs /proc/filesystems || modprobe btrfs 2>/dev/null ||
        skip "this kernel has no Btrfs"
    mkdir mnt
    on_exit "mountpoint -q '$TEST_DIR/mnt' && umount '$TEST_DIR/mnt'"
}

# new_btrfs SIZE MKFS-OPTION...: a new filesystem in the file "image".
new_btrfs()
{
    local size=$1
    shift
    rm -f image
    truncate -s "$size" image
    mkfs.btrfs -q -f "$@" image >mkfs.txt 2>&1 || {
        cat mkfs.txt >&2
        return 1
    }
}

# Inode numbers of subvolumes are embr's own; a place where a subvolume is not has the
# times of the moment, on a mount.
kernel_differs()
{
    python3 - "$1" <<'PYTHON'
import re, sys
stubs, inside = set(), []
rows = open(sys.argv[1]).read().splitlines()
for row in rows:
    path, ino = row.split()[0], re.search(r' ino=(\d+)', row)
    if ino and ino[1] in ('2', '256'):
        inside.append('' if path == '.' else path + '/')
    if ino and ino[1] == '2':
        stubs.add(path)
for row in rows:
    path = row.split()[0]
    top = path == '.' or not any(path.startswith(p) or path + '/' == p for p in inside if p)
    if not top:
        row = re.sub(r' ino=\d+', ' ino=other', row)
    if path in stubs:
        row = re.sub(r' ([mc])time=\S+', r' \1time=now', row)
    print(row)
PYTHON
}

# same_rows OURS THEIRS: rows of the first are made alike where the second's are.
same_rows()
{
    python3 - "$1" "$2" <<'PYTHON' >"$1.alike"
import re, sys
theirs = {row.split()[0]: row for row in open(sys.argv[2])}
for row in open(sys.argv[1]):
    other = theirs.get(row.split()[0], '')
    if ' ino=other' in other:
        row = re.sub(r' ino=\d+', ' ino=other', row)
    if ' mtime=now' in other:
        row = re.sub(r' ([mc])time=\S+', r' \1time=now', row)
    sys.stdout.write(row)
PYTHON
}

# dump_theirs FILE [MOUNT-OPTION]: what the kernel says of the image, from the top level.
dump_theirs()
{
    mount -o "loop,ro,subvolid=5${2:+,$2}" image mnt
    python3 "$tests/fs-tree.py" dump mnt >theirs.raw
    umount mnt
    kernel_differs theirs.raw >"$1"
}

# dump_ours FILE [IMAGE]: what embr says of it; there must be no warning.
dump_ours()
{
    "$fs_dump" "${2:-image}" >"$1" 2>errors.txt || {
        cat errors.txt >&2
        return 1
    }
    if grep '^warning' errors.txt >&2; then
        return 1
    fi
}

# compare_dumps NAME OURS THEIRS [FIELD...]
compare_dumps()
{
    local name=$1 ours=$2 theirs=$3
    shift 3
    [ -z "$(awk '{ sub("ino=", "", $2); print $2, $1 }' "$ours" | awk '{ print $1 }' | sort | uniq -d |
        while read -r ino; do grep -q " ino=$ino mode=4" "$ours" && echo "$ino"; done)" ] ||
        fail "$name: directories share an inode number"
    same_rows "$ours" "$theirs"
    python3 "$tests/fs-tree.py" compare "$ours.alike" "$theirs" "$@" >&2 ||
        fail "$name: not as mounted"
}

# check_free NAME: what is used is what the filesystem itself counts.
check_free()
{
    local used theirs
    used=$("$fs_dump" -b image 2>/dev/null | awk '$1 == "use"' | tee use.txt |
        awk '$2 == "unknown" { bad = 1 } END { print bad + 0 }')
    [ "$used" = 0 ] || fail "$1: use of blocks is not known"
    theirs=$(btrfs inspect-internal dump-super image | awk '$1 == "bytes_used" { print $2 }')
    python3 - image use.txt "$theirs" <<'PYTHON' || fail "$1: used bytes"
import re, subprocess, sys
image, file, theirs = sys.argv[1], sys.argv[2], int(sys.argv[3])
# Each chunk's copies are on the device: all but one are not counted.
tree = subprocess.run(['btrfs', 'inspect-internal', 'dump-tree', '-t', 'chunk', image],
                      capture_output=True, text=True, check=True).stdout
chunks = []
for block in tree.split('\titem ')[1:]:
    length = re.search(r'CHUNK_ITEM.*?length (\d+)', block, re.S)
    if length:
        for i, at in enumerate(re.findall(r'stripe \d+ devid \d+ offset (\d+)', block)):
            chunks.append((int(at), int(length[1]), i))
reserved = [(0, 1 << 20), (64 << 20, (64 << 20) + 65536)]
used = 0
for row in open(file):
    _, kind, at, length = row.split()
    at, end = int(at), int(at) + int(length)
    if kind == 'free':
        continue
    for start, size, copy in chunks:
        a, b = max(at, start), min(end, start + size)
        if copy or a >= b:
            continue
        used += b - a
        for low, high in reserved:
            used -= max(0, min(b, high) - max(a, low))
if used != theirs:
    sys.exit('%d bytes are used, the filesystem says %d' % (used, theirs))
PYTHON
}
