#!/bin/bash
# Flipped bits: no crash, no hang; what is not damaged is still listed, and an error is there for
# what is not.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/squashfs-common.sh"

mkdir tree
python3 - <<'PYTHON'
import os
os.mkdir('tree/index')
for i in range(900):
    os.symlink('%d' % i, 'tree/index/%s-%05d' % ('long-name' * 12, i))
for i in range(20):
    os.mkdir('tree/dir-%d' % i)
    for k in range(60):
        with open('tree/dir-%d/file-%d' % (i, k), 'w') as file:
            file.write('%d %d' % (i, k) * (k * k))
with open('tree/long', 'w') as file:
    for i in range(50000):
        file.write('%d ' % (i * i))
os.setxattr('tree/long', 'user.value', b'value' * 100)
PYTHON

# check NAME ROUNDS OPTION...
check()
{
    local name=$1 rounds=$2
    shift 2
    pack "$@" || fail "$name: mksquashfs"
    python3 "$tests/damage.py" "$fs_dump" image unchecked "$rounds" || fail "$name"
}

# named WHAT AT PATTERN: a byte there is damaged; at least 500 files are still listed.
named()
{
    cp image damaged
    printf '\xa5' | dd of=damaged bs=1 seek="$2" conv=notrunc status=none
    "$fs_dump" damaged >ours 2>errors.txt && fail "$1: no error"
    grep -qE "$3" errors.txt || { cat errors.txt >&2; fail "$1: not named"; }
    [ "$(grep -vc ' error$' ours)" -ge 500 ] || fail "$1: only $(wc -l <ours) files are left"
}

check gzip 25 -comp gzip -b 4096
check raw 25 -comp gzip -noI -noD -noF -noX

# table NUMBER: where that table is, by the superblock.
table()
{
    od -A n -t u8 -j $((48 + 8 * $1)) -N 8 image | tr -d ' '
}

pack -comp gzip -b 4096
"$fs_dump" image >whole 2>/dev/null
inodes=$(table 2)
directories=$(table 3)
# Somewhere in the long listing: the index knows where it goes on.
named "directory" $((directories + 9000)) \
    "directory inode .*: directory: block of metadata cannot be unpacked \(gzip\)"
missing=$(($(wc -l <whole) - $(wc -l <ours)))
[ "$missing" -gt 0 ] && [ "$missing" -lt 400 ] || fail "$missing names are missing"
named "inodes" $((inodes + 3000)) "inode [0-9]+: .*inode: block of metadata cannot be unpacked"
named "data" 500 "squashfs at offset 0x[0-9a-f]+: block of data .*cannot be unpacked \(gzip\)"

# A volume that ends early is not read, since its tables are at the end; but that is said.
head -c "$(($(table 0) - 10))" image >cut
expect_failure 1 'squashfs at offset 0x[0-9a-f]+: table of IDs' "$fs_dump" cut
