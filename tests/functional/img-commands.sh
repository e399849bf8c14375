#!/bin/bash
# The command line: help, mistakes, exit codes, and what info, check, map and compare
# print, which is what qemu-img prints.
source "$(dirname "$0")/common.sh"
need qemu-img qemu-io python3

# succeeds PATTERN COMMAND...: exits with 0 and prints a line like that.
succeeds()
{
    local pattern=$1
    shift
    "$@" >out || fail "exits with $?: $*"
    grep -qE -e "$pattern" out || fail "prints no line like '$pattern': $*"
}

truncate -s 1M a.raw
succeeds 'Usage' "$EMBR_IMG" --help
succeeds '^  convert ' "$EMBR_IMG" -h
succeeds '^embr-img version [0-9]' "$EMBR_IMG" --version
succeeds '^embr-img version [0-9]' "$EMBR_IMG" -V
for command in check compare convert info map; do
    succeeds "embr-img $command .*FILENAME" "$EMBR_IMG" $command --help
    succeeds '--format=FMT' "$EMBR_IMG" $command -h
done

# Mistakes are named, with the program's name before it and how to get help behind.
expect_failure 1 '^embr-img: Not enough arguments' "$EMBR_IMG"
expect_failure 1 '^embr-img: Command not found: frobnicate' "$EMBR_IMG" frobnicate
expect_failure 1 "^Try 'embr-img --help' for more information" "$EMBR_IMG" frobnicate
expect_failure 1 '^embr-img: Unknown option --bogus' "$EMBR_IMG" --bogus
expect_failure 1 '^embr-img: Expecting one image file name' "$EMBR_IMG" info
expect_failure 1 "^Try 'embr-img info --help' for more information" "$EMBR_IMG" info
expect_failure 1 '^embr-img: Expecting one image file name' "$EMBR_IMG" info a.raw b.raw
expect_failure 1 '^embr-img: Unknown option --bogus' "$EMBR_IMG" info --bogus a.raw
expect_failure 1 '^embr-img: Unknown option -Z' "$EMBR_IMG" info -UZ a.raw
expect_failure 1 '^embr-img: Missing argument for -f' "$EMBR_IMG" info a.raw -f
expect_failure 1 "Could not open 'none': No such file" "$EMBR_IMG" info none
expect_failure 1 "'a.raw': Unknown driver 'vmdk'" "$EMBR_IMG" info -f vmdk a.raw
expect_failure 1 "'a.raw': Image is not in qcow2 format" "$EMBR_IMG" info -fqcow2 a.raw
expect_failure 1 "'xml' is neither human nor json" "$EMBR_IMG" info --output=xml a.raw
expect_failure 1 'mutually exclusive' "$EMBR_IMG" info --image-opts -f raw driver=raw
expect_failure 1 "'driver'|'file'" "$EMBR_IMG" info --image-opts driver=raw
expect_failure 1 'Invalid source cache option: nonsense' "$EMBR_IMG" check -T nonsense a.raw
expect_failure 1 "'1Q' is no size" "$EMBR_IMG" map --start-offset=1Q a.raw
expect_failure 1 "'some' is neither leaks nor all" "$EMBR_IMG" check -r some a.raw
expect_failure 63 'does not support checks' "$EMBR_IMG" check -r all a.raw
expect_failure 63 'This image format does not support checks' "$EMBR_IMG" check -q a.raw
expect_failure 1 'No such file' "$EMBR_IMG" check none
expect_failure 2 'Expecting two image file names' "$EMBR_IMG" compare a.raw
expect_failure 2 'No such file' "$EMBR_IMG" compare a.raw none
expect_failure 2 'No such file' "$EMBR_IMG" compare -q none a.raw
expect_failure 2 "Unknown driver 'vmdk'" "$EMBR_IMG" compare -F vmdk a.raw a.raw
expect_failure 1 "EMBR_AIO: 'nonsense' is none of" env EMBR_AIO=nonsense "$EMBR_IMG" info a.raw
if [ -w /dev/full ]; then
    expect_failure 1 'cannot write to standard output: No space' \
        sh -c '"$0" info a.raw >/dev/full' "$EMBR_IMG"
