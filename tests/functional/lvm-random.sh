#!/bin/bash
# Logical volumes made, made larger and smaller, moved about and removed at random, in two
# groups over partitions of an MBR: every file on every one is read, and found in an engram.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/volumes-common.sh"
need_loop
source "$EMBR_SOURCE/tests/functional/lvm-common.sh"

new_disk 90M
sfdisk -q disk <<'END'
label: dos
1: start=2048, size=30000, type=8e
2: start=33000, size=140000, type=5
5: start=35000, size=30000, type=8e
6: start=68000, size=40000, type=8e
7: start=110000, size=60000, type=8e
END
starts=(2048 35000 68000 110000)
attach_pvs disk 2048 30000 35000 30000 68000 40000 110000 60000
# Physical volumes whose extents begin at different places.
for i in 0 1 2 3; do
    lv pvcreate --dataalignment $(((i + 1) * 64))k "${LVM_PVS[i]}" >/dev/null
done
lv vgcreate -s 64k one "${LVM_PVS[@]:0:3}" >/dev/null
lv vgcreate -s 128k p1 "${LVM_PVS[3]}" >/dev/null

RANDOM=20
declare -A size
for ((i = 0; i < 6; i++)); do
    n=$((8 + RANDOM % 30))
    options=()
    if [ $((i % 2)) = 1 ]; then
        options=(-i $((2 + RANDOM % 2)) -I $((4 << RANDOM % 4))k)
        n=$((n / 6 * 6))
    fi
    lv lvcreate -an -Zn -Wn -n v$i -l $n "${options[@]}" one >/dev/null
    size[one/v$i]=$n
done
lv lvcreate -an -Zn -Wn -n last -l 20 p1 >/dev/null
size[p1/last]=20
# Holes, and volumes that go on behind others.
lv lvremove -y one/v2 >/dev/null
unset "size[one/v2]"
for i in 0 1 4 5; do
    n=$((12 + RANDOM % 12))
    n=$((n / 6 * 6))
    lv lvextend -l +$n --alloc anywhere one/v$i >/dev/null
    size[one/v$i]=$((n + ${size[one/v$i]}))
done
lv lvreduce -f -l -6 one/v5 >/dev/null
size[one/v5]=$((${size[one/v5]} - 6))
lv lvrename one v3 with.odd+name_-1 >/dev/null
size[one/with.odd+name_-1]=${size[one/v3]}
unset "size[one/v3]"

seed=1
for volume in "${!size[@]}"; do
    extent=$([ "${volume%/*}" = one ] && echo 64 || echo 128)
    kib=$((${size[$volume]} * extent))
    name=${volume//\//-}
    mkdir -p "tree-$name/folder"
    random_file "tree-$name/folder/file" $((kib * 1024 / 2)) $((seed++))
    echo "$volume" >"tree-$name/name"
    mke2fs -q -F -t ext4 -b 1024 -O ^has_journal -d "tree-$name" "$name.img" ${kib}k >mke2fs.txt 2>&1 ||
        fail "mke2fs: $(cat mke2fs.txt)"
    put_in_lv disk "$volume" "$name.img" "${starts[@]}"
done
lv lvs --noheadings -o segtype one >segments.txt
grep -q striped segments.txt && grep -q linear segments.txt || fail "not linear and striped"

uuid=$(lv vgs --noheadings -o uuid p1 | tr -d ' ')
volumes table.json
no_warnings table.json
[ "$(grep -c '"path": "/.*/' table.json)" = "${#size[@]}" ] || fail "volumes: $(cat table.json)"

# check IMAGE
check()
{
    local volume folder name
    rm -rf out
    "$EMBR_IMG" extract -C out "$1" / 2>errors.txt || fail "extract $1: $(cat errors.txt)"
    for volume in "${!size[@]}"; do
        name=${volume//\//-}
        folder=${volume/#p1\//p1@$uuid/}
        diff -r -x lost+found "tree-$name" "out/$folder" || fail "$volume of $1"
    done
}

check disk
"$EMBR_IMG" convert -O engram disk disk.engram 2>errors.txt
[ ! -s errors.txt ] || fail "convert: $(cat errors.txt)"
"$EMBR_IMG" compare disk disk.engram >compare.txt || fail "engram: $(cat compare.txt)"
check disk.engram
"$EMBR_IMG" convert -O engram -o free_space=drop disk dropped.engram 2>errors.txt
check dropped.engram
if python3 "$EMBR_SOURCE/tests/functional/engram_spec.py" files disk.engram >files.txt; then
    python3 - "${#size[@]}" <<'END' || fail "files of the manifest"
import json, sys
files = [json.loads(line) for line in open('files.txt')]
found = [f for f in files if f['path'] == 'folder/file']
assert len(found) == int(sys.argv[1]) and all(f['digest'] for f in found), found
assert len({f['digest'] for f in found}) == len(found)
END
else
    [ $? = 77 ] || fail "engram_spec.py"
fi
