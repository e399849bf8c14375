#!/bin/bash
# The images of an engram: listed with what they share, selected, taken out; what is left
# is compacted.
source "$(dirname "$0")/common.sh"
need mke2fs python3 cmp qemu-img qemu-io

mkdir tree
python3 "$EMBR_SOURCE/tests/functional/make-tree.py" tree plain many=50
for i in 1 2 3; do
    random_file tree/file$i 1500000 $i
done
for i in 1 2 3; do
    truncate -s 48M disk$i.raw
    mke2fs -q -F -t ext4 -b 4096 -d tree disk$i.raw </dev/null
    random_file tree/own$i 900000 1$i
    rm tree/file$i
done
"$EMBR_IMG" convert -O engram -o image=one disk1.raw fleet.engram
for name in two three; do
    declare -A raw=([one]=disk1.raw [two]=disk2.raw [three]=disk3.raw)
    "$EMBR_IMG" convert -O engram --append -o image=$name "${raw[$name]}" fleet.engram
done

# exact ENGRAM NAME...: it has these images and no other, and they are exact.
exact()
{
    local engram=$1 name
    shift
    "$EMBR_IMG" check -q "$engram" || fail "$engram: check"
    "$EMBR_IMG" snapshot --output=json "$engram" >images.json
    [ "$(python3 -c 'import json; print(*[i["name"] for i in json.load(open("images.json"))])')" = "$*" ] ||
        fail "$engram: not the images $*"
    for name; do
        "$EMBR_IMG" compare -q -l "$name" "$engram" "${raw[$name]}" || fail "$engram: $name"
        "$EMBR_IMG" convert -l "$name" "$engram" got.raw
        same "${raw[$name]}" got.raw "$engram: $name"
        "$EMBR_IMG" ls -lR --snapshot "$name" "$engram" >got
        "$EMBR_IMG" ls -lR "${raw[$name]}" >expected
        same expected got "$engram: files of $name"
    done
    python3 "$EMBR_SOURCE/tests/functional/engram_spec.py" verify "$engram" ||
        fail "$engram is not as specified"
}
exact fleet.engram one two three

# What they share, counted from the chunks that the specification's reader sees.
cat >usage.py <<'END'
import json, sys
sys.path.insert(0, sys.argv[1])
from collections import defaultdict
import engram_spec
engram = engram_spec.Engram(sys.argv[2])
users, uses = defaultdict(set), []
for index in range(len(engram.images)):
    for _, size, ref, _ in engram.segments(engram.image(index)):
        for kind, length, frame, position, _ in engram.entries(ref, size):
            if kind == engram_spec.CHUNK:
                users[frame, position].add(index)
                uses.append((index, (frame, position), length))
expected = [[0, 0] for _ in engram.images]
for index, chunk, length in uses:
    expected[index][0] += length
    expected[index][1] += length if len(users[chunk]) > 1 else 0
found = [[i['usage']['data-bytes'], i['usage']['shared-bytes']] for i in json.load(open('images.json'))]
assert found == expected, (found, expected)
assert all(0 < shared < data for data, shared in found), found
END
python3 usage.py "$EMBR_SOURCE/tests/functional" fleet.engram || fail "usage"
"$EMBR_IMG" snapshot fleet.engram >list
[ "$(head -1 list | tr -s ' ')" = "IMAGE SIZE DATA SHARED CREATED" ] || fail "$(cat list)"
[ "$(cut -d' ' -f1 list | tr '\n' ' ')" = "IMAGE one two three " ] || fail "$(cat list)"

# One image is selected by -l everywhere.
"$EMBR_IMG" info -l two --output=json fleet.engram >info.json
python3 -c 'import json; d = json.load(open("info.json"))["format-specific"]["data"]
assert d["image"] == "two", d' || fail "info -l"
"$EMBR_IMG" map --snapshot two --output=json fleet.engram >got
"$EMBR_IMG" map --image-opts --output=json driver=engram,file.driver=file,file.filename=fleet.engram,image=two \
    >expected
same_json expected got "map --snapshot"
"$EMBR_IMG" compare -q -l two -L two fleet.engram fleet.engram
"$EMBR_IMG" compare -q -l one -L two fleet.engram fleet.engram && fail "one is like two"
"$EMBR_IMG" cat -l three fleet.engram /own2 >got
same tree/own2 got "cat -l"
expect_failure 1 "holds no image 'four'" "$EMBR_IMG" info -l four fleet.engram
expect_failure 2 "holds no image 'four'" "$EMBR_IMG" compare -l four fleet.engram disk1.raw

