#!/bin/bash
# Logical volumes of LVM: in one piece, in several, in stripes, over two partitions; those
# that cannot be read are named; all of it through an engram.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/volumes-common.sh"
need_loop
source "$EMBR_SOURCE/tests/functional/lvm-common.sh"

new_disk 100M
sfdisk -q disk <<'END'
label: gpt
1: start=2048, size=20480, type=L
2: start=24576, size=81920, type=lvm
3: start=110592, size=81920, type=lvm
END
make_tree plain 1
make_tree root 10
make_tree striped 20
mke2fs -q -F -t ext4 -d plain plain.img 10M >mke2fs.txt 2>&1
dd if=plain.img of=disk bs=512 seek=2048 conv=notrunc status=none

attach_pvs disk 24576 81920 110592 81920
lv pvcreate "${LVM_PVS[@]}" >/dev/null
lv vgcreate -s 1M vg0 "${LVM_PVS[@]}" >/dev/null
lv lvcreate -an -Zn -Wn -n root -l 8 vg0 "${LVM_PVS[0]}" >/dev/null
lv lvcreate -an -Zn -Wn -n striped -l 20 -i 2 -I 64k vg0 >/dev/null
lv lvcreate -an -Zn -Wn -n one -l 1 vg0 "${LVM_PVS[1]}" >/dev/null
lv lvextend -l 20 vg0/root "${LVM_PVS[1]}" >/dev/null
lv lvextend -l 22 vg0/root "${LVM_PVS[0]}" >/dev/null
for name in root striped; do
    size=$([ $name = root ] && echo 22M || echo 20M)
    mke2fs -q -F -t ext4 -d $name -L "$name" $name.img "$size" >mke2fs.txt 2>&1
    put_in_lv disk vg0/$name $name.img 24576 110592
