#!/bin/bash
# convert: options, what is refused, and what is left when it fails. The source stays as
# it is through all of it.
source "$(dirname "$0")/common.sh"
need qemu-img qemu-io python3 cmp

random_file base.raw $((5 << 20)) 1
truncate -s 40M base.raw
qemu-img create -q -f qcow2 -o data_file=low.data -b base.raw -F raw low.qcow2 2>/dev/null
qemu-io -c 'write -P 5 6M 1M' low.qcow2 >/dev/null
qemu-img create -q -f qcow2 -b low.qcow2 -F qcow2 top.qcow2
qemu-io -c 'write -P 7 20M 2M' top.qcow2 >/dev/null
qemu-img create -q -f qcow2 snaps.qcow2 8M
qemu-io -c 'write -P 1 1M 1M' snaps.qcow2 >/dev/null
qemu-img snapshot -c 2 snaps.qcow2
qemu-io -c 'write -P 2 1M 1M' snaps.qcow2 >/dev/null
qemu-img snapshot -c other snaps.qcow2
qemu-io -c 'write -P 3 1M 1M' snaps.qcow2 >/dev/null
sources="base.raw low.qcow2 low.data top.qcow2 snaps.qcow2"
sha256sum $sources >before
qemu-img convert -O raw top.qcow2 expected.raw

# Options in all forms
"$EMBR_IMG" convert -qOraw top.qcow2 out.raw >out 2>&1
[ ! -s out ] || fail "-q prints something"
same expected.raw out.raw "-qOraw"
"$EMBR_IMG" convert top.qcow2 out.raw -f qcow2 -O raw -m 1 -W -S 64k -t writeback -T unsafe
same expected.raw out.raw "options behind the names"
"$EMBR_IMG" convert -p top.qcow2 out.raw >out 2>err
grep -q '100.0 %' err || fail "-p shows no progress"
[ ! -s out ] || fail "-p prints on stdout"
"$EMBR_IMG" convert --image-opts driver=qcow2,file.driver=file,file.filename=top.qcow2 out.raw
same expected.raw out.raw "--image-opts"
"$EMBR_IMG" convert -S 0 top.qcow2 out.raw
same expected.raw out.raw "-S 0"
[ "$(stat -c %b out.raw)" -ge $((40 << 11)) ] || fail "-S 0 leaves holes"
"$EMBR_IMG" convert -o preallocation=full -o preallocation=falloc top.qcow2 out.raw
same expected.raw out.raw "-o preallocation"
[ "$(stat -c %b out.raw)" -ge $((40 << 11)) ] || fail "preallocation=falloc leaves holes"
"$EMBR_IMG" convert -o preallocation=off top.qcow2 out.raw
[ "$(stat -c %b out.raw)" -lt $((20 << 11)) ] || fail "preallocation=off leaves no holes"
if dd if=base.raw of=direct.raw bs=4096 count=1 oflag=direct status=none 2>/dev/null; then
    for mode in none directsync; do
        "$EMBR_IMG" convert -T $mode -t $mode top.qcow2 direct.raw
        same expected.raw direct.raw "cache mode $mode"
    done
fi

# Into what is there: only what the source has is written.
head -c 50M /dev/zero | tr '\0' U >big.raw
"$EMBR_IMG" convert -n top.qcow2 big.raw
cmp -n $((40 << 20)) expected.raw big.raw || fail "-n"
[ "$(tail -c 10M big.raw | tr -d U | wc -c)" = 0 ] || fail "-n changed what is behind"
head -c 40M /dev/zero >zero.raw
"$EMBR_IMG" convert -n --target-is-zero top.qcow2 zero.raw
same expected.raw zero.raw "--target-is-zero"
head -c 41M /dev/zero | tr '\0' U >window.raw
"$EMBR_IMG" convert -n --target-image-opts top.qcow2 \
    driver=raw,offset=512k,size=40M,file.driver=file,file.filename=window.raw
cmp -n $((40 << 20)) -i 0:512k expected.raw window.raw || fail "--target-image-opts"

# Snapshots by ID before name, and by what is said
for which in 1:1 2:2 other:2 snapshot.id=1:1 snapshot.name=2:1 \
    snapshot.id=2,snapshot.name=other:2; do
    "$EMBR_IMG" convert -l "${which%:*}" snaps.qcow2 out.raw
    byte=$(od -An -tu1 -j $((1 << 20)) -N 1 out.raw)
    [ $byte = "${which##*:}" ] || fail "-l ${which%:*} is state $byte"
done
rm out.raw
for which in 3 snapshot.id=other snapshot.id=1,snapshot.name=other snapshot.uid=1; do
    expect_failure 1 "$which|'snapshot.uid'" "$EMBR_IMG" convert -l $which snaps.qcow2 out.raw
done
expect_failure 1 'base.raw: .*no internal snapshots' "$EMBR_IMG" convert -l 1 base.raw out.raw

