#!/bin/bash
# Runs QEMU's own I/O tests, those that need only qemu-img and qemu-io, with embr-img and
# embr-io in their places.
#
#     run.sh [-b] [-j JOBS] FORMAT [TEST...]
#
# FORMAT is qcow2 or raw. The tests are where QEMU's source (7.2) has been unpacked, in
# $EMBR_QEMU_SOURCE; without it there is nothing to run, and the exit status is 77. -b runs
# them with the qemu-img and qemu-io of the host. The programs are those of $EMBR_BUILD, by
# default build/ at the top of this source. Without names all tests are run that the format has;
# those that call another of QEMU's programs are not counted. docs/iotests.md has the results.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=${EMBR_BUILD:-$here/../../build}
baseline=false
jobs=1
while getopts bj: option; do
    case $option in
    b) baseline=true ;;
    j) jobs=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
format=${1:?usage: run.sh [-b] [-j JOBS] qcow2|raw [TEST...]}
shift

skip() {
    echo "skipped: $*"
    exit 77
}
source=${EMBR_QEMU_SOURCE:-}
[ -n "$source" ] || skip "EMBR_QEMU_SOURCE does not say where QEMU's source is"
[ -x "$source/tests/qemu-iotests/check" ] || skip "$source has no tests/qemu-iotests/check"
if $baseline; then
    img=$(command -v qemu-img) || skip "there is no qemu-img"
    io=$(command -v qemu-io) || skip "there is no qemu-io"
else
    img=$build/tools/embr-img
    io=$build/tools/embr-io
    [ -x "$img" ] && [ -x "$io" ] || skip "$build has no tools/embr-img and tools/embr-io"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/iotests-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/tests/qemu-iotests" "$work/storage-daemon" "$work/results"
ln -s "$(realpath "$source/tests/qemu-iotests/check")" "$work/tests/qemu-iotests/check"
ln -s "$(realpath "$img")" "$work/qemu-img"
ln -s "$(realpath "$io")" "$work/qemu-io"

# Stands in for QEMU's other programs: it fails, and notes that a test has asked for it.
cat > "$work/other" <<'END'
#!/bin/sh
[ "$*" = "-machine help" ] && exit 0
echo "$0 $*" >> "$TEST_DIR/other-programs"
exit 1
END
chmod +x "$work/other"
for name in "qemu-system-$(uname -m)" qemu-nbd storage-daemon/qemu-storage-daemon; do
    ln -s "$work/other" "$work/$name"
done

cd "$work/tests/qemu-iotests"
# With several jobs each test has a folder of its own, which is wanted here.
TEST_DIR=$work/results SOCK_DIR=$work/sock ./check "-$format" -j $((jobs > 1 ? jobs : 2)) "$@" \
    > "$work/log" 2>&1 < /dev/null || true

# check has said it all; this counts.
awk -v results="$work/results" '
    $2 == "pass" || $2 == "fail" || ($2 == "not" && $3 == "run") {
        if (system("test -e " results "/" $1 "/other-programs") == 0) {
            next
        }
        reason = ""
        if ($2 == "not") {
            if (match($0, /not suitable for this image format/)) {
                next
            }
            reason = $0
            sub(/^.*\.\.\. */, "", reason)
        }
        tests[$2] = tests[$2] " " $1
        count[$2]++
        if (reason != "") {
            print "not run: " $1 ": " reason
        }
    }
    END {
        print count["pass"] + 0 " pass:" tests["pass"]
        print count["fail"] + 0 " fail:" tests["fail"]
        exit count["fail"] != 0
    }' "$work/log" && status=0 || status=$?
if [ -n "${EMBR_IOTESTS_KEEP:-}" ]; then
    mkdir -p "$EMBR_IOTESTS_KEEP"
    cp "$work/log" "$EMBR_IOTESTS_KEEP/log"
    find "$work/results" -name '*.out.bad' -exec cp {} "$EMBR_IOTESTS_KEEP" \;
fi
exit "$status"