done
[ "$(python3 -c 'import json
print(len(json.load(open("segments.json"))["report"][0]["lv"]))')" -ge 1 ] || fail "segments"

# check_files IMAGE: all files of all volumes are there.
check_files()
{
    local image=$1 name
    rm -rf out
    "$EMBR_IMG" extract -C out "$image" / >extract.txt 2>&1 ||
        { cat extract.txt >&2; fail "extract $image"; }
    for name in plain:p1 root:vg0/root striped:vg0/striped; do
        diff -r --no-dereference -x lost+found "${name%:*}" "out/${name#*:}" ||
            fail "$name of $image has not the files that were put in"
    done
    "$EMBR_IMG" cat "$image" /vg0/striped/link /vg0/root/link >names.txt || fail "cat"
    printf 'striped\nroot\n' >expected
    same names.txt expected "cat from $image"
}

volumes table.json
no_warnings table.json
python3 - <<'END' || fail "not the volumes that were made: $(cat table.json)"
import json
volumes = {v['path']: v for v in json.load(open('table.json'))['volumes']}
assert list(volumes) == ['/p1', '/p2', '/p3', '/vg0/one', '/vg0/root', '/vg0/striped']
assert volumes['/p2']['filesystem'] == volumes['/p3']['filesystem'] == 'LVM2_member'
root, striped, one = (volumes['/vg0/' + name] for name in ('root', 'striped', 'one'))
assert (root['type'], striped['type']) == ('linear', 'striped')
assert (root['size'], striped['size']) == (22 << 20, 20 << 20)
assert (root['label'], striped['filesystem']) == ('root', 'ext4')
assert root['number'] == 0 and 'filesystem' not in one and 'problem' not in one
END
lv lvs -o lv_name,uuid --noheadings vg0 | awk '{print $1, $2}' | sort >expected
python3 -c 'import json
for v in json.load(open("table.json"))["volumes"]:
    if v["path"].startswith("/vg0/"):
        print(v["partition-name"], v["partition-uuid"])' >found
same found expected "UUIDs of volumes"
"$EMBR_IMG" volumes disk | grep -qE '^vg0/root +[0-9]+ +23068672 +22 MiB  ext4 +root .* LVM linear$' ||
    fail "volumes: $("$EMBR_IMG" volumes disk)"

# Folders.
"$EMBR_IMG" ls disk >found
printf '%s\n' p1 p2 p3 vg0 >expected
same found expected "ls /"
"$EMBR_IMG" ls disk /vg0 >found
printf '%s\n' one root striped >expected
same found expected "ls /vg0"
"$EMBR_IMG" ls disk /vg0/../vg0/root/../etc >found
printf '%s\n' deep hard name >expected
same found expected "ls through '..'"
"$EMBR_IMG" ls -R disk >found 2>errors.txt || fail "ls -R: $(cat errors.txt)"
grep -qx /vg0/striped/etc/deep/er/big found || fail "ls -R: $(cat found)"
grep -qx /vg0 found || fail "ls -R does not list the group"
"$EMBR_IMG" ls -R disk /vg0 >found
grep -qx /vg0/root/etc/name found || fail "ls -R /vg0: $(cat found)"
expect_failure 1 "no volume 'two' in this group" "$EMBR_IMG" ls disk /vg0/two
expect_failure 1 "no volume 'vg' on this disk" "$EMBR_IMG" ls disk /vg/root
expect_failure 1 "/p2: holds LVM2_member, whose volumes are folders" "$EMBR_IMG" ls disk /p2
expect_failure 1 "/vg0/one: no filesystem was recognised" "$EMBR_IMG" ls disk /vg0/one
check_files disk

# Through an engram.
"$EMBR_IMG" convert -O engram disk disk.engram 2>errors.txt || fail "convert: $(cat errors.txt)"
[ ! -s errors.txt ] || fail "convert warns: $(cat errors.txt)"
"$EMBR_IMG" compare disk disk.engram >compare.txt || fail "engram: $(cat compare.txt)"
check_files disk.engram
"$EMBR_IMG" check disk.engram >check.txt 2>&1 || fail "check: $(cat check.txt)"
if python3 "$EMBR_SOURCE/tests/functional/engram_spec.py" files disk.engram >files.txt; then
    python3 - <<'END' || fail "the manifest has not the files"
import json
found = {}
for line in open('files.txt'):
    f = json.loads(line)
    found.setdefault(f['volume'], {})[f['path']] = f
assert list(found) == [1, 'vg0/root', 'vg0/striped'], list(found)
for name, files in found.items():
    big = files['etc/deep/er/big']
    assert big['size'] == 5000000 and big['digest'] and not big['flags'] & 4, (name, big)
END
else
    [ $? = 77 ] || fail "engram_spec.py"
fi
for name in root striped; do
    "$EMBR_IMG" query -k 1 disk.engram $name/etc/deep/er/big >found || fail "query"
    grep -q "/vg0/$name/etc/deep/er/big\$" found || fail "query: $(cat found)"
done
"$EMBR_IMG" convert -O engram -o free_space=drop disk dropped.engram 2>errors.txt ||
    fail "free_space=drop: $(cat errors.txt)"
check_files dropped.engram

# What has a snapshot keeps its free blocks: the snapshot may need them. LVM writes what we
# say; the disk's bytes are those of before.
edit_group vg0 'text = text.replace("""logical_volumes {
""", """logical_volumes {
		snapshot0 {
			id = "aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa"
			status = ["READ", "WRITE", "VISIBLE"]
			flags = []
			segment_count = 1
			segment1 {
				start_extent = 0
				extent_count = 20
				type = "snapshot"
				chunk_size = 8
				origin = "striped"
				cow_store = "one"
			}
		}
""")'
python3 - <<'END'
# Marks in a free block of either volume, found by its zeroes near the end.
import json
for name, mark in ('root', b'root mark '), ('striped', b'striped mark '):
    data = bytearray(open(name + '.img', 'rb').read())
    free = len(data) - (1 << 20)
    while any(data[free:free + 65536]):
        free -= 65536
    data[free:free + 4096] = mark * (4096 // len(mark)) + b'.' * (4096 % len(mark))
    open(name + '.img', 'wb').write(data)
END
for name in root striped; do
    put_in_lv disk vg0/$name $name.img 24576 110592
done
volumes table.json
no_warnings table.json
expect_failure 1 '/vg0/one: it is a snapshot, which this version cannot read' \
    "$EMBR_IMG" ls disk /vg0/one
"$EMBR_IMG" convert -O engram -o free_space=drop disk dropped.engram 2>errors.txt
"$EMBR_IMG" convert -O raw dropped.engram dropped.raw
grep -aq 'root mark ' disk || fail "no mark in root"
! grep -aq 'root mark ' dropped.raw || fail "free space of root is not dropped"
grep -aq 'striped mark ' dropped.raw || fail "free space that a snapshot rests on is dropped"
rm -rf out
"$EMBR_IMG" extract -C out dropped.raw /vg0/striped || fail "extract from dropped.raw"
diff -r --no-dereference -x lost+found striped out/striped || fail "dropped.raw"

# Types that are not read are named; names that are in the way of others, too.
edit_group vg0 'text = text.replace("""type = "snapshot"
				chunk_size = 8
				origin = "striped"
				cow_store = "one\"""", """type = "zero\"""").replace(
    """["READ", "WRITE"]
			flags = []
			segment""", """["READ", "WRITE", "VISIBLE"]
			flags = []
			segment""").replace("snapshot0 {", "zeroes {")'
volumes table.json
no_warnings table.json
"$EMBR_IMG" volumes disk | grep -qE '^vg0/zeroes .* LVM zero$' || fail "a volume of zeroes"
lv vgrename vg0 p1 >/dev/null
uuid=$(lv vgs --noheadings -o uuid p1 | tr -d ' ')
"$EMBR_IMG" ls disk >found
printf '%s\n' p1 p2 p3 "p1@$uuid" >expected
same found expected "a group called as a partition is"
"$EMBR_IMG" cat disk "/p1@$uuid/root/link" >found
echo root >expected
same found expected "a file in the group p1"
