#!/bin/bash
# How size, time and memory grow with the number of machines in one engram.
#
#     bench-growth.sh BASE.raw PACKAGES [COUNT [SEED]] >growth.txt
#
# BASE.raw is a disk whose partition /p3 is a root that the kernel mounts; PACKAGES a folder
# of .deb files.  Machine 1 is BASE.raw; each of the COUNT (64) has DRIFT (4) packages more,
# every third time loses what one brought, and has written logs, a database and caches of its
# own.  Root and loop devices are needed, and room for one disk and the engram in $TMPDIR.
#
# Prints a row for each machine: its number, the bytes of all disks so far that are not
# holes, the engram's bytes, wall and CPU seconds, and peak memory in KiB of adding it.
source "$(dirname "$0")/bench-common.sh"
[ $# -ge 2 ] || { echo "usage: bench-growth.sh BASE.raw PACKAGES [COUNT [SEED]]" >&2; exit 1; }
base=$1 count=${3:-64} drift=${DRIFT:-4}
mapfile -t packages < <(find "$(realpath "$2")" -name '*.deb' | sort | shuf --random-source=<(
    openssl enc -aes-128-ctr -pass "pass:${4:-1}" -nosalt -pbkdf2 </dev/zero 2>/dev/null))
read -r offset size < <("$embr" volumes --output=json "$base" | python3 -c 'import json, sys
for v in json.load(sys.stdin)["volumes"]:
    if v["path"] == "/p3":
        print(v["offset"], v["size"])')

# change NUMBER: makes machine NUMBER of the one before
change()
{
    local i
    for ((i = 0; i < drift; i++)); do
        dpkg-deb -x "${packages[next++ % ${#packages[@]}]}" "$dir/mnt"
    done
    if (($1 % 3 == 0)); then
        dpkg-deb -c "${packages[gone++ % ${#packages[@]}]}" | awk '/^-/ { print $6 }' |
            (cd "$dir/mnt" && xargs -d '\n' rm -f --)
    fi
    python3 - "$dir/mnt" "$1" <<'PYTHON'
import os, random, sqlite3, sys
root, number = sys.argv[1], int(sys.argv[2])
rng = random.Random(number)
with open(f'{root}/var/log/messages', 'a', encoding='utf-8') as log:
    for i in range(20000):
        log.write(f'2026-11-{1 + i % 28:02} {rng.randrange(86400)} web-{number:02} daemon[{rng.randrange(9999)}]: '
                  f'request {rng.getrandbits(64):016x} took {rng.randrange(900)} ms\n')
database = sqlite3.connect(f'{root}/var/lib/state.db')
database.execute('create table if not exists t (k integer primary key, v text)')
database.executemany('insert or replace into t values (?, ?)', (
    (rng.randrange(200000), f'{rng.getrandbits(400):x}') for _ in range(10000)))
database.commit()
with open(f'{root}/var/cache/{number}', 'wb') as cache:
    cache.write(rng.randbytes(2000000))
with open(f'{root}/etc/hostname', 'w', encoding='utf-8') as name:
    name.write(f'web-{number:02}\n')
PYTHON
}

cp --sparse=always "$base" "$dir/disk.raw"
mkdir "$dir/mnt"
next=0 gone=0 total=0 append=
trap 'mountpoint -q "$dir/mnt" && umount "$dir/mnt"; rm -rf "$dir"' EXIT
for ((number = 1; number <= count; number++)); do
    if ((number > 1)); then
        mount -o "loop,offset=$offset,sizelimit=$size" "$dir/disk.raw" "$dir/mnt"
        change $number
        umount "$dir/mnt"
    fi
    cat "$dir/disk.raw" >/dev/null
    total=$((total + $(stat -c '%b' "$dir/disk.raw") * 512))
    figures=$(measured "$embr" convert -O engram $append -o "image=web-$number" \
        "$dir/disk.raw" "$dir/fleet.engram")
    append=--append
    echo "$number $total $(stat -c %s "$dir/fleet.engram") $figures"
done
"$embr" check "$dir/fleet.engram" >&2
