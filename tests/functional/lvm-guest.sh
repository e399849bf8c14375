#!/bin/bash
# Logical volumes that LVM made and Linux's device mapper wrote to: linear ones in several
# pieces, striped ones, over three physical volumes of one disk, with filesystems that were
# aged on them.  Those of types that are not read are named, and stored as they are.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/guest.sh"
need_guest dm-mod dm-snapshot dm-thin-pool dm-cache-smq dm-raid raid1 vfat lvm sfdisk mkfs.ext4 mkfs.xfs mkfs.fat \
    python3

tests=$EMBR_SOURCE/tests/functional

truncate -s 2G disk
sfdisk -q disk <<'END'
label: gpt
start=2048, size=1228800, type=V
size=1228800, type=V
size=1228800, type=V
size=20480, type=L
END

# A machine's disk, which is on a volume as it is.
mkdir tree
echo nested >tree/name
mkfs.ext4 -q -d tree root.img 10M >mkfs.txt 2>&1
truncate -s 20M machine
printf 'label: gpt\nstart=2048, size=20480\n' | sfdisk -q machine
dd if=root.img of=machine bs=512 seek=2048 conv=notrunc status=none

guest -d disk <<'SCRIPT' || fail "the guest"
tests=$EMBR_SOURCE/tests/functional
export LVM_SUPPRESS_FD_WARNINGS=1
# LVM looks for modules where they are not.
modprobe -a dm-mod dm-snapshot dm-thin-pool dm-cache-smq dm-raid raid1
lv()
{
    lvm "$@" --config 'devices { use_devicesfile=0 hints="none" scan="/dev" }
        backup { backup=0 archive=0 }
        activation { monitoring=0 udev_sync=0 udev_rules=0 }
        global { event_activation=0 use_lvmpolld=0 thin_check_executable=""
                 cache_check_executable="" thin_dump_executable="" }' </dev/null >lvm.txt 2>&1 ||
        { cat lvm.txt >&2; echo "lvm $*" >&2; exit 1; }
}
lv vgcreate -y -s 1M group /dev/ubda1 /dev/ubda2 /dev/ubda3
# The pieces of one lie between those of others.
lv lvcreate -y -Wn -Zn -L 40M -n linear group
lv lvcreate -y -Wn -Zn -L 60M -i 3 -I 64k -n striped group
lv lvcreate -y -Wn -Zn -L 320M -n xfs group
lv lvextend -y -L 100M group/linear /dev/ubda2
lv lvextend -y -L 120M -i 2 -I 4k group/striped /dev/ubda1 /dev/ubda3
lv lvextend -y -L 130M group/linear /dev/ubda3
lv lvcreate -y -Wn -Zn -L 40M -n fat group
lv lvcreate -y -Wn -Zn -L 30M -n origin group
lv lvcreate -y -s -L 20M -n earlier group/origin
lv lvcreate -y -Wn -Zn -L 20M -n machine group
lv lvcreate -y -Wn -Zn -L 30M --type raid1 -m 1 --nosync -n raid group
lv lvcreate -y -Wn -L 40M -T group/pool
lv lvcreate -y -V 100M -T -n thin group/pool
lv lvcreate -y -Wn -Zn -L 40M -n cached group
lv lvcreate -y -L 10M --type cache-pool -n fast group
lv lvconvert -y --type cache --cachepool group/fast group/cached

mkfs.ext4 -q -b 1024 /dev/group/linear
mkfs.ext4 -q /dev/group/striped
mkfs.xfs -q /dev/group/xfs
mkfs.fat -F 16 /dev/group/fat >/dev/null
dd if=machine of=/dev/group/machine bs=1M conv=fsync status=none
for name in origin raid thin cached; do
    mkfs.ext4 -q -b 1024 "/dev/group/$name"
    mount "/dev/group/$name" /mnt
    echo "in $name" >/mnt/file
    umount /mnt
