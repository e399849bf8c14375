#!/bin/bash
# The files of two images compared: against a comparison of the trees that they were made
# of, in all pairs of formats, with what was moved and what was moved and edited.
source "$(dirname "$0")/common.sh"
need mke2fs sfdisk qemu-img python3

tests=$EMBR_SOURCE/tests/functional

python3 "$tests/diff-trees.py"
for tree in a b; do
    truncate -s 30M $tree.fs
    E2FSPROGS_FAKE_TIME=1000000000 mke2fs -q -F -t ext4 -b 1024 -N 1024 -d $tree $tree.fs </dev/null
    truncate -s 32M $tree.raw
    printf 'label: gpt\nstart=2048, size=61440\n' | sfdisk -q $tree.raw
    dd if=$tree.fs of=$tree.raw bs=1M seek=1 conv=notrunc,sparse status=none
    qemu-img convert -O qcow2 $tree.raw $tree.qcow2
    "$EMBR_IMG" convert -O engram $tree.raw $tree.engram
done

# differ STATUS ARGUMENT...: JSON in out.json
differ()
{
    local status=$1 got=0
    shift
    "$EMBR_IMG" diff --output=json "$@" >out.json 2>stderr || got=$?
    [ "$got" = "$status" ] || { cat stderr >&2; fail "diff $*: exit status $got"; }
    [ ! -s stderr ] || { cat stderr >&2; fail "diff $*: says something"; }
}

# check PREFIX WHAT: out.json has what differs between the trees, with paths below PREFIX
check()
{
    python3 "$tests/diff-check.py" out.json "$1" || fail "$2"
}

# python WHAT: the program on standard input
python()
{
    python3 - || fail "$1"
}

differ 1 a.engram b.engram
check /p1 "engrams"
cp out.json engrams.json
find_aio_modes
for mode in $AIO_MODES; do
    EMBR_AIO=$mode differ 1 a.raw b.qcow2
    same out.json engrams.json "$mode: raw and qcow2"
done
differ 1 a.engram b.raw
same out.json engrams.json "engram and raw"
differ 1 a.qcow2 b.engram
same out.json engrams.json "qcow2 and engram"
differ 1 a.fs b.fs
check "" "bare filesystems"
differ 1 a.fs b.engram:/p1
python "a bare filesystem and a part" <<'END'
import json
found = json.load(open('out.json'))
assert len(found) == len(json.load(open('engrams.json')))
assert {c['after']['path'].split('/')[1] for c in found if 'after' in c} == {'p1'}
END

# The same is the same, whatever it is in.
for pair in "a.engram a.raw" "a.qcow2 a.raw" "a.raw:/p1 a.fs" "a.engram a.engram"; do
    differ 0 $pair
    [ "$(tr -d ' \n' <out.json)" = "[]" ] || fail "$pair: $(cat out.json)"
done

# Parts of images: a directory, a file, a file by two of its names.
differ 1 a.engram:/p1/usr/share/d1 b.raw:/p1/usr/share/d1
cp out.json part.json
differ 1 a.raw:/p1//usr/share/d1/ b.engram:/p1/usr/share/d1
same out.json part.json "a directory, formats the other way round"
python "a directory" <<'END'
import json
part = json.load(open('part.json'))
files = [f for c in part for f in (c.get('before'), c.get('after')) if f]
assert len(part) > 5
assert all(f['path'].startswith('/p1/usr/share/d1/') for f in files), files
assert any(c.get('changed') == ['mtime'] and c['after']['path'].endswith('/f188') for c in part)
END
differ 0 a.engram:/p1/usr/share/d6/f193 b.engram:/p1/usr/share/d6/f193
differ 1 a.engram:/p1/etc/grows b.engram:/p1/etc/grows
python "a file" <<'END'
import json
[change] = json.load(open('out.json'))
assert change['kind'] == 'modified' and change['after']['path'] == '/p1/etc/grows', change
END
differ 0 a.engram:/p1/links/second a.raw:/p1/links/first

# Two snapshots in one file.
cp a.qcow2 both.qcow2
qemu-img snapshot -c before both.qcow2
qemu-img convert -n -O qcow2 b.raw both.qcow2
qemu-img snapshot -c after both.qcow2
differ 1 -l before -L after both.qcow2 both.qcow2
same out.json engrams.json "snapshots"
differ 0 -L after both.qcow2 both.qcow2

# diff_to FILE ARGUMENT...: as people see it
diff_to()
{
    local out=$1 got=0
    shift
    "$EMBR_IMG" diff "$@" >"$out" 2>stderr || got=$?
    [ $got = 1 ] || { cat stderr >&2; fail "diff $*: exit status $got"; }
}

# has_line PATTERN: lines has it
has_line()
{
    grep -qE "^$1\$" lines || fail "no line '$1': $(head -n 5 lines)"
}

