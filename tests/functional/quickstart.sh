#!/bin/bash
# What a newcomer does first.
source "$(dirname "$0")/common.sh"
need qemu-img sfdisk mke2fs debugfs mkswap

quickstart()
{
    "$EMBR_SOURCE/scripts/quickstart.sh" --no-install --no-build --builddir "$EMBR_BUILD" \
        --dir "$TEST_DIR/disks" "$@"
}

quickstart >log 2>&1 || { cat log >&2; fail "without an image"; }
[ "$(grep -c '^Images are identical' log)" = 3 ] || { cat log >&2; fail "comparisons"; }
grep -q ' /p3/etc$' log || fail "/p3/etc was not listed"
grep -q '^ID=\|^NAME=' log || fail "os-release was not shown"
grep -q '^backing file: base.qcow2' log || fail "the disk has no backing file"
[ "$(cd disks && echo *)" = "base.qcow2 vm.engram vm.qcow2" ] ||
    fail "left behind: $(ls disks)"
[ "$("$EMBR_IMG" cat disks/vm.engram /p3/srv/note)" = "This file is in the overlay only." ] ||
    fail "/srv/note"
for copy in first second; do
    "$EMBR_IMG" cat disks/vm.engram /p3/srv/copies/$copy >$copy
done
same first second "copies"

# What is there stays.
sha256sum disks/* >before
expect_failure 1 'vm.engram is there already' quickstart
sha256sum --quiet -c before || fail "files were changed"

# An image without anything that can be listed, with a blank in its name; an engram.
truncate -s 3M "no files.raw"
quickstart "no files.raw" >log 2>&1 || { cat log >&2; fail "an image without files"; }
grep -q '^No volume has a filesystem' log || fail "an image without files"
mv "disks/no files.engram" other.engram
quickstart other.engram >log 2>&1 || { cat log >&2; fail "an engram"; }

# What fails is not passed over.
printf 'QFI\xfb\0\0\0\3' >broken.qcow2
expect_failure 1 'broken.qcow2' quickstart broken.qcow2
expect_failure 1 'cannot read gone.raw' quickstart gone.raw
