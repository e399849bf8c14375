#!/bin/bash
# A folder of 100,000 names, and a file that is longer than 32 bits tell, most of it a hole.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/squashfs-common.sh"

mkdir tree tree/many
python3 - <<'PYTHON'
import os
for i in range(100000):
    os.symlink('%d' % i, 'tree/many/%s-%d' % ('nameNAMEname'[:i % 12], i))
PYTHON
truncate -s 4100M tree/hole
printf end >>tree/hole
printf begin | dd of=tree/hole conv=notrunc status=none
pack -comp gzip -Xcompression-level 1 || fail "mksquashfs"

# fs-dump looks up each name, too.
dump_ours ours || fail "fs-dump"
[ "$(grep -c '^many/' ours)" = 100000 ] || fail "there are $(grep -c ^many/ ours) names"
awk '$1 ~ /^many\// && "target=" substr($1, index($1, "-") + 1) != $NF' ours >odd
[ ! -s odd ] || { head -3 odd >&2; fail "targets"; }
rm -r tree/many
want=$(python3 "$tests/fs-tree.py" dump tree | awk '$1 == "hole" { print $NF }')
grep -q "^hole .* size=4299161603 .* $want\$" ours ||
    { grep ^hole ours >&2; fail "a long hole: expected $want"; }
allocated=$(awk '$1 == "hole" { for (i = 2; i <= NF; i++) if (sub(/^allocated=/, "", $i)) print $i }' ours)
[ "$allocated" -lt 1000000 ] || fail "the hole takes $allocated bytes"
expect_failure 1 "no 'many/no such name'|no 'no such name' in directory|no such name" \
    "$EMBR_IMG" cat image "/many/no such name"
