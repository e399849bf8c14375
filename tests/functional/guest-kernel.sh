#!/bin/bash
# What guest.sh promises to tests: a script's status and output come back, disks and the
# test's folder are written to and nothing else is, and a guest that hangs or crashes fails.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/guest.sh"
need_guest vfat dm-mod mkfs.fat

truncate -s 8M image other
mkfs.fat image >/dev/null
guest -d image -r other -- 'two words' '$x' >out.txt 2>err.txt <<'SCRIPT'
printf '%s|' "$@" "$PWD"
echo error >&2
mount -t vfat -o codepage=850 /dev/ubda /mnt
echo content >/mnt/file
umount /mnt
modprobe dm-mod
[ -e /dev/mapper/control ]
echo other 2>/dev/null >/dev/ubdb && exit 1
touch /usr/written 2>/dev/null && exit 1
touch written /tmp/written
SCRIPT
[ "$(<out.txt)" = "two words|\$x|$TEST_DIR|" ] || fail "output: $(<out.txt)"
[ "$(<err.txt)" = error ] || fail "stderr: $(<err.txt)"
[ -f written ] && [ ! -e /tmp/written ] || fail "what was written where"
[ "$("$EMBR_IMG" cat image /file)" = content ] || fail "the disk was not written to"
cmp -s other <(head -c 8M /dev/zero) || fail "the disk was written to"

status=0
guest <<<'false; exit 0' || status=$?
[ "$status" = 1 ] || fail "a script that fails has status $status"

# What fail does ends a subshell only.
expect_failure 1 'FAIL: .* did not end within 4 s' eval '(guest -t 4 <<<"sleep 100")'
expect_failure 1 'FAIL: .* the guest crashed' eval '(guest <<<"echo c >/proc/sysrq-trigger")'
