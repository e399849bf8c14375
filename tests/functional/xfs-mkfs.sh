#!/bin/bash
# XFS filesystems that mkfs.xfs filled from a prototype, version 4 among them, which
# kernels of today do not mount any more: names, types, modes, owners, devices, targets
# and contents must be those of the tree; attributes those that xfs_db sets.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/xfs-common.sh"

python3 "$tests/xfs-proto.py" make tree
python3 "$tests/xfs-proto.py" write tree >proto
python3 "$tests/fs-tree.py" dump tree >theirs

# What a prototype cannot tell.
left_out="ino nlink atime mtime ctime crtime allocated flags dir:size"

# check NAME MKFS-OPTION...
check()
{
    local name=$1
    shift
    new_xfs 320M -p proto "$@" || {
        [ "${OPTIONAL:-}" ] || fail "$name: mkfs.xfs $*"
        echo "$name: not made by this mkfs.xfs"
        return 0
    }
    dump_ours ours || fail "$name: fs-dump"
    python3 "$tests/fs-tree.py" compare ours theirs $left_out >&2 ||
        fail "$name: not as the tree is"
    [ "${NO_ATTRIBUTES:-}" ] || check_attributes "$name"
}

# print PATH FIELD...: what xfs_db says.
print()
{
    local ino
    ino=$(awk -v f="$1" '$1 == f { sub("ino=", "", $2); print $2 }' ours)
    shift
    xfs_db -r -c "inode $ino" -c "print $*" image
}

# form PATH FIELD PATTERN: the test is about what it says it is about.
form()
{
    print "$1" "$2" | grep -qE "$3" || fail "$1 is not of the form meant: $(print "$1" "$2")"
}

# Attributes of one file in the inode, of another in a leaf and far from it, of a third
# below a node: xfs_db writes as many "v" as it is told.
check_attributes()
{
    local small leaf node
    small=$(awk '$1 == "mode-4711" { sub("ino=", "", $2); print $2 }' ours)
    leaf=$(awk '$1 == "mode-2755" { sub("ino=", "", $2); print $2 }' ours)
    node=$(awk '$1 == "mode-600" { sub("ino=", "", $2); print $2 }' ours)
    {
        echo "inode $small"
        echo "attr_set -u -v 5 few"
        echo "inode $leaf"
        echo "attr_set -r -v 300 root"
        echo "attr_set -s -v 60000 remote"
        echo "inode $node"
        for ((i = 1; i <= 600; i++)); do
            echo "attr_set -u -v $((i % 200 + 1)) attribute-$i"
        done
    } >commands
    xfs_db -x image <commands >xfs_db.txt 2>&1
    dump_ours ours || fail "$1: fs-dump, attributes"
    python3 - ours <<'PYTHON' || fail "$1: attributes"
import sys
found = {}
for row in open(sys.argv[1]):
    words = row.split()
    found[words[0]] = dict(w[6:].split('=') for w in words if w.startswith('xattr:'))
want = {
    'mode-4711': {'user.few': 5},
    'mode-2755': {'trusted.root': 300, 'security.remote': 60000},
    'mode-600': {'user.attribute-%d' % i: i % 200 + 1 for i in range(1, 601)},
}
for path, attributes in want.items():
    assert found[path] == {k: '76' * n for k, n in attributes.items()}, (
        path, {k: v[:20] for k, v in found[path].items()})
PYTHON
}

check v4 -m crc=0 -n ftype=0
check v4-512 -m crc=0 -b size=512
form short core.format local
form block core.size '= 4096$'
form node core.format btree
form deep/link-1 core.format local
form deep/link-900 core.format extents
form mode-4711 core.aformat local
form mode-2755 core.aformat extents
# xfs_db itself fails to set attributes of the first kind.
NO_ATTRIBUTES=1 OPTIONAL=1 check v4-old -m crc=0 -n ftype=1 -i size=256,attr=1 -l version=1,lazy-count=0
check v4-1k -m crc=0 -b size=1024 -n size=8192
OPTIONAL=1 check v4-ascii-ci -m crc=0 -n version=ci
OPTIONAL=1 check v4-sectors -m crc=0 -s size=4096
OPTIONAL=1 check v4-64k -m crc=0 -b size=65536 -i size=2048
