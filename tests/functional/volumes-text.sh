#!/bin/bash
# What `volumes` prints for people, from any kind of image, and its warnings.
source "$(dirname "$0")/common.sh"
need sfdisk python3 qemu-img

truncate -s 64M gpt
sfdisk -q gpt <<'END'
label: gpt
label-id: 12345678-1234-1234-1234-123456789ABC
first-lba: 34
start=40, size=8, type=21686148-6449-6E6F-744E-656564454649
7 : start=40960, size=4096, type=L, name="home"
start=2048, size=4096, type=U
END
cat >expected <<'END'
partition table: gpt
disk id: 12345678-1234-1234-1234-123456789abc
sector size: 512
Number    Offset     Size         Filesystem  Label  UUID  Type
p1         20480     4096  4 KiB  -           -      -     BIOS boot
p2       1048576  2097152  2 MiB  -           -      -     EFI System
p7      20971520  2097152  2 MiB  -           -      -     Linux filesystem
END
"$EMBR_IMG" volumes gpt >text
same text expected "a table"
qemu-img convert -O qcow2 gpt gpt.qcow2
"$EMBR_IMG" volumes gpt.qcow2 >text
same text expected "a table in qcow2"

# With a filesystem, whose label may be anything.
truncate -s 2M swap
mkswap -L größe -U 87654321-4321-4321-4321-cba987654321 swap >mkswap.txt 2>&1
dd if=swap of=gpt bs=512 seek=2048 conv=notrunc status=none
printf 'a\033[31m\tb' | dd of=gpt bs=1 seek=$((2048 * 512 + 1052)) conv=notrunc status=none
"$EMBR_IMG" volumes gpt | grep -qE \
    '^p2 +1048576 +2097152 +2 MiB  swap +a\?\[31m\?b +87654321-4321-4321-4321-cba987654321  EFI System$' ||
    fail "a label with control characters: $("$EMBR_IMG" volumes gpt | cat -v)"

truncate -s 64M dos
echo 'start=2048, size=2048, type=83, bootable' | sfdisk -q -X dos dos
"$EMBR_IMG" volumes dos | grep -qE '^p1 .* Linux \(boot\)$' || fail "a partition to boot from"

# A damaged table is read from its copy, with a warning, which JSON has, too.
cp gpt damaged
printf x | dd of=damaged bs=1 seek=520 conv=notrunc status=none
"$EMBR_IMG" volumes --output=json damaged >damaged.json 2>errors.txt || fail "damaged"
grep -q '^embr-img: warning: damaged: ' errors.txt || fail "no warning"
python3 -c 'import json
table = json.load(open("damaged.json"))
assert len(table["warnings"]) == 1 and len(table["volumes"]) == 3, table' || fail "JSON"

# An internal snapshot has the table that it was made with.
qemu-img snapshot -c before gpt.qcow2
qemu-img convert -n -O qcow2 dos gpt.qcow2 2>convert.txt || cat convert.txt
"$EMBR_IMG" volumes -l before gpt.qcow2 >text
same text expected "a snapshot"

expect_failure 1 'Expecting one image file name' "$EMBR_IMG" volumes
expect_failure 1 'nothing' "$EMBR_IMG" volumes nothing
