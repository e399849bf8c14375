#!/bin/bash
# Size and time of several disks in one engram, beside borg and restic.
#
#     bench-fleet.sh IMAGE.raw IMAGE.raw...
#
# The images are added one after the other to one engram, to a borg repository (zstd,3)
# and to a restic repository, all made anew beside each other in $TMPDIR (default /tmp).
# Of each step: wall time, and what the whole takes then.  The page cache is warmed first.
source "$(dirname "$0")/bench-common.sh"
[ $# -ge 1 ] || { echo "usage: bench-fleet.sh IMAGE.raw IMAGE.raw..." >&2; exit 1; }
export BORG_BASE_DIR=$dir/borg-base BORG_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
export RESTIC_PASSWORD=benchmark RESTIC_CACHE_DIR=$dir/restic-cache
unset append

add_engram()
{
    times "$embr" convert -O engram ${append:-} -o "image=image$2" "$1" "$dir/fleet.engram"
    append=--append
}
add_borg() { times borg create -C zstd,3 "$dir/borg::image$2" "$1"; }
add_restic() { times restic -q -r "$dir/restic" backup "$1"; }

# report NAME PATH NUMBER SECONDS...
report()
{
    printf '%-7s image %d  %7.2f s (CPU %7.2f)  %9.1f MB in all\n' "$1" "$3" "$4" "$5" \
        "$(du -sb "$2" | awk '{ print $1 / 1e6 }')"
}

borg init -e none "$dir/borg"
restic -q -r "$dir/restic" init
number=0
for image; do
    number=$((number + 1))
    cat "$image" >/dev/null
    # In this shell, for what it remembers.
    add_engram "$image" $number >"$dir/seconds"
    report engram "$dir/fleet.engram" $number $(cat "$dir/seconds")
    report borg "$dir/borg" $number $(add_borg "$image" $number)
    report restic "$dir/restic" $number $(add_restic "$image" $number)
done
