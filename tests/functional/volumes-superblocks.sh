#!/bin/bash
# Superblocks that no program at hand makes (of hardware, of other systems): recognised as
# blkid does; damaged ones do no harm.
source "$(dirname "$0")/common.sh"
need blkid python3

python3 "$EMBR_SOURCE/tests/functional/known-superblocks.py" "$EMBR_IMG" ||
    fail "not what blkid says"
