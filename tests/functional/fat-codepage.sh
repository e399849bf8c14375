#!/bin/bash
# Short names in code pages mean what Linux takes them for, mounted with that code page:
# all bytes of some, and pairs of bytes where these are characters.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/guest.sh"
need mkfs.fat python3

# fill.py PAGE: files in the root directory of the image, the names of which are all that can be.
cat >fill.py <<'PYTHON'
import struct, sys
boot = open('image', 'rb').read(512)
sector, per, reserved, fats, root = struct.unpack_from('<HBHBH', boot, 11)
length, = struct.unpack_from('<H', boot, 22)
names = [b'%c%c_%02X    ' % (b, b, b) for b in range(0x80, 0x100) if b != 0xe5]
names += [b'\x05\xe5_E5    ', b'LOW\x80\x8e\x9a  ']
if sys.argv[1] == '932':
    # From 0xf0 on there is what users define, which Linux does not show.
    first = list(range(0x81, 0xa0)) + list(range(0xe0, 0xf0))
    names = [b'PAIR%02X%c%c' % (a, a, b) for a in first for b in range(0x40, 0xfd, 11)]
    names += [b'\x93\xfa\x96\x7b\x8c\xea  ', b'HALF\xb1\xb2\x83\x41', b'ODD\x93 \x93  ']
entries = b''
for i, name in enumerate(names):
    case = 0x18 if name.startswith(b'LOW') else 0
    entries += struct.pack('<11sBB19s', name.ljust(11), 0x20, case, bytes(19))
assert len(entries) <= root * 32
with open('image', 'r+b') as image:
    image.seek((reserved + fats * length) * sector)
    image.write(entries)
PYTHON

pages="437 850 852 866 932"
disks=()
for page in $pages; do
    truncate -s 4M image
    mkfs.fat -F 12 -r 2048 image >mkfs.txt 2>&1 || { cat mkfs.txt >&2; fail mkfs.fat; }
    python3 fill.py "$page"
    mv image "$page.img"
    disks+=(-r "$page.img")
    "$EMBR_IMG" ls --fat-codepage "$page" "$page.img" / | sort >"$page.ours" || fail "$page: ls"
    [ "$(wc -l <"$page.ours")" -gt 120 ] || fail "$page: too few names"
done
"$EMBR_IMG" ls 437.img / | sort | cmp - 437.ours || fail "437 is not the default"
"$EMBR_IMG" ls 850.img / | sort | cmp -s - 850.ours && fail "850 is as the default"

# What else shows names or is given them.
grep -q '^日本語$' 932.ours || fail "932: a name is not there"
"$EMBR_IMG" cat --fat-codepage 932 932.img /日本語 >content || fail "cat"
[ ! -s content ] || fail "cat: $(<content)"
expect_failure 1 '日本語' "$EMBR_IMG" cat 932.img /日本語
"$EMBR_IMG" extract --fat-codepage 932 -C out 932.img /日本語 || fail "extract"
[ -f out/日本語 ] || fail "extract: $(ls -R out)"
"$EMBR_IMG" convert --fat-codepage 932 -O engram 932.img 932.engram || fail "convert"
python3 "$EMBR_SOURCE/tests/functional/engram_spec.py" files 932.engram >files.txt ||
    echo "the manifest is not read here"
[ ! -s files.txt ] || python3 - <<'PYTHON' || fail "the manifest"
import json
paths = {json.loads(line)['path'] for line in open('files.txt')}
assert '日本語' in paths, sorted(paths)[:9]
PYTHON
"$EMBR_IMG" convert --fat-codepage 932 -O raw 932.engram back.img || fail "convert back"
same back.img 932.img "the disk read back"
mkfs.fat -n LABELXYZ -C label.img 2000 >mkfs.txt 2>&1 || { cat mkfs.txt >&2; fail "label"; }
LC_ALL=C sed -i 's/LABELXYZ/\x84\x88\x91\x8a    /' label.img
"$EMBR_IMG" volumes --fat-codepage 866 --output=json label.img | grep -q '"label": "ДИСК"' ||
    fail "volumes"
expect_failure 1 'code page 37 is none' "$EMBR_IMG" ls --fat-codepage 37 437.img
expect_failure 1 'fat-codepage is -1' "$EMBR_IMG" ls --fat-codepage=-1 437.img

need_guest vfat nls_cp437 nls_cp850 nls_cp852 nls_cp866 nls_cp932
# shellcheck disable=SC2086
guest "${disks[@]}" -- $pages <<'SCRIPT'
devices=(/dev/ubd[a-z])
i=0
for page; do
    mount -t vfat -o "ro,utf8,codepage=$page" "${devices[i++]}" /mnt
    python3 -c 'import os; print("\n".join(sorted(os.listdir("/mnt"))))' >"$page.theirs"
    umount /mnt
done
SCRIPT
for page in $pages; do
    # Linux has a question mark for what means nothing.
    sed 's/\xef\xbf\xbd/?/g' "$page.ours" | sort >"$page.marks"
    sort "$page.theirs" >"$page.sorted"
    same "$page.marks" "$page.sorted" "$page: names, and those of Linux"
done
