#!/bin/bash
# Makes the seeds in corpus/lvm: small disks with physical volumes, bare and in partitions.
# Needs root, loop devices, lvm2, sfdisk, zstd.
set -euo pipefail
export LVM_SUPPRESS_FD_WARNINGS=1
out=$(realpath "$(dirname "$0")")/corpus/lvm
dir=$(mktemp -d)
loops=()
trap 'for loop in "${loops[@]}"; do losetup -d "$loop"; done; rm -rf "$dir"' EXIT
mkdir -p "$out"
cd "$dir"

attach()
{
    loops+=("$(losetup --show -f "$@")")
}

lv()
{
    local filter="" loop
    for loop in "${loops[@]}"; do
        filter+="\"a|^$loop\$|\","
    done
    lvm "$@" --driverloaded n --config "devices { filter=[ $filter \"r|.*|\" ]
        use_devicesfile=0 pv_min_size=512 } backup { backup=0 archive=0 }
        activation { udev_sync=0 } global { event_activation=0 }" >lvm.txt 2>&1 || { cat lvm.txt; exit 1; }
}

# cut NAME: what the devices have, without the content of volumes.
cut()
{
    for loop in "${loops[@]}"; do
        losetup -d "$loop"
    done
    loops=()
    zstd -q -19 -f disk -o "$out/$1.zst"
}

truncate -s 600K disk
attach disk
lv pvcreate --metadatacopies 2 --metadatasize 32k --dataalignment 4k "${loops[0]}"
lv vgcreate -s 4k vg "${loops[0]}"
lv lvcreate -an -Zn -Wn -n a -l 10 vg
lv lvcreate -an -Zn -Wn -n b -l 5 vg
lv lvextend -l 20 vg/a
cut bare

rm disk
truncate -s 1200K disk
sfdisk -q disk <<END
label: dos
label-id: 0x12345678
start=8, size=1150, type=8e
start=1160, size=1150, type=8e
END
attach disk -o 4096 --sizelimit $((1150 * 512))
attach disk -o $((1160 * 512)) --sizelimit $((1150 * 512))
for loop in "${loops[@]}"; do
    lv pvcreate --metadatasize 32k --dataalignment 4k "$loop"
done
lv vgcreate -s 4k vg "${loops[@]}"
lv lvcreate -an -Zn -Wn -n striped -i 2 -I 4k -l 8 vg
lv lvcreate -an -Zn -Wn -n plain -l 3 vg
cut striped
