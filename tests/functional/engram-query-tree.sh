#!/bin/bash
# Directories found by what is in them: the same for one of the host, in a raw image, in
# qcow2 and in an engram, of which the manifest is enough.
source "$(dirname "$0")/common.sh"
need mke2fs python3 sfdisk

python3 - <<'END'
import os, random
rng = random.Random(11)
letters = 'abcdefghijklmnopqrstuvwxyz'
def text(size):
    return ' '.join(''.join(rng.choices(letters, k=6)) for _ in range(size // 7)).encode()
def put(name, content):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, 'wb') as file:
        file.write(content)
for i in range(30):
    for part in range(6):
        put(f'tree/srv/app{i}/part{part}/data', text(rng.randint(200, 4000)))
    put(f'tree/srv/app{i}/config', text(500))
# Much of app3 again, under the same names; and of app7 under others.
for part in range(6):
    with open(f'tree/srv/app3/part{part}/data', 'rb') as file:
        put(f'tree/opt/old/part{part}/data', file.read())
    with open(f'tree/srv/app7/part{part}/data', 'rb') as file:
        put(f'tree/opt/other/piece{part}/stuff', file.read())
put('tree/opt/old/config', text(500))
# What adds nothing.
put('tree/srv/app3/empty', b'')
put('tree/srv/app3/zeroes', bytes(20000))
os.symlink('config', 'tree/srv/app3/link')
os.link('tree/srv/app5/config', 'tree/srv/app5/zz-second-name')
os.makedirs('tree/nothing/in/here')
put('tree/nothing/zeroes', bytes(5000))
END
truncate -s 24M disk.fs
mke2fs -q -F -t ext4 -b 1024 -d tree disk.fs </dev/null
truncate -s 26M disk.raw
printf 'label: gpt\nstart=2048, size=49152\n' | sfdisk -q disk.raw
dd if=disk.fs of=disk.raw bs=1M seek=1 conv=notrunc,sparse status=none
"$EMBR_IMG" convert -O engram disk.raw disk.engram

query() { "$EMBR_IMG" query --min-similarity 0.2 disk.engram "$@"; }

# From everywhere the same; whether all of it is the same only an engram tells.
query disk.engram:/p1/srv/app3 >known
grep -qE '^1\.000 = .* /p1/srv/app3$' known || fail "itself: $(cat known)"
[ "$(sed -n 2p known | sed 's/.* //')" = /p1/opt/old ] || fail "the like one: $(cat known)"
grep -qE '^0\.[3-9].* /p1/opt/old$' known || fail "how like: $(cat known)"
! grep -q '/data\|/config' known || fail "files among directories: $(cat known)"
sed 's/ = / ~ /' known >want
for source in disk.raw:/p1/srv/app3 disk.fs:/srv/app3 tree/srv/app3 tree/srv/app3/ \
    disk.engram:/p1/srv/../srv/app3; do
    query "$source" >out
    same out want "$source"
done
if command -v qemu-img >/dev/null; then
    qemu-img convert -O qcow2 disk.raw disk.qcow2
    query disk.qcow2:/p1/srv/app3 >out
    same out want "qcow2"
fi

# A file with two names counts once, wherever it is read.
query disk.engram:/p1/srv/app5 >want
grep -qE '^1\.000 ~ .* /p1/srv/app5$' want || fail "two names: $(cat want)"
for source in disk.raw:/p1/srv/app5 tree/srv/app5; do
    query "$source" >out
    same out want "two names, $source"
done

# Names count in directories.
query tree/srv/app7 >out
! grep -q opt/other out || fail "the same contents under other names: $(cat out)"

# A volume's root is a directory as others are.
query disk.engram:/p1 >out
grep -qE '^1\.000 ~ .* /p1$' out || fail "root: $(cat out)"
query disk.fs:/ >out
grep -qE '^1\.000 ~ .* /p1$' out || fail "root of a bare filesystem: $(cat out)"

# --path, --exact, JSON.
query --path '/p1/opt/*' disk.fs:/srv/app3 >out
[ "$(sed 's/.* //' out)" = /p1/opt/old ] || fail "--path: $(cat out)"
query --output=json disk.engram:/p1/srv/app3 >out
python3 -c 'import json; hits = json.load(open("out")); assert hits[0]["identical"] and \
    hits[0]["path"] == "/p1/srv/app3" and not hits[1]["identical"], hits' || fail JSON

# What has no vector, or is none.
for source in tree/nothing disk.raw:/p1/nothing disk.engram:/p1/nothing; do
    expect_failure 1 'the directory has no file with anything but zeroes in it' \
        "$EMBR_IMG" query disk.engram "$source"
done
expect_failure 1 '/ is a folder of volumes' "$EMBR_IMG" query disk.engram disk.raw:/
expect_failure 1 'nowhere' "$EMBR_IMG" query disk.engram disk.raw:/p1/nowhere