diff_to lines a.engram b.engram
python "a line for each" <<'END'
import json
assert len(list(open('lines'))) == len(json.load(open('engrams.json')))
END
has_line 'm       /p1/usr/share/d1/f188 \(mtime\)'
has_line 'M       /p1/etc/link \(target\)'
has_line 'R 0\.[5-9][0-9]{2} /p1/usr/lib/large -> /p1/usr/lib/larger'
has_line 'R 1\.000 /p1/usr/share/d3/f3 -> /p1/usr/share/moved/f3'
has_line 'T       /p1/etc/becomes-dir \(a regular file -> a directory\)'
has_line 'M 0\.[0-9]{3} /p1/usr/share/d0/f170'
has_line 'A       /p1/usr/share/new/n0'
has_line 'D       /p1/usr/share/d14/f150'
diff_to stat.json --stat --output=json a.engram b.engram
diff_to stat.txt --stat a.engram b.engram
python "--stat" <<'END'
import json
changes, stat = json.load(open('engrams.json')), json.load(open('stat.json'))
for kind, total in stat.items():
    of_kind = [c.get('after') or c['before'] for c in changes if c['kind'] == kind]
    assert total == {'files': len(of_kind), 'bytes': sum(
        f['size'] for f in of_kind if f['type'] == 'regular')}, kind
assert f"renamed {stat['renamed']['files']:17} files" in open('stat.txt').read()
END
diff_to quiet -q a.engram b.engram
[ ! -s quiet ] || fail "-q prints"
differ 1 --no-renames a.engram b.engram
! grep -q renamed out.json || fail "--no-renames"
differ 1 --min-similarity 1 a.engram b.engram
python "--min-similarity" <<'END'
import json
assert all('content' not in c.get('changed', []) for c in json.load(open('out.json'))
           if c['kind'] == 'renamed')
END
diff_to progress -p a.raw b.raw
grep -q 'reading files' stderr || fail "-p: $(cat stderr)"

# Volumes that are only in one of them.
truncate -s 64M two.raw
printf 'label: gpt\nstart=2048, size=61440\nstart=63488, size=61440\n' | sfdisk -q two.raw
dd if=a.fs of=two.raw bs=1M seek=1 conv=notrunc,sparse status=none
dd if=b.fs of=two.raw bs=1M seek=31 conv=notrunc,sparse status=none
differ 1 --no-renames a.engram two.raw
python "a volume more" <<'END'
import json
changes = json.load(open('out.json'))
assert changes[0]['kind'] == 'added' and changes[0]['after']['path'] == '/p2', changes[0]
assert {(c['kind'], c['after']['path'][:3]) for c in changes} == {('added', '/p2')}
END
differ 1 two.raw:/p1 two.raw:/p2

# What makes no sense, and what is not there.
expect_failure 2 'Expecting two image file names' "$EMBR_IMG" diff a.engram
expect_failure 2 'nowhere' "$EMBR_IMG" diff a.engram nowhere
expect_failure 2 'nowhere' "$EMBR_IMG" diff a.engram:/p1/nowhere b.engram:/p1/etc
expect_failure 2 'a.engram has partitions: a path is needed' "$EMBR_IMG" diff a.engram b.engram:/p1
expect_failure 2 "'nobody'" "$EMBR_IMG" diff -l nobody a.engram b.engram
expect_failure 2 'min-similarity' "$EMBR_IMG" diff --min-similarity 2 a.engram b.engram
expect_failure 2 'mutually exclusive' "$EMBR_IMG" diff --image-opts -f raw a.raw b.raw

# A file that cannot be read is not taken for the same.
need debugfs
cp a.fs cut.fs
debugfs -w -R 'set_inode_field /usr/share/d6/f193 block[5] 0xffffff' cut.fs 2>/dev/null
expect_failure 2 'f193 cannot be read in full' "$EMBR_IMG" diff a.fs cut.fs
grep -q '^?.* /usr/share/d6/f193' .stdout || fail "damage: $(cat .stdout)"

# Damaged pages: one error.
python3 "$tests/engram_spec.py" objects b.engram >objects ||
    { [ $? = 77 ] && skip "no libzstd or libxxhash"; fail objects; }
for type in 7 8 9; do
    offset=$(awk -v type=$type '$2 == type { print $1; exit }' objects)
    [ -n "$offset" ] || fail "no object of type $type"
    cp b.engram bad.engram
    printf '\xa5\x5a\xa5' | dd of=bad.engram bs=1 seek=$((offset + 64)) conv=notrunc status=none
    expect_failure 2 'bad.engram: .*offset 0x' "$EMBR_IMG" diff a.engram bad.engram
    [ "$(wc -l <.stderr)" = 1 ] || { cat .stderr >&2; fail "more than one error"; }
    [ ! -s .stdout ] || fail "output in spite of an error"
done
