#!/bin/bash
# Several images in one engram: added one by one, each exact; what is refused; whatever
# ends the work, the images that were there stay.
source "$(dirname "$0")/common.sh"
need mke2fs python3 cmp
find_aio_modes

# Three disks that have much in common.
mkdir tree
python3 "$EMBR_SOURCE/tests/functional/make-tree.py" tree plain many=100
for i in 1 2 3 4; do
    random_file tree/file$i 1500000 $i
done
for i in 1 2 3; do
    truncate -s 48M disk$i.raw
    mke2fs -q -F -t ext4 -b 4096 -d tree disk$i.raw </dev/null
    random_file tree/own$i 700000 1$i
    rm tree/file$i
done

# images: the names of the images in fleet.engram, one a line.
images()
{
    "$EMBR_IMG" info --output=json fleet.engram | python3 -c 'import json, sys
for image in json.load(sys.stdin)["format-specific"]["data"]["images"]:
    print(image["name"])'
}

# holds NAME=RAW...: these images are in fleet.engram, and exact.
holds()
{
    local pair
    "$EMBR_IMG" check -q fleet.engram || fail "check with the images ${*%%=*}"
    for pair; do
        "$EMBR_IMG" convert -l "${pair%%=*}" fleet.engram got.raw
        same "${pair#*=}" got.raw "image ${pair%%=*}"
    done
    rm -f got.raw
}

# append NAME RAW [COMMAND...]
append()
{
    local name=$1 raw=$2
    shift 2
    "$@" "$EMBR_IMG" convert -O engram --append -o image="$name" "$raw" fleet.engram
}

for aio in $AIO_MODES; do
    export EMBR_AIO=$aio
    rm -f fleet.engram
    "$EMBR_IMG" convert -O engram -o image=one disk1.raw fleet.engram
    alone=$(stat -c %s fleet.engram)
    append two disk2.raw
    append three disk3.raw
    holds one=disk1.raw two=disk2.raw three=disk3.raw
    [ "$(stat -c %s fleet.engram)" -lt $((alone * 2)) ] ||
        fail "$aio: chunks that were there are stored again"

    # Nothing is stored twice of a disk that is there already.
    before=$(stat -c %s fleet.engram)
    append again disk2.raw
    added=$(($(stat -c %s fleet.engram) - before))
    [ "$added" -lt 100000 ] || fail "$aio: the same disk again takes $added bytes"
done
holds one=disk1.raw two=disk2.raw three=disk3.raw again=disk2.raw
printf '%s\n' one two three again >expected
images >got
same expected got "names of images"
spec="python3 $EMBR_SOURCE/tests/functional/engram_spec.py"
$spec verify fleet.engram || fail "the engram is not as specified"
$spec raw fleet.engram got.raw three
same disk3.raw got.raw "an image as the specification has it"
"$EMBR_IMG" info --output=json fleet.engram >info.json
python3 - <<'END' || fail "info of several images"
import json
images = json.load(open('info.json'))['format-specific']['data']['images']
digest = {image['name']: image['root-digest'] for image in images}
assert digest['two'] == digest['again'] != digest['one'], digest
assert images[3]['stats']['verbatim']['chunks'] == 0, images[3]
END
"$EMBR_IMG" ls --snapshot three -R fleet.engram >got
"$EMBR_IMG" ls -R disk3.raw >expected
same expected got "ls of an image"

# What is refused changes nothing.
sha256sum fleet.engram >sum
expect_failure 1 "has an image 'two' already" \
    "$EMBR_IMG" convert -O engram --append -o image=two disk1.raw fleet.engram
expect_failure 1 'has an image .disk1.raw. already|No such file' \
    "$EMBR_IMG" convert -O engram --append disk1.raw missing.engram
expect_failure 1 'has its own' \
    "$EMBR_IMG" convert -O engram --append -o image=x,profiles=/dev/null disk1.raw fleet.engram
expect_failure 1 'effort=: .* has its own' \
    "$EMBR_IMG" convert -O engram --append -o image=x,effort=max disk1.raw fleet.engram
expect_failure 1 'no engram magic|not.*engram' \
    "$EMBR_IMG" convert -O engram --append -o image=x disk1.raw disk2.raw
expect_failure 1 'holds one disk' "$EMBR_IMG" convert -O raw --append disk1.raw disk2.raw
expect_failure 1 'would be overwritten' \
    "$EMBR_IMG" convert -O engram --append -o image=x fleet.engram fleet.engram
