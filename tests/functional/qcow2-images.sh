#!/bin/bash
# qcow2 images of every geometry, against qemu-img.
source "$(dirname "$0")/common.sh"
source "$EMBR_SOURCE/tests/functional/qcow2-common.sh"

for bits in $(seq 9 21); do
    cluster=$((1 << bits))
    try compress $cluster compat=0.10
    try compress $cluster compat=1.1
    try compress $cluster compat=1.1,compression_type=zstd
    if [ "$bits" -ge 14 ]; then
        try compress $cluster extended_l2=on
        try plain $cluster extended_l2=on,compression_type=zstd
    fi
done
