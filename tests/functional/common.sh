# What functional tests share. Source it first:
#
#     source "$(dirname "$0")/common.sh"
#     need qemu-img mke2fs
#
# The test then runs in an empty directory of its own, $TEST_DIR, which is removed at
# the end with everything that on_exit was told of. $EMBR_IMG is the program; run
# outside of meson it is the one in ./build.
set -euo pipefail
export LC_ALL=C.UTF-8 TZ=UTC
PATH=$PATH:/usr/sbin:/sbin

EMBR_SOURCE=${EMBR_SOURCE:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
EMBR_BUILD=${EMBR_BUILD:-$EMBR_SOURCE/build}
EMBR_IMG=${EMBR_IMG:-$EMBR_BUILD/tools/embr-img}
TEST_NAME=$(basename "$0" .sh)
TEST_DIR=$(mktemp -d "${TMPDIR:-/tmp}/embr-test-$TEST_NAME.XXXXXX")
ON_EXIT=()

cleanup()
{
    local status=$? i
    set +e
    trap - EXIT
    cd /
    for ((i = ${#ON_EXIT[@]} - 1; i >= 0; i--)); do
        eval "${ON_EXIT[i]}"
    done
    rm -rf "$TEST_DIR"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$TEST_DIR"

# on_exit COMMAND: has it evaluated at the end; the last one given is run first.
on_exit()
{
    ON_EXIT+=("$1")
}

# skip REASON
skip()
{
    echo "SKIP: $TEST_NAME: $*"
    exit 77
}

# fail TEXT: ends the test.
fail()
{
    echo "FAIL: $TEST_NAME: $*" >&2
    exit 1
}

# need TOOL...: skips the test unless all of them are there.
need()
{
    local tool
    for tool; do
        command -v "$tool" >/dev/null || skip "$tool is not installed"
    done
}

# Skips the test unless it runs as root and the kernel has loop devices.
need_loop()
{
    [ "$(id -u)" = 0 ] || skip "loop devices need root"
    need losetup
    losetup -f >/dev/null 2>&1 || skip "no loop device to be had"
}

# Sets AIO_MODES to the values of EMBR_AIO that work here.
find_aio_modes()
{
    AIO_MODES=threads
    : >"$TEST_DIR/.probe"
    if EMBR_AIO=io_uring "$EMBR_IMG" info "$TEST_DIR/.probe" >/dev/null 2>&1; then
        AIO_MODES="io_uring threads"
    fi
    rm "$TEST_DIR/.probe"
}

# same_through_engram IMAGE RAW WHAT [CONVERT-OPTION...]: IMAGE becomes an engram, and
# that the bytes in RAW, in both aio modes.
same_through_engram()
{
    local image=$1 raw=$2 what=$3 mode
    shift 3
    [ -n "${AIO_MODES:-}" ] || find_aio_modes
    for mode in $AIO_MODES; do
        EMBR_AIO=$mode "$EMBR_IMG" convert "$@" -O engram "$image" "$TEST_DIR/.engram" \
            2>"$TEST_DIR/.stderr" ||
            { cat "$TEST_DIR/.stderr" >&2; fail "$what, aio $mode: no engram of it"; }
        EMBR_AIO=$mode "$EMBR_IMG" convert -O raw "$TEST_DIR/.engram" "$TEST_DIR/.raw"
        same "$raw" "$TEST_DIR/.raw" "$what, aio $mode: the disk in its engram"
        rm -f "$TEST_DIR/.engram" "$TEST_DIR/.raw"
    done
}

# attach_loop FILE [LOSETUP-OPTION...]: sets LOOP to a device that is released at the
# end.
attach_loop()
{
    local file=$1
    shift
    LOOP=$(losetup --show -f "$@" "$file") || skip "cannot attach a loop device"
    on_exit "losetup -d $LOOP"
}

# expect_failure STATUS PATTERN COMMAND...: it must exit with STATUS and write a line
# that matches the extended regular expression PATTERN to stderr.
expect_failure()
{
    local status=$1 pattern=$2 got=0
    shift 2
    "$@" >"$TEST_DIR/.stdout" 2>"$TEST_DIR/.stderr" || got=$?
    if [ "$got" != "$status" ]; then
        cat "$TEST_DIR/.stderr" >&2
        fail "exit status $got, expected $status: $*"
    fi
    grep -qE -e "$pattern" "$TEST_DIR/.stderr" || {
        cat "$TEST_DIR/.stderr" >&2
        fail "stderr has no line like '$pattern': $*"
    }
}

# same FILE FILE [WHAT]: both must be equal.
same()
{
    cmp "$1" "$2" || {
        diff -u "$1" "$2" 2>/dev/null | head -40 >&2 || true
        fail "${3:-$1 and $2} differ"
    }
}

# same_json FILE FILE [WHAT]: both must hold the same value.
same_json()
{
    python3 - "$1" "$2" <<'END' || fail "${3:-$1 and $2} are not the same JSON"
import json, sys
a, b = (json.load(open(name)) for name in sys.argv[1:])
if a != b:
    print(json.dumps(a, indent=1, sort_keys=True), 'is not',
          json.dumps(b, indent=1, sort_keys=True), file=sys.stderr)
    sys.exit(1)
END
}

# random_file FILE BYTES SEED: bytes that are the same in every run.
random_file()
{
    python3 -c 'import random, sys
random.seed(int(sys.argv[3]))
left = int(sys.argv[2])
with open(sys.argv[1], "wb") as file:
    while left:
        left -= file.write(random.randbytes(min(left, 1 << 20)))' "$1" "$2" "$3"
}
