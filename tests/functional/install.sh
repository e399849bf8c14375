#!/bin/bash
# What `meson install` puts in place: the program and its manual page; the library, with
# its headers and pkg-config file, as docs/examples uses it.
source "$(dirname "$0")/common.sh"
need meson pkg-config sfdisk

meson install -C "$EMBR_BUILD" --no-rebuild --destdir "$TEST_DIR/root" >install.log 2>&1 ||
    { cat install.log >&2; fail "meson install"; }
pc=$(find root -name embr.pc)
[ -n "$pc" ] || fail "no embr.pc"
prefix=$(sed -n 's/^prefix=//p' "$pc")

# The program finds its library without help (meson's own is in the environment), unless
# that is where the loader looks anyway.
library=$(dirname "$(find root -name libembr.so | head -n 1)")
unset LD_LIBRARY_PATH
[ "$prefix" != /usr ] || export LD_LIBRARY_PATH=$TEST_DIR/$library
"$(find root -name embr-img)" --version >version || fail "the program does not run"
export LD_LIBRARY_PATH=$TEST_DIR/$library
grep -qE '^embr-img version [0-9]+\.[0-9]+\.[0-9]+$' version || fail "version: $(cat version)"

page=$(find root -name 'embr-img.1*')
[ -n "$page" ] || fail "no manual page"
grep -q "$(sed 's/.* //' version)" "$page" || fail "the version in the manual page"
if command -v man >/dev/null; then
    MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>warnings >/dev/null
    [ ! -s warnings ] || fail "manual page: $(cat warnings)"
fi

# The example has to build from what was installed alone, wherever that is.
mkdir pc
sed "s,^prefix=,&$TEST_DIR/root," "$pc" >pc/embr.pc
export PKG_CONFIG_PATH=$TEST_DIR/pc${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
flags=$(pkg-config --cflags --libs embr) || fail "pkg-config embr"
[[ $flags == *"$TEST_DIR/root$prefix/include/embr"* ]] || fail "headers are in $flags"
sanitize=()
[ "${EMBR_SANITIZE:-none}" = none ] || sanitize=("-fsanitize=$EMBR_SANITIZE")
cp "$EMBR_SOURCE/docs/examples/list-volumes.c" .
# shellcheck disable=SC2086
${CC:-cc} -std=gnu11 -Wall -Wextra -Werror list-volumes.c $flags "${sanitize[@]}" \
    -o list-volumes || fail "docs/examples/list-volumes.c does not build"

# Each header stands on its own.
(cd "root$prefix/include/embr" && find . -name '*.h') >headers
[ "$(wc -l <headers)" -gt 10 ] || fail "only $(wc -l <headers) headers"
while read -r header; do
    # shellcheck disable=SC2086
    echo "#include \"$header\"" |
        ${CC:-cc} -std=gnu11 -Wall -Wextra -Werror $flags -fsyntax-only -xc - ||
        fail "$header cannot be included on its own"
done <headers

truncate -s 32M disk.raw
sfdisk -q disk.raw <<END
label: gpt
start=2048, size=2048, type=L
start=8192, size=16384, type=L
END
./list-volumes disk.raw >got
cat >expected <<END
/p1 1048576 1048576 -
/p2 4194304 8388608 -
END
same expected got "volumes of the example"
expect_failure 1 "gone.raw" ./list-volumes gone.raw