done
for name in linear striped xfs fat; do
    options=rw
    [ "$name" != fat ] || options=utf8,umask=022
    mount -o "$options" "/dev/group/$name" /mnt
    python3 "$tests/churn.py" /mnt ${#name} 200 plain
    umount /mnt
    mount -o "$options,ro" "/dev/group/$name" /mnt
    python3 "$tests/fs-tree.py" dump /mnt >"$name.theirs"
    umount /mnt
done
lv vgchange -an group
SCRIPT

"$EMBR_IMG" volumes --output=json disk >table.json || fail "volumes"
python3 - <<'END' || fail "volumes: $("$EMBR_IMG" volumes disk)"
import json
table = json.load(open('table.json'))
assert not table['warnings'], table['warnings']
volumes = {v['path']: v for v in table['volumes'] if v['path'].startswith('/group/')}
expected = {'linear': 'linear', 'striped': 'striped', 'xfs': 'linear', 'fat': 'linear',
            'origin': 'linear', 'machine': 'linear', 'earlier': 'snapshot', 'raid': 'raid1',
            'pool': 'thin-pool', 'thin': 'thin', 'cached': 'cache'}
assert {k[7:]: v['type'] for k, v in volumes.items()} == expected, volumes
readable = {k[7:] for k, v in volumes.items() if 'problem' not in v}
assert readable == {'linear', 'striped', 'xfs', 'fat', 'origin', 'machine'}, readable
END
for name in earlier raid pool thin cached; do
    expect_failure 1 "/group/$name: it (is|has) .*, which this version cannot read" \
        "$EMBR_IMG" ls disk "/group/$name"
done

# check_files IMAGE: all files of what can be read are as Linux showed them.  Only root can give
# them their owners; times of folders' last reading are those of the extraction.
check_files()
{
    local image=$1 name options
    rm -rf out
    for name in linear striped xfs fat; do
        "$EMBR_IMG" extract -C out "$image" "/group/$name" >extract.txt 2>&1 ||
            { cat extract.txt >&2; fail "extract $name from $image"; }
        python3 "$tests/fs-tree.py" dump "out/$name" >ours.txt
        options=(ino dir:size allocated atime ctime crtime flags)
        [ "$(id -u)" = 0 ] || options+=(uid gid)
        [ "$name" != fat ] || options+=(dir:nlink path:.)
        python3 "$tests/fs-tree.py" compare ours.txt "$name.theirs" "${options[@]}" >&2 ||
            fail "$name of $image: not as Linux shows it"
    done
    [ "$("$EMBR_IMG" cat "$image" /group/origin/file)" = "in origin" ] || fail "$image: origin"
    [ "$("$EMBR_IMG" cat "$image" /p5/name)" = nested ] || fail "$image: a disk on a volume"
}

check_files disk
"$EMBR_IMG" convert -O engram disk disk.engram 2>said.txt || { cat said.txt >&2; fail "convert"; }
[ ! -s said.txt ] || { cat said.txt >&2; fail "convert warns"; }
"$EMBR_IMG" compare disk disk.engram >compare.txt || fail "engram: $(cat compare.txt)"
"$EMBR_IMG" convert -O engram -o free_space=drop disk dropped.engram 2>said.txt ||
    { cat said.txt >&2; fail "free_space=drop"; }
check_files dropped.engram
# What is not read is as it was, what a snapshot rests on included.
"$EMBR_IMG" convert -O raw dropped.engram dropped
guest -d dropped <<'SCRIPT' || fail "Linux has something else on the disk without its free space"
modprobe -a dm-mod dm-snapshot dm-thin-pool dm-cache-smq dm-raid raid1
lvm vgchange -ay --config 'devices { use_devicesfile=0 hints="none" scan="/dev" }
    backup { backup=0 archive=0 } activation { monitoring=0 udev_sync=0 udev_rules=0 }
    global { event_activation=0 thin_check_executable="" cache_check_executable="" }' \
    group </dev/null >lvm.txt 2>&1 || { cat lvm.txt >&2; exit 1; }
for name in origin raid thin cached; do
    mount -o ro "/dev/group/$name" /mnt
    [ "$(cat /mnt/file)" = "in $name" ]
    umount /mnt
done
SCRIPT
