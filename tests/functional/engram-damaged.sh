#!/bin/bash
# Damaged filesystems, tables and sources: what can be stored is stored exactly, with a
# warning; what cannot leaves no engram and does not touch what was there.
source "$(dirname "$0")/common.sh"
need mke2fs sfdisk qemu-img debugfs python3

mkdir tree
python3 "$EMBR_SOURCE/tests/functional/make-tree.py" tree plain many=200
for i in 1 2 3 4 5 6 7 8; do
    random_file tree/file$i 1500000 $i
done
truncate -s 64M clean.fs
mke2fs -q -F -t ext4 -b 4096 -d tree clean.fs </dev/null
truncate -s 66M clean.raw
printf 'label: gpt\nstart=2048, size=131072\n' | sfdisk -q clean.raw
dd if=clean.fs of=clean.raw bs=1M seek=1 conv=notrunc,sparse status=none
fs_start=$((1 << 20))

# poke FILE OFFSET HEX: writes bytes
poke()
{
    printf "$(sed 's/../\\x&/g' <<<"$3")" |
        dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# garble FILE OFFSET BYTES: random ones
garble()
{
    head -c "$3" /dev/urandom | dd of="$1" bs=4096 seek="$2" oflag=seek_bytes \
        conv=notrunc status=none
}

# stored NAME [WARNING-PATTERN]: NAME.raw must become an engram that is exact, with a
# warning like that on stderr.
stored()
{
    local name=$1 pattern=${2:-}
    sha256sum <"$name.raw" >before
    "$EMBR_IMG" convert -O engram "$name.raw" "$name.engram" 2>stderr ||
        { cat stderr >&2; fail "$name: convert"; }
    sha256sum <"$name.raw" >after
    same before after "$name: the source"
    if [ -n "$pattern" ]; then
        grep -qiE "^embr-img: warning: .*$pattern" stderr || {
            cat stderr >&2
            fail "$name: no warning like '$pattern'"
        }
    elif [ -s stderr ]; then
        cat stderr >&2
        fail "$name: says something"
    fi
    "$EMBR_IMG" check -q "$name.engram" || fail "$name: check"
    "$EMBR_IMG" convert -O raw "$name.engram" back.raw
    cp "$name.raw" want.raw
    truncate -s %512 want.raw           # guests see whole sectors
    same back.raw want.raw "$name: the disk read back"
    rm -f "$name.engram" back.raw want.raw
}

block_of() { debugfs -R "blocks $1" clean.fs 2>/dev/null | awk '{ print $1 }'; }

stored clean

cp clean.raw root.raw
garble root.raw $((fs_start + 4096 * $(block_of /))) 4096
stored root 'directory inode 2'

cp clean.raw dir.raw
garble dir.raw $((fs_start + 4096 * $(block_of /names))) 4096
stored dir '/p1/names is stored as raw ranges'

cp clean.raw super.raw
garble super.raw $((fs_start + 1024)) 1024
stored super

cp clean.raw inodes.raw
table=$(dumpe2fs clean.fs 2>/dev/null |
    sed -nE 's/.*Inode table at ([0-9]+)-.*/\1/p' | sed -n 1p)
garble inodes.raw $((fs_start + 4096 * (table + 1))) 8192
stored inodes 'is stored as raw ranges'

cp clean.raw gpt.raw
garble gpt.raw 512 512
stored gpt 'backup'

cp clean.raw tables.raw
garble tables.raw 512 512
garble tables.raw $(($(stat -c %s tables.raw) - 512)) 512
stored tables 'protects a GPT, but there is none'

cp clean.raw cut.raw
truncate -s 40M cut.raw
stored cut 'disk'

: >nothing.raw
stored nothing
random_file odd.raw 1234567 9
stored odd

# Two files that claim the same blocks.
cp clean.fs twice.fs
second=$(block_of /file2)
debugfs -w -R "set_inode_field /file1 block[5] $second" twice.fs 2>/dev/null
debugfs -w -R "set_inode_field /file3 block[5] $second" twice.fs 2>/dev/null
cp clean.raw twice.raw
dd if=twice.fs of=twice.raw bs=1M seek=1 conv=notrunc status=none
sha256sum <twice.raw >before
"$EMBR_IMG" convert -O engram twice.raw twice.engram 2>stderr || { cat stderr >&2; fail twice; }
"$EMBR_IMG" convert -O raw twice.engram back.raw
same back.raw twice.raw "twice: the disk read back"

# A second name that the file does not count is one all the same.
cp clean.fs names.fs
debugfs -w -R 'ln /file1 /file9' names.fs 2>/dev/null
"$EMBR_IMG" convert -O engram names.fs names.engram
python3 "$EMBR_SOURCE/tests/functional/engram_spec.py" files names.engram >names.files ||
    { [ $? = 77 ] && skip "no libzstd or libxxhash"; fail "names: manifest"; }
grep '"path": "file1"' names.files | grep -q '"flags": 9,' || fail "names: the file"
grep '"path": "file9"' names.files | grep -q '"flags": 10,' || fail "names: its second name"

# Sources that cannot be read to their end.
qemu-img convert -O qcow2 clean.raw whole.qcow2
head -c 6000000 whole.qcow2 >cut.qcow2
mkdir targets
expect_failure 1 'cut.qcow2' "$EMBR_IMG" convert -O engram cut.qcow2 targets/new.engram
[ -z "$(ls -A targets)" ] || fail "a failed convert left $(ls -A targets)"
echo precious >targets/old.engram
expect_failure 1 'cut.qcow2' "$EMBR_IMG" convert -O engram cut.qcow2 targets/old.engram
[ "$(cat targets/old.engram)" = precious ] || fail "a failed convert changed its target"

# A kill at any instant.
for delay in 0.05 0.15 0.3; do
    "$EMBR_IMG" convert -O engram whole.qcow2 targets/old.engram & pid=$!
    sleep $delay
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    [ "$(ls -A targets)" = old.engram ] || fail "a killed convert left $(ls -A targets)"
    grep -q precious targets/old.engram || "$EMBR_IMG" check -q targets/old.engram ||
        fail "a killed convert left half an engram"
done

# A full disk.
if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=4M tmpfs small 2>/dev/null; then
    on_exit "umount $TEST_DIR/small"
    expect_failure 1 'No space left on device' \
        "$EMBR_IMG" convert -O engram whole.qcow2 small/new.engram
    [ -z "$(ls -A small)" ] || fail "a full disk keeps $(ls -A small)"
fi
