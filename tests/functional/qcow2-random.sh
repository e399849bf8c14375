#!/bin/bash
# Random work on qcow2 images by embr and QEMU's tools in turn. EMBR_RANDOM_SECONDS: for how
# long; EMBR_RANDOM_SEED: the seed of a run that is to be repeated.
source "$(dirname "$0")/common.sh"
need qemu-img qemu-io python3
CHURN=$EMBR_BUILD/tests/functional/qcow2-churn
[ -x "$CHURN" ] || skip "$CHURN is not built"

python3 "$EMBR_SOURCE/tests/functional/qcow2-random.py" "$EMBR_IMG" "$CHURN" \
    "${EMBR_RANDOM_SECONDS:-8}" ${EMBR_RANDOM_SEED:+"$EMBR_RANDOM_SEED"} || fail "see above"
