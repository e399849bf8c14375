#!/bin/bash
# A folder of 100,000 names, and the size of a file of more than 4 GiB, which is in two pieces.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/iso9660-common.sh"
need genisoimage

echo content >file
# xorriso would need minutes.
seq -f 'many/name-%06.0f=file' 0 99999 >list.txt
timeout 100 genisoimage -quiet -R -iso-level 4 -o image -graft-points -path-list list.txt ||
    fail "genisoimage"
"$EMBR_IMG" ls -lR image / >ours || fail "ls"
[ "$(grep -c ' 8 .* /many/name-[0-9]*$' ours)" = 100000 ] || fail "$(wc -l <ours) names"
awk '{print $NF}' ours | LC_ALL=C sort -c || fail "the order of names"
for name in 000000 050000 099999; do
    [ "$("$EMBR_IMG" cat image /many/name-$name)" = content ] || fail "cat name-$name"
done
expect_failure 1 "no 'name-100000' in directory|no such file" "$EMBR_IMG" cat image /many/name-100000

python3 "$tests/iso9660-odd.py" odd pieces || fail "iso9660-odd.py"
[ "$("$EMBR_IMG" ls -l odd / | awk '{print $5, $NF}' | tr '\n' ' ')" = \
    '29 behind 4399822848 big 4101 small ' ] || fail "sizes of files in pieces"
xorriso -indev odd -find / -exec lsdl 2>/dev/null | grep -q "4399822848.*/BIG" || fail "xorriso: BIG"
