#!/bin/bash
# What a disk says never leads out of the directory that it is extracted to, never
# replaces what is there, and never makes programs that run as others.  Damage costs what
# is damaged.
source "$(dirname "$0")/common.sh"
need mke2fs debugfs python3 tar

# make FILE COMMAND...: a filesystem on which debugfs did that; without checksums, so
# that it can be tampered with.
make()
{
    local image=$1
    shift
    rm -f "$image" && truncate -s 8M "$image"
    mke2fs -q -F -t ext4 -b 1024 -O ^metadata_csum,^has_journal "$image"
    printf '%s\n' "$@" | debugfs -w -f - "$image" >debugfs.txt 2>&1 || { cat debugfs.txt >&2; fail debugfs; }
}

# rename FILE OLD NEW: of the same length, wherever it is.
rename()
{
    python3 - "$@" <<'END'
import sys
data = open(sys.argv[1], 'rb').read()
old, new = (s.encode() for s in sys.argv[2:])
assert old in data and len(old) == len(new)
open(sys.argv[1], 'wb').write(data.replace(old, new))
END
}

# untouched: nothing got out.
untouched()
{
    [ "$(find outside | xargs)" = "outside outside/keep" ] || fail "$1: $(find outside | xargs)"
    [ "$(cat outside/keep)" = "keep me" ] || fail "$1: a file outside was written to"
    [ "$(stat -c %a outside)" = 755 ] || fail "$1: mode of the directory outside"
}

mkdir outside
chmod 755 outside
echo "keep me" >outside/keep
echo "hostile" >payload
mkdir plain && echo payload >plain/file

# A link, then a directory of the same name, and the other way round.
make link-first "symlink evilA $TEST_DIR/outside" "mkdir evilB" "cd evilB" \
    "write payload keep" "write payload new"
rename link-first evilB evilA
make dir-first "mkdir evilB" "cd evilB" "write payload keep" "cd .." \
    "symlink evilA $TEST_DIR/outside"
rename dir-first evilB evilA
for image in link-first dir-first; do
    expect_failure 1 'evilA: cannot make' "$EMBR_IMG" extract $image / -C out-$image
    untouched $image
done

# A link to a file, then a file.
make link-file "symlink evilA $TEST_DIR/outside/keep" "write payload evilB"
rename link-file evilB evilA
expect_failure 1 'evilA: cannot create the file: File exists' \
    "$EMBR_IMG" extract link-file / -C out-file
untouched link-file

# Names that lead elsewhere are no names.
make dots "mkdir evilA" "cd evilA" "write payload x.keep" "write payload yy"
rename dots x.keep ../x..
rename dots yy ..
expect_failure 1 'name has a NUL or a slash' "$EMBR_IMG" extract dots /evilA -C out-dots
[ "$(find out-dots | xargs)" = "out-dots out-dots/evilA" ] || fail "names: $(find out-dots)"

# What is there already: a link in place of a directory, a file in place of a file.
make honest "mkdir etc" "cd etc" "write payload keep" "write payload other"
mkdir out-there && ln -s ../outside out-there/etc
expect_failure 1 'etc: cannot make the directory' "$EMBR_IMG" extract honest /etc -C out-there
untouched "a link that was there"
rm out-there/etc && mkdir out-there/etc && echo mine >out-there/etc/keep
expect_failure 1 'etc/keep: cannot create the file: File exists' \
    "$EMBR_IMG" extract honest /etc -C out-there
[ "$(cat out-there/etc/keep)" = mine ] || fail "a file that was there is replaced"
cmp out-there/etc/other payload || fail "its neighbour is missing"
expect_failure 1 'cannot use payload as a directory' "$EMBR_IMG" extract honest /etc -C payload

# An archive does not take the place of what it is made from.
cp honest honest.copy
ln honest another-name
for name in honest ./honest another-name; do
    expect_failure 1 "archive '$name' is a file of the image" "$EMBR_IMG" extract honest / -o $name
    same honest honest.copy "$name: the image"
done

