#!/bin/bash
# Images of every kind into engrams and back, to the byte; what info, check, map and
# compare say of an engram; damaged engrams.
source "$(dirname "$0")/common.sh"
need qemu-img qemu-io python3 cmp
find_aio_modes

random_file base.raw 3000320 3
truncate -s 20M base.raw
qemu-img create -q -f qcow2 -b base.raw -F raw -o cluster_size=4k middle.qcow2
qemu-io -c 'write -P 1 4M 700k' -c 'write -z 1M 300k' -c 'write -c -P 2 8M 4k' \
    middle.qcow2 >/dev/null
qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 -o extended_l2=on top.qcow2 24M
qemu-io -c 'write -P 3 5M 5k' -c 'write -P 4 22M 1M' -c 'write -z 4M 64k' top.qcow2 >/dev/null
qemu-img convert -c -O qcow2 top.qcow2 zlib.qcow2
qemu-img convert -c -O qcow2 -o compression_type=zstd top.qcow2 zstd.qcow2
qemu-img create -q -f qcow2 snap.qcow2 3M
qemu-io -c 'write -P 8 1M 1M' snap.qcow2 >/dev/null
qemu-img snapshot -c one snap.qcow2
qemu-io -c 'write -P 9 1M 2M' snap.qcow2 >/dev/null
qemu-img create -q -f qcow2 sparse.qcow2 100G
qemu-io -c 'write -P 6 99G 128k' sparse.qcow2 >/dev/null
: >empty.raw
printf x >tiny.raw

# stored IMAGE [CONVERT-OPTION...]: as an engram it is the same disk.
stored()
{
    local image=$1
    shift
    rm -f e.engram got.raw
    "$EMBR_IMG" convert "$@" -O engram "$image" e.engram
    "$EMBR_IMG" check -q e.engram || fail "$image: check"
    qemu-img convert "$@" -O raw "$image" expected.raw
    "$EMBR_IMG" convert -O raw e.engram got.raw
    same expected.raw got.raw "$image, $aio"
    rm got.raw
    "$EMBR_IMG" compare -q expected.raw e.engram || fail "$image, $aio: compare"
    "$EMBR_IMG" compare -q -f engram e.engram expected.raw || fail "$image, $aio: compare"
    "$EMBR_IMG" info --output=json e.engram >info.json
    "$EMBR_IMG" map --output=json e.engram >map.json
    python3 - "$(stat -c %s expected.raw)" <<'END' || fail "$image: info or map"
import json, sys
size = int(sys.argv[1])
info, entries = (json.load(open(name)) for name in ('info.json', 'map.json'))
assert info['format'] == 'engram' and info['virtual-size'] == size, info
image = info['format-specific']['data']['images'][0]
assert image['virtual-size'] == size and len(image['root-digest']) == 64, image
with open('expected.raw', 'rb') as disk:
    at = 0
    for entry in entries:
        assert entry['start'] == at, entry
        assert entry['data'] != entry['zero'] or size == 0, entry
        if entry['zero'] and entry['length'] < 1 << 30:
            disk.seek(at)
            assert not any(disk.read(entry['length'])), entry
        at += entry['length']
assert at == size
END
    rm expected.raw
}

for aio in $AIO_MODES; do
    export EMBR_AIO=$aio
    for image in base.raw middle.qcow2 top.qcow2 zlib.qcow2 zstd.qcow2 snap.qcow2 \
        empty.raw tiny.raw; do
        stored $image
    done
    stored snap.qcow2 -l one
done
unset EMBR_AIO

# More effort makes it smaller, and it is the same disk.
for effort in fast balanced max; do
    "$EMBR_IMG" convert -O engram -o effort=$effort base.raw $effort.engram
    "$EMBR_IMG" check -q $effort.engram
    "$EMBR_IMG" compare -q base.raw $effort.engram
done

# A large disk with little in it
"$EMBR_IMG" convert -O engram sparse.qcow2 sparse.engram
"$EMBR_IMG" check -q sparse.engram
"$EMBR_IMG" compare -q sparse.qcow2 sparse.engram
"$EMBR_IMG" convert -O raw sparse.engram sparse.raw
[ "$(stat -c %b sparse.raw)" -lt 1000 ] || fail "zeroes of a large disk were written"
"$EMBR_IMG" compare -q sparse.qcow2 sparse.raw
rm sparse.raw

# Engrams of one content are equal, whatever they were made of.
"$EMBR_IMG" convert -O engram top.qcow2 a.engram
"$EMBR_IMG" convert -c -O engram -o image=disk zstd.qcow2 b.engram
[ "$("$EMBR_IMG" compare a.engram b.engram)" = 'Images are identical.' ] || fail "equal engrams"
"$EMBR_IMG" convert -O engram middle.qcow2 c.engram
different=0
"$EMBR_IMG" compare -q a.engram c.engram || different=$?
[ $different = 1 ] || fail "different engrams: compare exits with $different"
"$EMBR_IMG" info b.engram >out
grep -q 'name: disk$' out || fail "-o image"
expect_failure 1 'compressed clusters' "$EMBR_IMG" map a.engram
expect_failure 1 "'colour'" "$EMBR_IMG" convert -O engram -o colour=red top.qcow2 d.engram
[ ! -e d.engram ] || fail "an option that is wrong left an engram"

# An engram is no target for itself, and what is there stays when the source fails.
sha256sum a.engram >before
expect_failure 1 'is a file of the source' "$EMBR_IMG" convert -O engram a.engram a.engram
expect_failure 1 'is a file of the source' "$EMBR_IMG" convert -O raw a.engram a.engram
sha256sum a.engram >after
same before after "an engram that is its own target"

# Damage is found; what is read is right, or an error.
qemu-img convert -O raw top.qcow2 expected.raw
python3 - "$EMBR_IMG" <<'END' || fail "damaged engrams"
import filecmp, os, random, subprocess, sys

img = sys.argv[1]
data = open('a.engram', 'rb').read()
random.seed(1)
found = 0

def run(*args):
    done = subprocess.run([img, *args], capture_output=True, timeout=60)
    assert 0 <= done.returncode < 64, (args, done)
    return done.returncode, done.stderr.decode()

def attempt(content, what):
    global found
    with open('damaged.engram', 'wb') as file:
        file.write(content)
    if os.path.exists('out.raw'):
        os.unlink('out.raw')
    status, err = run('convert', '-f', 'engram', '-O', 'raw', 'damaged.engram', 'out.raw')
    if status == 0:
        assert filecmp.cmp('out.raw', 'expected.raw', shallow=False), what + ': wrong data'
    else:
        assert status == 1 and 'damaged.engram' in err, (what, status, err)
        assert not os.path.exists('out.raw'), what + ': a target is left'
    checked, check_err = run('check', '-q', '-f', 'engram', 'damaged.engram')
    assert checked in (0, 1, 2), (what, checked)
    assert status == 0 or checked != 0, (what, 'check finds nothing', err)
    found += checked != 0
    run('info', 'damaged.engram')

for i in range(150):
    at = random.randrange(len(data)) if i % 3 else random.randrange(12288)
    bad = bytearray(data)
    bad[at] ^= 1 << random.randrange(8)
    attempt(bad, 'byte %d' % at)
for i in range(30):
    attempt(data[:random.randrange(len(data))], 'cut')
assert found > 60, found
END
