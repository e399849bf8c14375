#!/bin/bash
# The kernels for 64-bit ARM: built with a cross compiler and run in an emulator, the
# tests of kernels, encoding, search and structures pass, and the definition in Python has
# the same bits.
# Exits 77 with a reason on its last line when a tool is missing.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

skip()
{
    echo "skipped: $*"
    exit 77
}

cross=aarch64-linux-gnu-gcc
run=()
if [ "$(uname -m)" = aarch64 ]; then
    cross=cc
else
    emulator=$(command -v qemu-aarch64 || command -v qemu-aarch64-static) ||
        skip "qemu-aarch64 is not installed"
    run=("$emulator")
fi
command -v "$cross" >/dev/null || skip "$cross is not installed"
echo 'int main(void) { return 0; }' >"$scratch/probe.c"
"$cross" -static -o "$scratch/probe" "$scratch/probe.c" 2>/dev/null ||
    skip "$cross has no static C library"

build()
{
    local program=$1
    shift
    "$cross" -std=gnu11 -O2 -static -Wall -Wextra -Wundef -Werror -I"$here/plain" \
        -I"$here/../include" -I"$here/../src" -o "$scratch/$program" "$@" \
        "$here"/../src/*.c -lm
}

for name in kernels encode search structure; do
    build "test-$name" "$here/test-$name.c" "$here"/{common,plain/run-tests}.c
    "${run[@]}" "$scratch/test-$name"
done
build dump "$here/dump.c"
if command -v python3 >/dev/null; then
    python3 "$here/spec.py" "${run[@]}" "$scratch/dump"
fi
