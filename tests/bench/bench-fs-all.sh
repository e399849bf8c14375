#!/bin/bash
# bench-fs.sh over the filesystems that a whole tree can be put on, and exFAT, in one run.
#
#     bench-fs-all.sh TREE [RUNS]
set -euo pipefail
tree=${1:?usage: bench-fs-all.sh TREE [RUNS]}
runs=${2:-3}
bench=$(dirname "${BASH_SOURCE[0]}")/bench-fs.sh

"$bench" ext4 "$tree" "$runs"
"$bench" xfs "$tree" "$runs"
"$bench" btrfs "$tree" "$runs"
"$bench" btrfs "$tree" "$runs" compress=zstd
"$bench" exfat "$tree" "$runs"
"$bench" squashfs "$tree" "$runs" -comp zstd