# Snapshots of qcow2 are listed as qemu-img lists them.
qemu-img create -q -f qcow2 s.qcow2 1M
"$EMBR_IMG" snapshot s.qcow2 >got
[ ! -s got ] || fail "an image without snapshots has some"
qemu-img snapshot -c first s.qcow2
qemu-img snapshot -c second s.qcow2
"$EMBR_IMG" snapshot -l s.qcow2 >got
qemu-img snapshot -l s.qcow2 >expected
same expected got "snapshot -l"
expect_failure 1 "Cannot mix" "$EMBR_IMG" snapshot -l -d x s.qcow2
expect_failure 1 "convert --append" "$EMBR_IMG" snapshot -c x fleet.engram

# An image is taken out; its chunks are recalled, until the engram is compacted.
cp fleet.engram kept.engram
"$EMBR_IMG" snapshot -d one fleet.engram
exact fleet.engram two three
expect_failure 1 "holds no image 'one'" "$EMBR_IMG" snapshot -d one fleet.engram
"$EMBR_IMG" convert -O engram --append -o image=one disk1.raw fleet.engram
"$EMBR_IMG" info --output=json fleet.engram | python3 -c 'import json, sys
images = json.load(sys.stdin)["format-specific"]["data"]["images"]
assert images[2]["stats"]["verbatim"]["chunks"] == 0, images[2]' || fail "what was taken out is not recalled"
exact fleet.engram two three one
"$EMBR_IMG" snapshot -d one fleet.engram
"$EMBR_IMG" compact -q fleet.engram new.engram
exact new.engram two three
exact fleet.engram two three
"$EMBR_IMG" compact fleet.engram >text
grep -qE 'before, .* after; of [0-9]+ frames, [0-9]+ were kept' text || fail "$(cat text)"
exact fleet.engram two three
[ "$(stat -c %s fleet.engram)" = "$(stat -c %s new.engram)" ] || fail "in place is not as elsewhere"
saved=$(($(stat -c %s kept.engram) - $(stat -c %s fleet.engram)))
[ "$saved" -gt 1000000 ] || fail "compacting saved $saved bytes"
"$EMBR_IMG" query -k 1 new.engram tree/own2 | grep -q own2 || fail "query after compacting"

# As small as if the image had never been there, or nearly.
"$EMBR_IMG" convert -O engram -o image=two disk2.raw fresh.engram
"$EMBR_IMG" convert -O engram --append -o image=three disk3.raw fresh.engram
[ "$(stat -c %s fleet.engram)" -lt $(($(stat -c %s fresh.engram) * 21 / 20)) ] ||
    fail "compacted, it has $(stat -c %s fleet.engram) bytes, fresh $(stat -c %s fresh.engram)"
# Nothing to leave out: it is the same size but for the commits.
"$EMBR_IMG" compact -q fresh.engram again.engram
exact again.engram two three

# The last image stays.
"$EMBR_IMG" snapshot -d two new.engram
expect_failure 1 'only image' "$EMBR_IMG" snapshot -d three new.engram
exact new.engram three

# What goes wrong leaves all as it was, and nothing else.
cp kept.engram fleet.engram
"$EMBR_IMG" snapshot -d one fleet.engram
sha256sum fleet.engram >sum
ls -A >files
expect_failure 1 'cannot|Could not|error' "$EMBR_IMG" compact fleet.engram missing/target
printf damaged | dd of=fleet.engram bs=1 seek=9000 conv=notrunc status=none
cp fleet.engram damaged.engram
expect_failure 1 'fleet.engram.*' "$EMBR_IMG" compact fleet.engram
cmp damaged.engram fleet.engram
rm damaged.engram
cp kept.engram fleet.engram
"$EMBR_IMG" snapshot -d one fleet.engram
for delay in 0.01 0.03 0.06 0.1; do
    sha256sum fleet.engram >sum
    "$EMBR_IMG" compact -q fleet.engram & pid=$!
    sleep "$delay"
    kill -KILL $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    exact fleet.engram two three
done
