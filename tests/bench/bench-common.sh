# What the benchmarks of whole programs share. Source it first.
set -euo pipefail

embr=${EMBR_IMG:-$(dirname "${BASH_SOURCE[0]}")/../../build/tools/embr-img}
dir=$(mktemp -d "${TMPDIR:-/tmp}/embr-$(basename "$0" .sh).XXXXXX")
trap 'rm -rf "$dir"' EXIT

# seconds COMMAND...: prints its wall time
seconds()
{
    local start=$EPOCHREALTIME
    "$@" >"$dir/stdout" 2>"$dir/stderr" || { cat "$dir/stderr" >&2; return 1; }
    awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.4f\n", b - a }'
}

# median <NUMBERS
median()
{
    sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# ratio NAME OURS THEIRS UNIT [LIMIT]: a line of the result
ratio()
{
    awk -v n="$1" -v a="$2" -v b="$3" -v u="$4" -v l="${5:-}" 'BEGIN {
        printf "%-34s embr-img %8.2f %-3s other %8.2f %-3s ratio %.2f", n, a, u, b, u, a / b
        if (l != "") printf "  (at most %s)", l
        print "" }'
}