sha256sum -c --quiet sum || fail "what was refused changed the engram"

# Two writers: the second is refused, while a reader goes on.
python3 - fleet.engram <<'END' &
import fcntl, os, struct, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
# struct flock of x86-64 and other 64-bit Linux: type, whence, start, length, pid.
lock = struct.pack('hhqqi4x', fcntl.F_WRLCK, os.SEEK_SET, 4096, 1, 0)
fcntl.fcntl(fd, 37, lock)               # F_OFD_SETLK
open('locked', 'w').close()
while not os.path.exists('done'):
    time.sleep(0.01)
END
while [ ! -e locked ]; do sleep 0.01; done
expect_failure 1 'is being written to by another process' append x disk1.raw
"$EMBR_IMG" check -q fleet.engram
touch done
wait
sha256sum -c --quiet sum || fail "a writer that was refused changed the engram"

# No room: what was there stays, and nothing else does.  (Python ignores SIGXFSZ, and so
# does what it becomes.)
limited()
{
    python3 -c 'import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
os.execvp(sys.argv[2], sys.argv[2:])' "$@"
}
size=$(stat -c %s fleet.engram)
random_file more.raw 3000320 99
for extra in 0 4096 1000000 2900000; do
    expect_failure 1 'File too large|error while writing' \
        append x more.raw limited $((size + extra))
    [ "$(stat -c %s fleet.engram)" = "$size" ] || fail "a full disk left bytes behind"
    sha256sum -c --quiet sum || fail "a full disk changed the engram"
done

# Killed at any moment.
cp fleet.engram kept.engram
for delay in 0.005 0.02 0.04 0.06 0.1 0.15; do
    cp kept.engram fleet.engram
    append x more.raw & pid=$!
    sleep "$delay"
    kill -KILL $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    "$EMBR_IMG" check -q fleet.engram || fail "killed after $delay s: check"
    if images | grep -qx x; then
        continue
    fi
    append x more.raw
    "$EMBR_IMG" compare -q -l x fleet.engram more.raw ||
        fail "killed after $delay s: the next one"
done

# Power lost: of what the new commit wrote, anything may be on the disk but its slot; or
# the slot as well, but not whole.
cp kept.engram fleet.engram
append x more.raw
python3 - kept.engram fleet.engram <<'END'
import random, sys
old, new = (open(name, 'rb').read() for name in sys.argv[1:])
random.seed(5)
slot = next(at for at in (0, 4096) if old[at:at + 4096] != new[at:at + 4096])
def keep(name, data):
    with open(name, 'wb') as file:
        file.write(data)
for i in range(6):
    data = bytearray(old)
    for at in range(len(old), len(new), 4096):
        block = new[at:at + 4096]
        data += block if random.random() < i / 6 else bytes(len(block))
    keep(f'lost{i}.engram', data[:random.randint(len(old), len(new))])
torn = bytearray(new)
torn[slot + 512:slot + 4096] = old[slot + 512:slot + 4096]
keep('lost6.engram', torn)
torn = bytearray(new)
torn[slot:slot + 512] = old[slot:slot + 512]
keep('lost7.engram', torn)
END
for lost in lost?.engram; do
    mv "$lost" fleet.engram
    images >got
    printf '%s\n' one two three again >expected
    same expected got "$lost: images"
    append x more.raw
    holds one=disk1.raw x=more.raw
done

# A damaged engram is not added to; one whose frames are damaged only if they are needed.
cp kept.engram fleet.engram
python3 - fleet.engram <<'END'
import sys
with open(sys.argv[1], 'r+b') as file:
    data = file.read()
    at = data.find(b'EOBJ\x02')             # the first chunk list
    file.seek(at + 40)
    file.write(b'damaged')
END
sha256sum fleet.engram >sum
expect_failure 1 'cannot be added to a damaged engram' append x more.raw
sha256sum -c --quiet sum || fail "the damaged engram was changed"
cp kept.engram fleet.engram
python3 - fleet.engram <<'END'
import sys
with open(sys.argv[1], 'r+b') as file:
    file.seek(8192 + 100)                   # in the first frame
    file.write(b'damaged')
END
sha256sum fleet.engram >sum
expect_failure 1 'what was written is not what was meant' append x disk1.raw
sha256sum -c --quiet sum || fail "what cannot be recalled changed the engram"
append y more.raw
