#!/bin/bash
# LVM where something is wrong or odd: damaged copies of metadata, old ones, a physical
# volume that is gone or there twice, a disk that is cut off, types that are not read.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/volumes-common.sh"
need_loop
source "$EMBR_SOURCE/tests/functional/lvm-common.sh"

# areas: start and size of each area of metadata, and where the text in it begins and how
# long it is
areas()
{
    python3 - <<'END'
import struct
data = open('disk', 'rb').read()
at = -1
while (at := data.find(b' LVM2 x[5A%r0N*>', at + 1)) >= 0:
    if at % 512 == 4:
        start, size, offset, length = struct.unpack_from('<QQQQ', data, at + 20)
        if start == at - 4:
            print(start, size, offset, length)
END
}
# One whole disk, with two small areas of metadata that are rings, of which one is gone round.
new_disk 14M
make_tree root 1
attach_pvs disk 0 28672
lv pvcreate --metadatacopies 2 --metadatasize 32k --dataalignment 64k "${LVM_PVS[0]}" >/dev/null
lv vgcreate -s 64k vg "${LVM_PVS[0]}" >/dev/null
lv lvcreate -an -Zn -Wn -n a -l 160 vg >/dev/null
wrapped=
for ((i = 0; i < 30; i++)); do
    lv vgchange --addtag "tag$i-$(printf 'x%.0s' {1..990})" vg >/dev/null
    areas >areas.txt
    [ "$(wc -l <areas.txt)" = 2 ] || fail "areas: $(cat areas.txt)"
    if awk '$3 + $4 > $2 { found = 1 } END { exit !found }' areas.txt; then
        wrapped=1
        break
    fi
done
[ -n "$wrapped" ] || fail "no text goes round the end of its area: $(cat areas.txt)"
mke2fs -q -F -t ext4 -d root root.img 10M >mke2fs.txt 2>&1
put_in_lv disk vg/a root.img 0
cp disk good.img


# check: the files are there.
check()
{
    "$EMBR_IMG" cat disk /vg/a/link >found 2>errors.txt || fail "cat: $(cat errors.txt)"
    "$EMBR_IMG" cat disk /vg/a/etc/deep/er/big 2>>errors.txt | cmp - root/etc/deep/er/big ||
        fail "not the file"
}

# flip OFFSET
flip()
{
    python3 -c 'import sys
with open("disk", "r+b") as file:
    file.seek(int(sys.argv[1]))
    byte = file.read(1)[0]
    file.seek(-1, 1)
    file.write(bytes([byte ^ 1]))' "$1"
}

check
volumes table.json
no_warnings table.json
"$EMBR_IMG" ls disk >found
echo vg >expected
same found expected "ls of a disk that is a physical volume"
same_through_engram disk disk "a disk that is a physical volume"

# Of the second area only the header is looked at, if the first is good.
while read -r start size offset length; do
    for at in $((start + 1)) $((start + 100)) $((start + offset + 20)) \
        $((start + (offset + length - 512 - 3) % (size - 512) + 512)); do
        cp good.img disk
        flip "$at"
        volumes table.json
        check
        [ "$start" != 4096 ] && [ "$at" -ge $((start + 512)) ] ||
            warns table.json 'LVM metadata.*(checksum|no header)'
    done
done <areas.txt

# Both are damaged.
cp good.img disk
while read -r start size offset length; do
    flip $((start + offset + 10))
done <areas.txt
volumes table.json
[ "$(warnings table.json | wc -l)" = 2 ] || fail "not a warning for each: $(warnings table.json)"
! grep -q '/vg' table.json || fail "volumes from damaged metadata"
expect_failure 1 'holds LVM2_member, which this version cannot list' "$EMBR_IMG" ls disk /
same_through_engram disk disk "both damaged"

# A label that is damaged hides all; LVM says so, too.
cp good.img disk
flip $((512 + 40))
volumes table.json
warns table.json 'offset 0x200: LVM label: checksum'

# Cut off: metadata and the beginning are there, files at the end are not.
cp good.img disk
truncate -s 4M disk
"$EMBR_IMG" volumes disk >volumes.txt 2>errors.txt || fail "cut off: $(cat errors.txt)"
grep -q "past the end of physical volume" errors.txt || fail "no warning: $(cat errors.txt)"
expect_failure 1 'it has extents from .* past the end of physical volume' \
    "$EMBR_IMG" ls disk /vg/a