# Names do not control the terminal that messages go to.
make escape "write payload eXil" "mkdir dXr"
python3 -c 'data = open("escape", "rb").read()
open("escape", "wb").write(data.replace(b"eXil", b"e\x1bil").replace(b"dXr", b"d\nr"))'
mkdir out-escape && touch out-escape/"$(printf 'e\033il')" out-escape/"$(printf 'd\nr')"
expect_failure 1 'e\\x1bil: cannot create the file' "$EMBR_IMG" extract escape / -C out-escape
grep -q 'd\\x0ar: cannot make the directory' .stderr || fail "a name with a line break"
"$EMBR_IMG" ls escape | grep -q "$(printf 'e\033il')" || fail "ls into a pipe shows names as they are"

# Without privileges: set-ID bits go with the owner.
make set-id "write payload suid" "sif suid mode 0106755" "sif suid uid 0" "sif suid gid 0" \
    "write payload mine" "sif mine mode 0104755" "sif mine uid 4711" "sif mine gid 4711"
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    as_user=(setpriv --reuid 4711 --regid 4711 --clear-groups)
    chmod 755 . && mkdir -m 777 user
    # The build may lie in a directory that only root can enter.
    mkdir -m 755 program && cp "$EMBR_IMG" "$EMBR_BUILD/libembr.so.0" program
    LD_LIBRARY_PATH=$PWD/program "${as_user[@]}" program/embr-img extract set-id / -C user/out 2>errors.txt ||
        { cat errors.txt >&2; fail "without privileges"; }
    [ "$(stat -c %a:%u user/out/suid)" = 755:4711 ] || fail "set-ID bits: $(stat -c %a user/out/suid)"
    [ "$(stat -c %a user/out/mine)" = 4755 ] || fail "set-ID bit of one's own"
    grep -q 'suid: belongs to another user; the set-user-ID bit is left out' errors.txt ||
        fail "no word of the set-user-ID bit"
    "$EMBR_IMG" extract set-id / -C as-root
    [ "$(stat -c %a:%u as-root/suid)" = 6755:0 ] || fail "set-ID bits as root"
    [ "$(stat -c %a:%u as-root/mine)" = 4755:4711 ] || fail "owner as root"
fi

# A disk that ends too early: what is beyond is zeroes, and said so; the rest is whole.
python3 -c 'import sys; sys.stdout.buffer.write(bytes(range(1, 251)) * 16000)' >big
make cut "write payload first" "write big big" "write payload last"
last=$(debugfs -R 'blocks /big' cut 2>/dev/null | tr ' ' '\n' | grep . | sort -n | tail -1)
truncate -s $((last * 1024 - 1024 * 1024)) cut
expect_failure 1 '/big: ' "$EMBR_IMG" cat cut /first /big /last
cmp <(head -c 8 .stdout) payload || fail "what came before"
[ "$(stat -c %s .stdout)" -lt 4000008 ] || fail "cat went on after damage"
for target in "-C damaged" "-o damaged.tar"; do
    # shellcheck disable=SC2086
    expect_failure 1 'big: what cannot be read becomes zeroes: ' "$EMBR_IMG" extract cut / $target
done
mkdir unpacked && tar -C unpacked -xf damaged.tar || fail "tar of a damaged disk"
for dir in damaged unpacked; do
    cmp $dir/first payload || fail "$dir: first"
    python3 - $dir/big <<'END' || fail "$dir: big"
import sys
have, want = open(sys.argv[1], 'rb').read(), open('big', 'rb').read()
cut = len(have.rstrip(b'\0'))
sys.exit(not (len(have) == len(want) and cut % 1024 == 0 and
              2500000 < cut < len(want) - 1000000 and have[:cut] == want[:cut]))
END
done

# A full disk ends it, and leaves no archive.
if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=1m tmpfs small 2>/dev/null; then
    on_exit "umount '$TEST_DIR/small'"
    make large "write big big"
    expect_failure 1 'cannot write to small/x.tar: No space' "$EMBR_IMG" extract large / -o small/x.tar
    [ ! -e small/x.tar ] || fail "half an archive is left"
    expect_failure 1 'cannot write to small/big: No space' "$EMBR_IMG" extract large / -C small
fi
