#!/bin/bash
# Makes a virtual machine's disk out of files of this machine, to try embr with. Nothing is
# mounted; root is not needed.
#
#   scripts/make-demo-disk.sh DIR
#
# DIR/base.qcow2   1 GiB, GPT: p1 BIOS boot, p2 swap, p3 ext4 with about 130 MiB of files
# DIR/vm.qcow2     an overlay on it, in which files were added, copied and deleted
#
# Only files that anybody may read are taken. An image that is there already stays.
set -euo pipefail
export LC_ALL=C
PATH=$PATH:/usr/sbin:/sbin

die()
{
    echo "make-demo-disk: $*" >&2
    exit 1
}

[ $# = 1 ] || die "expected one directory"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
for image in "$dir/base.qcow2" "$dir/vm.qcow2"; do
    [ ! -e "$image" ] || die "$image is there already"
done
scratch=$(mktemp -d "$dir/scratch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
mkdir root

swap_start=2 root_start=18 end=1023       # in MiB

# pick DIRECTORY MIB BYTES: files below it of at least that size, in order of their names,
# until there are that many MiB.
pick()
{
    find "$1" -xdev \( -type l -o -type f -perm -o=r -size -16M ! -size "-$3c" \) \
        ! -name $'*\n*' -printf '%s %p\n' 2>/dev/null | sort -k 2 |
        awk -v left=$(($2 << 20)) '{ left -= $1 } left > 0 { sub(/^[0-9]+ /, ""); print }'
}

{
    find /bin /lib /lib64 /sbin -maxdepth 0 -type l 2>/dev/null || true
    find /usr/lib/os-release -maxdepth 0 2>/dev/null || true
    pick /etc 8 0
    pick /usr/bin 32 0
    pick /usr/lib 80 8192
    pick /usr/share 16 8192
} >root.list
# Files that vanish meanwhile are no reason to stop.
tar -c --no-recursion --verbatim-files-from -T root.list 2>/dev/null | tar -xp -C root || true
[ -d root/etc ] || die "nothing of /etc could be copied"

truncate -s 1G base.raw
sfdisk -q base.raw <<END
label: gpt
start=1MiB, size=1MiB, type=21686148-6449-6E6F-744E-656564454649, name=bios
start=${swap_start}MiB, size=$((root_start - swap_start))MiB, type=S, name=swap
start=${root_start}MiB, size=$((end - root_start))MiB, type=L, name=root
END
truncate -s $((root_start - swap_start))M swap
mkswap -q -L swap swap >/dev/null
dd if=swap of=base.raw bs=1M seek=$swap_start conv=notrunc,sparse status=none
mke2fs -q -t ext4 -L root -E offset=$((root_start << 20)) -d root base.raw \
    $((end - root_start))M 2>mke2fs.log || { cat mke2fs.log >&2; die "mke2fs failed"; }

# Later in the machine's life: a file is written, a big one copied, another one deleted.
big=$(find root/usr/lib root/usr/bin -type f -printf '%s %P %p\n' | sort -n | tail -n 1)
big=${big##* }
gone=$(find root/usr/bin -type f -printf '%s %p\n' | sort -n | tail -n 2 | head -n 1)
gone=${gone#* root}
echo "This file is in the overlay only." >note
cp --sparse=always base.raw changed.raw
debugfs -w -f - "changed.raw?offset=$((root_start << 20))" >debugfs.log 2>&1 <<END
mkdir /srv
mkdir /srv/copies
write note /srv/note
write $big /srv/copies/first
write $big /srv/copies/second
rm $gone
END
debugfs -R "cat /srv/note" "changed.raw?offset=$((root_start << 20))" 2>/dev/null |
    cmp -s - note || { cat debugfs.log >&2; die "debugfs did not write into the disk"; }

qemu-img convert -O qcow2 base.raw base.qcow2
# The overlay is what differs: qemu-img rebase writes only that.
qemu-img create -q -f qcow2 -b changed.raw -F raw vm.qcow2
qemu-img rebase -b base.qcow2 -F qcow2 vm.qcow2
mv base.qcow2 vm.qcow2 "$dir"