# What there is not is refused by name.
refused()
{
    local pattern=$1
    shift
    expect_failure 1 "^embr-img: .*$pattern" "$EMBR_IMG" convert "$@"
    [ ! -e out ] || fail "something is left: convert $*"
}
rm -f out
refused "Unknown file format 'vmdk'" -O vmdk top.qcow2 out
refused "Unknown file format 'file'" -O file top.qcow2 out
refused 'Compression not supported for this file format' -c top.qcow2 out
refused "Backing file not supported for file format 'raw'" -B base.raw -F raw top.qcow2 out
refused 'Must specify image file name' base.raw
refused 'Invalid cache option: nonsense' -t nonsense top.qcow2 out
refused 'number of coroutines is between 1 and 16' -m 17 top.qcow2 out
refused 'Invalid number of coroutines' -m 0 top.qcow2 out
refused 'Valid sizes are multiples of 512 up to 16777216' -S 1000 top.qcow2 out
refused "'frob'" -o frob=1 top.qcow2 out
refused "'some'" -o preallocation=some top.qcow2 out
refused '-o has no effect when skipping image creation' -n -o preallocation=off top.qcow2 big.raw
refused '--target-is-zero requires use of -n' --target-is-zero top.qcow2 out
refused '--target-image-opts requires use of -n' --target-image-opts top.qcow2 driver=raw
refused "-n: images of format 'engram' are made anew" -n -O engram top.qcow2 out
refused "'out': No such file" -n top.qcow2 out
refused "'nowhere/out': No such file" top.qcow2 nowhere/out
refused "'.': .*directory" top.qcow2 .
refused 'the target has 1048576 bytes, the source 41943040' -n top.qcow2 \
    "$(truncate -s 1M small.raw; echo small.raw)"
refused "Unknown protocol 'nbd'" top.qcow2 nbd:localhost
mkfifo fifo
refused "'file' driver requires 'fifo' to be a regular file" top.qcow2 fifo

# The source, and whatever it reads, is no target.
ln -s base.raw link.raw
ln low.data hard.raw
for target in top.qcow2 low.qcow2 low.data base.raw link.raw hard.raw ./base.raw \
    file:top.qcow2; do
    for format in raw engram; do
        refused 'is a file of the source .*: it would be overwritten' -O $format \
            top.qcow2 $target
    done
    refused 'is a file of the source .*: it would be overwritten' -n top.qcow2 $target
done
refused 'is a file of the source' -n --target-image-opts top.qcow2 \
    driver=raw,file.driver=file,file.filename=link.raw

# Failures on the way leave no target, whether it was there or not.
python3 - <<'END'
# The cluster of the last byte is at an offset that no cluster has.
import struct
data = bytearray(open('top.qcow2', 'rb').read())
l1 = struct.unpack('>Q', data[40:48])[0]
l2 = struct.unpack('>Q', data[l1:l1 + 8])[0] & 0xfffffffffffe00
at = l2 + 8 * (639)
data[at:at + 8] = struct.pack('>Q', 1 << 63 | 0x30200)
open('damaged.qcow2', 'wb').write(data)
END
expect_failure 1 'damaged.qcow2' "$EMBR_IMG" convert damaged.qcow2 new.raw
[ ! -e new.raw ] || fail "a failed convert left its target"
cp expected.raw old.raw
expect_failure 1 'damaged.qcow2' "$EMBR_IMG" convert damaged.qcow2 old.raw
[ ! -e old.raw ] || fail "a failed convert left half of its target"
mkdir dir
ln -s dir/there.raw dangling.raw
expect_failure 1 'damaged.qcow2' "$EMBR_IMG" convert damaged.qcow2 dangling.raw
[ -L dangling.raw ] && [ ! -e dir/there.raw ] || fail "a failed convert through a link"
cp expected.raw kept.raw
expect_failure 1 'damaged.qcow2' "$EMBR_IMG" convert -n damaged.qcow2 kept.raw
[ -e kept.raw ] || fail "convert -n removed its target"

# No room
if [ "$(id -u)" = 0 ] && mkdir full && mount -t tmpfs -o size=4M none full 2>/dev/null; then
    on_exit "umount '$TEST_DIR/full'"
    for options in '-O raw' '-O engram' '-O raw -o preallocation=falloc'; do
        expect_failure 1 'full/out.*No space left on device' \
            "$EMBR_IMG" convert $options top.qcow2 full/out
        [ -z "$(ls -A full)" ] || fail "$options: no room, but $(ls -A full) is left"
    done
fi

# Signals
python3 - "$EMBR_IMG" <<'END' || fail "signals"
import os, signal, subprocess, sys, time
with open('large.raw', 'wb') as file:
    for i in range(200):
        file.write(os.urandom(1 << 20))

# A convert takes over what is ignored here, as by nohup(1).
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Starts a convert and sends it a signal when the target is there.
def interrupted(sig, *options, env=None):
    convert = subprocess.Popen([sys.argv[1], 'convert', '-m', '1', *options, 'large.raw',
                                'target'], stderr=subprocess.PIPE)
    while convert.poll() is None and not os.path.exists('target'):
        pass
    time.sleep(0.01)
    convert.send_signal(sig)
    _, err = convert.communicate()
    return convert.returncode, err.decode()

def until(sig, wanted):
    for _ in range(20):
        status, err = interrupted(sig)
        if wanted(status, err):
            return
        os.path.exists('target') and os.unlink('target')
    sys.exit('%s never came in time' % sig)

for sig in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
    until(sig, lambda status, err: status == -sig)
    if os.path.exists('target'):
        sys.exit('%s left the target' % sig)
until(signal.SIGUSR1, lambda status, err: status == 0 and '%' in err)
END
cmp large.raw target || fail "convert with SIGUSR1"

sha256sum $sources >after
same before after "the sources"
