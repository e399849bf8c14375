#!/bin/bash
# What xorriso and genisoimage make in all their ways must read as Linux itself reads it.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/guest.sh"
source "$(dirname "$0")/iso9660-common.sh"
need_guest isofs nls_utf8 genisoimage mkzftree

make_iso_tree many=50 longest=300000 || fail "make-tree.py"
# What Linux 6.1 lists, but does not find; cuts off; and knows no times, no minors for.
rm tree/names/$'\1' tree/names/{aaaa*,$'\xe2\x82'*} tree/types/???-{1-256,4095-*}
rm tree/times/{2147483648,4294967295,4294967296,5869583999}
rm -rf tree/dirs/[1-5]?
names=()
disks=()

# Of OPTIONs with a colon before it: how the image is mounted.
add()
{
    names+=("$1" "${2#:}")
    disks+=(-r "$1")
}

# new NAME [:MOUNT-OPTION] OPTION...
new()
{
    local name=$1 mount=
    shift
    case ${1:-} in :*) mount=$1; shift ;; esac
    pack "$name" "$@" || fail "$name: xorriso"
    add "$name" "$mount"
}

old()
{
    local name=$1 mount=
    shift
    case ${1:-} in :*) mount=$1; shift ;; esac
    pack_old "$name" "$@" || fail "$name: genisoimage"
    add "$name" "$mount"
}

new rock -R -J -joliet-long -iso-level 3 -V 'A label' --acl --xattr-any --hardlinks
new relocated -R -rr_reloc_dir deep-ones
# genisoimage does not end with links of many parts.
rm tree/links/{long,many,component}
old old-relocated -r -hide-rr-moved
rm tree/names/{$'\xff\xfe not utf-8 \x80',...}
rm -rf tree/types tree/links
old old-joliet :iocharset=utf8 -J -input-charset utf-8
new joliet :iocharset=utf8 -J -joliet-long --norock

cp "$tests/fs-tree.py" .
guest "${disks[@]}" -- "${names[@]}" <<'SCRIPT' || fail "the guest"
devices=(/dev/ubd[a-z])
i=0
while [ $# != 0 ]; do
    mount -t iso9660 -o "ro${2:+,$2}" ${devices[i++]} /mnt
    python3 fs-tree.py dump /mnt >"$1.theirs"
    umount /mnt
    shift 2
done
SCRIPT

# Linux has no attributes of these.
set -- "${names[@]}"
while [ $# != 0 ]; do
    dump_ours "$1.ours" "$1" || fail "$1: fs-dump"
    python3 "$tests/fs-tree.py" compare "$1.ours" "$1.theirs" ino 'xattr:*' >&2 ||
        fail "$1: not as Linux shows it"
    shift 2
done
