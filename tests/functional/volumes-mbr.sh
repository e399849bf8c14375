#!/bin/bash
# Master boot records made by sfdisk: what embr-img says of them is what sfdisk says.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/volumes-common.sh"
need sfdisk

# table: from an sfdisk script on stdin
table()
{
    sfdisk -q disk >sfdisk.txt 2>&1 || {
        cat sfdisk.txt >&2
        fail "sfdisk failed"
    }
}

check()
{
    volumes table.json
    no_warnings table.json
    as_sfdisk table.json
}

new_disk 64M
table <<<"label: dos"
check

table <<'END'
label: dos
label-id: 0x1
3: start=2048, size=4096, type=83
1: start=20480, size=2048, type=c, bootable
4: start=8192, size=1, type=82
END
check

for type in 5 f 85; do
    new_disk 64M
    table <<END
label: dos
label-id: 0xdeadbeef
2: start=2048, size=100000, type=$type
4: start=110000, size=100, type=7
5: start=4096, size=2048, type=83
6: start=8192, size=4096, type=82, bootable
7: start=20000, size=20000, type=8e
8: start=60000, size=1000, type=fd
END
    check
done

# Logical partitions whose chain goes back and forth.
sfdisk -q --delete disk 6
check
echo 'start=10000, size=1000, type=83' | sfdisk -q --append disk
check
[ "$(grep -c '"number"' table.json)" = 6 ] || fail "not all of 6 partitions"

# As many as fit.
new_disk 64M
python3 -c 'print("label: dos\n1: start=2048, size=120000, type=5")
for i in range(55):
    print(f"{i + 5}: start={2100 + i * 200}, size={i + 1}, type=83")' | table
check
[ "$(grep -c '"number"' table.json)" = 56 ] || fail "not all of 56 partitions"

# A disk whose end is missing.
cp table.json good.json
truncate -s 6M disk
volumes table.json
warns table.json 'partition 1 .* reaches past the end of the disk'
python3 - <<'END' || fail "not the partitions before the cut"
import json
good, cut = (json.load(open(name))['volumes'] for name in ('good.json', 'table.json'))
assert good[:len(cut)] == cut and 40 < len(cut) < len(good), len(cut)
END

# Nothing, less than a sector, a filesystem without a table.
for size in 0 1 511 512 1M; do
    new_disk "$size"
    volumes table.json
    no_warnings table.json
    grep -q '"type": "none"' table.json || fail "a table on a disk of $size zeroes"
done
if command -v mkfs.fat >/dev/null; then
    new_disk 4M
    mkfs.fat disk >/dev/null
    volumes table.json
    no_warnings table.json
    grep -q '"number": 0' table.json || fail "a FAT filesystem has partitions"
fi