fi
cp a.raw ./-odd
succeeds 'image: -odd' "$EMBR_IMG" info -- -odd
succeeds 'image: ./-odd' "$EMBR_IMG" info ./-odd -f raw
name=$(printf 'not\xffutf8.raw')
cp a.raw "$name"
"$EMBR_IMG" info --output=json "$name" | python3 -c 'import json, sys; json.load(sys.stdin)'
ln -s "$EMBR_IMG" other-name
expect_failure 1 '^other-name: Not enough' ./other-name

# Images with everything that is shown.
qemu-img create -q -f qcow2 base.qcow2 10M
qemu-io -c 'write -P 1 1M 3M' -c 'write -c -P 2 5M 64k' -c 'write -z 6M 64k' \
    base.qcow2 >/dev/null
for name in first 'a second one with a long name'; do
    qemu-img snapshot -c "$name" base.qcow2
done
qemu-img bitmap --add base.qcow2 one
qemu-img bitmap --add --disable -g 512 base.qcow2 two
mkdir sub
qemu-img create -q -f qcow2 -b ../base.qcow2 -F qcow2 sub/top.qcow2 12M
qemu-io -c 'write -P 3 2M 200k' -c 'write -P 3 11M 64k' sub/top.qcow2 >/dev/null
qemu-img create -q -f qcow2 -o data_file=x.data,data_file_raw=on,lazy_refcounts=on \
    data.qcow2 1000k
qemu-img create -q -f qcow2 -o compat=0.10,cluster_size=512 old.qcow2 1M
qemu-img create -q -f qcow2 -o extended_l2=on sub.qcow2 1M
truncate -s 1T huge.raw
: >empty.raw

# What qemu-img 7.2 prints, to the byte; other versions add to it.
exact=
case $(qemu-img --version) in
*' 7.2.'*) exact=1 ;;
esac

# agree COMMAND...: the same output, to the byte, and exit status as qemu-img's.
agree()
{
    local ours=0 theirs=0
    "$EMBR_IMG" "$@" >out 2>err || ours=$?
    qemu-img "$@" >ref 2>ref.err || theirs=$?
    [ $ours = $theirs ] || fail "exit status $ours, qemu-img's is $theirs: $*"
    [ -z "$exact" ] || same ref out "$*"
}

for image in base sub/top data old sub huge empty; do
    file=$(echo $image.*)
    for command in info map check; do
        agree $command $file
        agree $command --output=json $file
    done
    agree check -q $file
    agree info --backing-chain $file
    agree info --backing-chain --output=json $file
    agree info -U --image-opts driver=${file##*.},file.driver=file,file.filename=$file
done
agree map --output=json --start-offset=1M --max-length=100k base.qcow2
agree map --output=json --start-offset=900M base.qcow2
agree map -f raw base.qcow2
for options in '' -s -q '-f qcow2 -F qcow2' -U; do
    agree compare $options base.qcow2 sub/top.qcow2
    agree compare $options base.qcow2 base.qcow2
done
agree compare old.qcow2 sub.qcow2
cp base.qcow2 other.qcow2
qemu-io -c 'write -P 9 9000k 1k' other.qcow2 >/dev/null
agree compare base.qcow2 other.qcow2
agree compare other.qcow2 base.qcow2

# A compressed cluster that is damaged: the exit status of compare says reading failed.
python3 - <<'END'
import struct
data = bytearray(open('base.qcow2', 'rb').read())
l1 = struct.unpack('>Q', data[40:48])[0]
l2 = struct.unpack('>Q', data[l1:l1 + 8])[0] & 0xfffffffffffe00
at = l2 + 8 * (5 << 20 >> 16)
offset = struct.unpack('>Q', data[at:at + 8])[0] & ((1 << 54) - 1)
data[offset:offset + 20] = b'\xff' * 20
open('damaged.qcow2', 'wb').write(data)
END
agree compare -q base.qcow2 damaged.qcow2
[ "$(head -1 err | cut -c1-9)" = embr-img: ] || fail "no message of a read that failed"
"$EMBR_IMG" compare -p base.qcow2 base.qcow2 >out 2>err
[ "$(cat out)" = 'Images are identical.' ] || fail "progress is on stdout"
grep -q '100.0 %' err || fail "no progress"