# Types that are not read: LVM writes what we say.
cp good.img disk
lv lvcreate -an -Zn -Wn -n b -l 1 vg >/dev/null
lv lvcreate -an -Zn -Wn -n c -l 1 vg >/dev/null
edit_group vg 'b = text.index("\t\tb {")
text = text[:b] + re.sub(r"""type = "striped".*?\]""", """type = "mirror"
mirror_count = 2
region_size = 128
mirrors = ["c", 0, "d", 0]""", text[b:], 1, re.S)
d = text.index("\t\tc {")
text = text[:d] + text[d:text.index("\n\t\t}\n", d) + 5].replace("c {", "d {").replace(
    re.search(r"id = \"(.*?)\"", text[d:])[1], "aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa").replace(
    re.search(r"\"pv0\", (\d+)", text[d:])[0], "\"pv0\", 200") + text[d:]'
volumes table.json
no_warnings table.json
expect_failure 1 "/vg/b: it has segments of type 'mirror', which this version cannot read" \
    "$EMBR_IMG" ls disk /vg/b
"$EMBR_IMG" volumes disk | grep -qE '^vg/b .* LVM mirror, not readable$' || fail "mirror"
check

# Two physical volumes, of which one missed a change, and then is gone, or there twice.
new_disk 50M
sfdisk -q disk <<'END'
label: gpt
1: start=2048, size=30720, type=lvm
2: start=34816, size=30720, type=lvm
3: start=67584, size=30720, type=lvm
END
attach_pvs disk 2048 30720 34816 30720
lv pvcreate --dataalignment 64k "${LVM_PVS[@]}" >/dev/null
lv vgcreate -s 64k vg "${LVM_PVS[@]}" >/dev/null
lv lvcreate -an -Zn -Wn -n a -l 80 vg "${LVM_PVS[0]}" >/dev/null
lv lvcreate -an -Zn -Wn -n c -l 10 vg "${LVM_PVS[1]}" >/dev/null
cp disk old.img
lv lvextend -l 160 vg/a "${LVM_PVS[0]}" >/dev/null
put_in_lv disk vg/a root.img 2048 34816
check
cp disk good.img
for skip in 2048 34816; do
    cp good.img disk
    dd if=old.img of=disk bs=512 skip=$skip seek=$skip count=128 conv=notrunc status=none
    check
    volumes table.json
    warns table.json 'volume group vg: .* metadata of numbers [0-9]+ and [0-9]+, of which the newer'
done
cp good.img disk
dd if=/dev/zero of=disk bs=512 seek=34816 count=8 conv=notrunc status=none
check
volumes table.json
warns table.json '/vg/c: it is incomplete: physical volume pv[01] \(.*\) is not on this disk'
expect_failure 1 '/vg/c: it is incomplete' "$EMBR_IMG" ls disk /vg/c
"$EMBR_IMG" volumes disk 2>/dev/null | grep -qE '^vg/c .* LVM linear, not readable$' || fail "incomplete"
cp good.img disk
dd if=good.img of=disk bs=512 skip=34816 seek=67584 count=4096 conv=notrunc status=none
check
volumes table.json
warns table.json 'partition 3 is a copy of another physical volume of LVM'

# A copy that LVM does not keep up to date: what it says is old.
cp good.img disk
lv pvchange --metadataignore y "${LVM_PVS[0]}" >/dev/null
lv lvrename vg c renamed >/dev/null
volumes table.json
no_warnings table.json
grep -q '"path": "/vg/renamed"' table.json || fail "the copy that is ignored is read"
check

# Bits flipped at random: an end, and whatever is listed is right.
cp good.img disk
python3 - "$EMBR_IMG" <<'END' || fail "damaged at random"
import random, subprocess, sys
good = open('good.img', 'rb').read()
for seed in range(25):
    rng = random.Random(seed)
    with open('disk', 'r+b') as disk:
        spots = []
        for _ in range(rng.randrange(1, 5)):
            start = rng.choice((2048, 34816)) * 512
            at = start + rng.choice((512 + rng.randrange(200), 4096 + rng.randrange(200),
                                     4096 + rng.randrange(8192)))
            spots.append(at)
            disk.seek(at)
            disk.write(bytes([good[at] ^ 1 << rng.randrange(8)]))
    run = subprocess.run([sys.argv[1], 'ls', '-R', 'disk', '/'], capture_output=True, timeout=60)
    if run.returncode not in (0, 1) or b'Sanitizer' in run.stderr:
        sys.exit('seed %d: %d\n%s' % (seed, run.returncode, run.stderr.decode()))
    names = [n for n in run.stdout.decode().split('\n') if n.startswith('/vg/a/')]
    if names and not {'/vg/a/link', '/vg/a/etc/deep/er/big'} <= set(names):
        sys.exit('seed %d: only %s' % (seed, names))
    with open('disk', 'r+b') as disk:
        for at in spots:
            disk.seek(at)
            disk.write(good[at:at + 1])
END
