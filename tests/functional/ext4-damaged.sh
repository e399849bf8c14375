#!/bin/bash
# Flipped bits: no crash, no hang; and with metadata checksums nothing wrong is said without
# an error, while what is not damaged is still listed.
source "$(dirname "$0")/common.sh"
need mke2fs e2fsck python3

fs_dump=$EMBR_BUILD/tests/functional/fs-dump
tests=$EMBR_SOURCE/tests/functional
mkdir src
python3 "$tests/make-tree.py" src plain many=1500 block=1024 xattr=600 2>/dev/null

# check NAME ROUNDS MKE2FS-OPTION...
check()
{
    local name=$1 rounds=$2 checked=unchecked
    shift 2
    rm -f image
    truncate -s 24M image
    mke2fs -q -F -b 1024 -N 2000 -d src "$@" image 2>mke2fs.txt || { cat mke2fs.txt >&2; fail "mke2fs"; }
    e2fsck -fyD image >/dev/null 2>&1 || [ $? = 1 ]
    dumpe2fs -h image 2>/dev/null | grep -q metadata_csum && checked=checked
    python3 "$tests/damage.py" "$fs_dump" image "$checked" "$rounds" || fail "$name"
}

check checksums 60 -t ext4
check checksums-inline 40 -t ext4 -O inline_data,^has_journal
check no-checksums 60 -t ext4 -O ^metadata_csum
check ext2 40 -t ext2
