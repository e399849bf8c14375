#!/bin/bash
# blkdebug: errors and stops where they are asked for, and an image that is whole afterwards.
source "$(dirname "$0")/common.sh"
need qemu-img
EMBR_IO=${EMBR_IO:-$EMBR_BUILD/tools/embr-io}

filter()
{
    sed -E 's/; .*$//'
}

qemu-img create -q -f qcow2 a.qcow2 16M
cat >rules <<'END'
[set-state]
event = "write_aio"
state = "1"
new_state = "2"

[inject-error]          # the second write
event = "write_aio"
state = "2"
errno = "28"
once = "on"
END
"$EMBR_IO" -f qcow2 -c 'write -P 1 0 64k' -c 'write -P 2 64k 64k' -c 'write -P 3 128k 64k' \
    blkdebug:rules:a.qcow2 >out && fail "all writes succeeded"
[ "$(filter <out)" = 'wrote 65536/65536 bytes at offset 0
64 KiB, 1 ops
write failed: No space left on device
wrote 65536/65536 bytes at offset 131072
64 KiB, 1 ops' ] || fail "$(cat out)"
qemu-img check -q a.qcow2 || fail "check after a failed write"
"$EMBR_IO" -r -c 'read -P 1 0 64k' -c 'read -P 0 64k 64k' -c 'read -P 3 128k 64k' a.qcow2 >out ||
    fail "$(cat out)"

# A sector, a kind of request, an error by number; from the beginning, without an event.
"$EMBR_IO" -r -c 'read 0 512' -c 'read 512 1k' -c 'read 2k 512' \
    "json:{'driver':'raw','file':{'driver':'blkdebug','image':{'filename':'a.qcow2'},'inject-error':[{'event':'none','iotype':'read','sector':1,'errno':13}]}}" \
    >out && fail "no error"
[ "$(filter <out | grep failed)" = 'read failed: Permission denied' ] || fail "$(cat out)"

# Two writes: the first one stops, the second does not.
printf '%s\n' 'break write_aio A' 'aio_write -P 4 1M 64k' 'wait_break A' 'write -P 5 2M 64k' \
    'resume A' aio_flush 'resume A' |
    "$EMBR_IO" -f qcow2 blkdebug::a.qcow2 >out && fail "resumed twice"
[ "$(filter <out | sed 's/embr-io> //g' | grep -v ops)" = \
    'wrote 65536/65536 bytes at offset 2097152
wrote 65536/65536 bytes at offset 1048576
Could not resume request: No such file or directory' ] || fail "$(cat out)"
"$EMBR_IO" -r -c 'read -P 4 1M 64k' -c 'read -P 5 2M 64k' a.qcow2 >out || fail "$(cat out)"

# Limits: the disk is the same whatever requests are made of.
opts=driver=qcow2,file.driver=blkdebug,file.image.filename=a.qcow2,file.align=4096
opts+=,file.max-transfer=64k,file.opt-write-zero=16k,file.max-write-zero=32k,file.opt-discard=8k
"$EMBR_IO" -c 'write -P 6 5M 300k' -c 'write -z 5M 100k' -c 'discard 6M 1M' \
    -c 'read -P 0 5M 100k' -c 'read -P 6 5345280 200k' --image-opts "$opts" >out ||
    fail "$(cat out)"
qemu-img check -q a.qcow2 || fail "check"

expect_failure 1 'Cannot meet constraints with align 5' \
    "$EMBR_IO" --image-opts driver=qcow2,file.driver=blkdebug,file.image.filename=a.qcow2,file.align=5
echo '[nosuch]' >rules
expect_failure 1 'line 1: expected .inject-error. or .set-state.' "$EMBR_IO" blkdebug:rules:a.qcow2
