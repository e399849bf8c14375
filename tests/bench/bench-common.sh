# What the benchmarks of whole programs share. Source it first.
#
# $RUN is put before every command that is timed: on a machine that others use, too,
# RUN='chrt -f 10' has the processors to itself.
set -euo pipefail

embr=$(realpath "${EMBR_IMG:-$(dirname "${BASH_SOURCE[0]}")/../../build/tools/embr-img}")
dir=$(mktemp -d "${TMPDIR:-/tmp}/embr-$(basename "$0" .sh).XXXXXX")
trap 'rm -rf "$dir"' EXIT

# times COMMAND...: prints its wall time, and its user and system time together, in
# seconds
times()
{
    local TIMEFORMAT='%R %U %S'
    # shellcheck disable=SC2086
    { time ${RUN:-} "$@" >"$dir/stdout" 2>"$dir/stderr"; } 2>"$dir/times" ||
        { cat "$dir/stderr" >&2; return 1; }
    awk '{ print $1, $2 + $3 }' "$dir/times"
}

# measured COMMAND...: prints wall seconds, CPU seconds and peak memory in KiB
measured()
{
    # shellcheck disable=SC2086
    python3 - ${RUN:-} "$@" <<'PYTHON'
import resource, subprocess, sys, time
start = time.monotonic()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
seconds = time.monotonic() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f'{seconds:.2f} {used.ru_utime + used.ru_stime:.2f} {used.ru_maxrss}')
PYTHON
}

# field NUMBER FILE: the median of a column
field() { cut -d' ' -f"$1" "$2" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# compare NAME OURS THEIRS [LIMIT]: a line about two files of what times printed
compare()
{
    awk -v n="$1" -v a="$(field 1 "$2")" -v c="$(field 2 "$2")" -v b="$(field 1 "$3")" \
        -v d="$(field 2 "$3")" -v l="${4:-}" 'BEGIN {
        printf "%-32s embr-img %7.3f s (CPU %6.3f)   other %7.3f s (CPU %6.3f)   " \
               "ratio %.2f (CPU %.2f)%s\n", n, a, c, b, d, a / b, c / d,
               l == "" ? "" : "  at most " l }'
}

# alternate RUNS OURS THEIRS BEFORE: runs the functions OURS and THEIRS in turn, each
# after BEFORE; $dir/ours and $dir/theirs are for compare.
alternate()
{
    local i
    : >"$dir/ours"
    : >"$dir/theirs"
    for ((i = 0; i < $1; i++)); do
        $4
        $2 >>"$dir/ours"
        $4
        $3 >>"$dir/theirs"
    done
}
