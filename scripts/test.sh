#!/bin/bash
# Installs what is missing, builds and runs the test suite.
#
#   scripts/test.sh [--no-install] [--builddir DIR] [--suite NAME]... [MESON-OPTION...]
#
# The build is made in DIR (build).  MESON-OPTIONs, such as -Db_sanitize=address, go to
# `meson setup`.  Last comes a line `N passed, M failed, K skipped`; the exit status is 0
# if nothing failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

install=true
builddir=build
suites=()
options=()
while [ $# -gt 0 ]; do
    case $1 in
    --no-install) install=false ;;
    --builddir) builddir=$2; shift ;;
    --suite) suites+=(--suite "$2"); shift ;;
    *) options+=("$1") ;;
    esac
    shift
done

# give_up TEXT: what cannot be built has failed.
give_up()
{
    echo "test.sh: $*" >&2
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
}

if $install; then
    scripts/install-deps.sh --build || give_up "cannot install what the build needs"
    scripts/install-deps.sh --test ||
        echo "test.sh: tests whose tools are missing will be skipped" >&2
fi

# An existing build keeps its options, and gets those given now.
if [ -f "$builddir/build.ninja" ]; then
    [ ${#options[@]} -eq 0 ] || meson configure "$builddir" "${options[@]}" ||
        give_up "meson configure failed"
else
    meson setup "$builddir" "${options[@]}" || give_up "meson setup failed"
fi
ninja -C "$builddir" || give_up "the build failed"

log=$builddir/meson-logs/testlog.json
rm -f "$log"
status=0
meson test -C "$builddir" --no-rebuild --print-errorlogs "${suites[@]}" || status=$?
[ -s "$log" ] || give_up "no test was run"
python3 scripts/test-summary.py "$log" || status=1
exit "$status"
