#!/bin/bash
# Flipped bits: no crash, no hang; what is not damaged is still listed, and an error is there for
# what is not.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/iso9660-common.sh"
need genisoimage

mkdir tree
python3 - <<'PYTHON'
import os
for i in range(25):
    os.mkdir('tree/dir-%d' % i)
    for k in range(40):
        with open('tree/dir-%d/a file with a long name %d' % (i, k), 'w') as file:
            file.write('%d %d' % (i, k) * (k * 3))
for i in range(1, 50):
    os.symlink('/'.join('part-%d' % k for k in range(i)), 'tree/dir-0/link-%d' % i)
os.makedirs('tree/1/2/3/4/5/6/7/8/9/10/11')
os.setxattr('tree/dir-1', 'user.value', b'value' * 100)
PYTHON

# check NAME ROUNDS: flips bits in descriptors, path tables and directories, which come first
check()
{
    python3 "$tests/damage.py" "$fs_dump" image unchecked "$2" 600000 || fail "$1"
}

pack image -R --xattr-any || fail "xorriso"
check rock 25
pack image --norock -J || fail "xorriso"
check joliet 10
rm tree/dir-0/link-*
pack_old image -R || fail "genisoimage"
check relocated 15
mkdir ztree
for i in 1 2 3; do seq $i 30000 >ztree/$i; done
xorriso -outdev zimage -map ztree / -find / -type f -exec set_filter --zisofs -- -commit \
    >xorriso.txt 2>&1 || { cat xorriso.txt >&2; fail "xorriso"; }
mv zimage image
python3 "$tests/damage.py" "$fs_dump" image unchecked 15 || fail "zisofs"

pack image -R || fail "xorriso"
"$fs_dump" image >whole 2>/dev/null
# place PATH: where its directory record is
place() { awk -v path="$1" '$1 == path { sub("ino=", "", $2); print $2 }' whole; }

# named WHAT AT PATTERN: a byte there is damaged; all but a few files are still listed.
named()
{
    cp image damaged
    printf '\xa5' | dd of=damaged bs=1 seek="$2" conv=notrunc status=none
    "$fs_dump" damaged >ours 2>errors.txt && fail "$1: no error"
    grep -qE "$3" errors.txt || { cat errors.txt >&2; fail "$1: not named"; }
    [ $(($(wc -l <whole) - $(grep -vc ' error$' ours))) -le "$4" ] ||
        fail "$1: only $(wc -l <ours) of $(wc -l <whole) files are left"
}

at=$(place 'dir-3/a%20file%20with%20a%20long%20name%207')
named block $((at + 3)) 'directory inode [0-9]+: .* the block is 0x[0-9a-f]+ in little-endian' 1
named size $((at + 14)) 'the size is 0x[0-9a-f]+ in little-endian' 1
named length "$at" 'directory record of 165 bytes with a name of|directory inode [0-9]+: .*(field|record)' 10
at=$(place dir-5)
named directory $((at + 5)) "dir-5: inode $at: .* the block is" 41
# The record of a folder in its parent is another one.
named 'root' $((32768 + 158)) "volume descriptor: the root's block is" 10000

# Cut off after the directories, and within.
for size in 300000 120000 60000 40000 33000; do
    head -c $size image >cut
    status=0
    "$fs_dump" cut >ours 2>errors.txt || status=$?
    [ "$status" = 1 ] && [ -s errors.txt ] || fail "cut to $size: exit status $status"
done
