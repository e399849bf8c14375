#!/bin/bash
# Where files cannot be without a name, an engram has a hidden one until it is complete.
source "$(dirname "$0")/common.sh"

mkdir out
random_file data.raw 5000000 1
for round in new replaced; do
    LD_PRELOAD=$EMBR_NO_TMPFILE "$EMBR_IMG" convert -O engram data.raw out/disk.engram
    [ "$(ls -A out)" = disk.engram ] || fail "$round: there is $(ls -A out)"
    "$EMBR_IMG" check -q out/disk.engram
done
rm out/disk.engram

# A signal ends it.
hidden() { ls -A out | grep -q '^[.]disk[.]engram[.]'; }
random_file large.raw 300000000 2
LD_PRELOAD=$EMBR_NO_TMPFILE "$EMBR_IMG" convert -O engram large.raw out/disk.engram & pid=$!
for ((i = 0; i < 600; i++)); do
    hidden && break
    sleep 0.02
done
hidden || fail "no hidden file to be seen"
kill -TERM $pid
wait $pid && fail "convert was complete before it was ended"
[ -z "$(ls -A out)" ] || fail "a convert that was ended left $(ls -A out)"
