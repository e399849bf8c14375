# Scripts that run in another kernel: a real Linux as an ordinary process (user-mode-linux),
# for filesystems and devices that the machine's own kernel has not, or does not let us
# use.  Source it after common.sh.
#
#     need_guest vfat mkfs.fat                # skips: modules of the guest, programs
#     guest -d image -- 850 <<'SCRIPT'        # image is /dev/ubda there
#     mount -t vfat -o codepage="$1" /dev/ubda /mnt
#     ls /mnt >names.txt
#     SCRIPT
#
# guest [OPTION...] [-- ARGUMENT...]: has the script on stdin run by bash, under "set -euo
# pipefail", as the guest's root.  It is the script's exit status that guest returns, and its
# output (stdout and stderr apart) that guest writes, at the end.  So a script that fails
# ends a test, as any command does.  If the guest crashes, or has not ended in time, the test
# has failed.  Call it neither in a subshell nor in $(...), out of which skip and fail do
# not reach.
#
#   -d FILE     the next disk: /dev/ubda, /dev/ubdb, ..., up to 16
#   -r FILE     as -d, but it cannot be written to
#   -t SECONDS  how long it may take (120)
#   -m MIB      its memory (256)
#
# In the guest / is the machine's own, but read-only.  $TEST_DIR is the current folder, can be
# written to, and holds what is to be seen afterwards; /tmp, /run and /mnt are empty and
# forgotten ($EMBR_SOURCE and $EMBR_BUILD are there wherever they are).  Modules are loaded when
# something asks the kernel for them, as mount does, or by modprobe.  There is no udev and no
# network.  Without root's rights on the machine it is root of its own disks all the same.
# Several guests may run at a time.

GUEST_MODULES=/usr/lib/uml/modules

# need_guest [MODULE|PROGRAM]...: skips the test unless guests can be had, with these.  What is
# neither a module of the guest's kernel nor built into it has to be a program.
need_guest()
{
    local name
    command -v linux.uml >/dev/null ||
        skip "user-mode-linux is not installed (linux.uml, a kernel that runs as a process)"
    need modprobe python3 timeout mount
    GUEST_RELEASE=$(linux.uml --version </dev/null)
    [ -f "$GUEST_MODULES/$GUEST_RELEASE/modules.dep" ] ||
        skip "the modules of linux.uml are not in $GUEST_MODULES/$GUEST_RELEASE"
    for name; do
        grep -qE "/${name//[-_]/[-_]}\.ko" \
            "$GUEST_MODULES/$GUEST_RELEASE"/modules.{dep,builtin} || need "$name"
    done
    on_exit guest_kill
}

# Ends what a guest that did not end leaves: it is a session of its own, whose processes
# outlive the kernel's.
guest_kill()
{
    local dir=$TEST_DIR/.guest
    if [ -s "$dir/guest/pid" ] && [ ! -s "$dir/status" ]; then
        kill -KILL -- "-$(<"$dir/guest/pid")" 2>/dev/null || true
        rm "$dir/guest/pid"
    fi
}

# Writes what is process 1 of the guest.
guest_init()
{
    local word
    printf '#!/bin/bash\nset --'
    for word; do
        printf ' %q' "$word"
    done
    printf '\nexport TEST_DIR=%q EMBR_SOURCE=%q EMBR_BUILD=%q\nmodules=%q\n' "$TEST_DIR" \
        "$EMBR_SOURCE" "$EMBR_BUILD" "$GUEST_MODULES"
    cat <<'END'
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TZ=UTC HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
[ -e /dev/fd ] || ln -s /proc/self/fd /dev/fd
for dir in /tmp /run /mnt; do
    mount -t tmpfs tmpfs "$dir"
done
mkdir -p /run/lock /run/bin /run/modules/lib "$TEST_DIR"
mount -t hostfs -o "$TEST_DIR" hostfs "$TEST_DIR"
for dir in "$EMBR_SOURCE" "$EMBR_BUILD"; do
    [ -d "$dir" ] || { mkdir -p "$dir" && mount -t hostfs -o "ro,$dir" hostfs "$dir"; }
done
cd "$TEST_DIR" || exit
: >.guest/started
# The kernel asks for modules by itself, too.
ln -s "$modules" /run/modules/lib/modules
printf '#!/bin/sh\nexec %s -d /run/modules "$@"\n' "$(command -v modprobe)" >/run/bin/modprobe
chmod +x /run/bin/modprobe
echo /run/bin/modprobe >/proc/sys/kernel/modprobe
PATH=/run/bin:$PATH
bash -euo pipefail .guest/script "$@" </dev/null >.guest/stdout 2>.guest/stderr
status=$?
cd /
sync
echo "$status" >"$TEST_DIR/.guest/status"
echo o >/proc/sysrq-trigger
sleep 60
END
}

guest()
{
    local option OPTIND=1 OPTARG seconds=120 memory=256 disks=() dir=$TEST_DIR/.guest status=0
    while getopts d:r:t:m: option; do
        case $option in
        d) disks+=("ubd${#disks[@]}=$(realpath "$OPTARG")") ;;
        r) disks+=("ubd${#disks[@]}r=$(realpath "$OPTARG")") ;;
        t) seconds=$OPTARG ;;
        m) memory=$OPTARG ;;
        *) fail "guest: wrong option" ;;
        esac
    done
    shift $((OPTIND - 1))
    rm -rf "$dir"
    mkdir "$dir"
    cat >"$dir/script"
    guest_init "$@" >"$dir/init"
    chmod +x "$dir/init"
    # KILL, since a guest that hangs hears nothing else.  In the background, since signals are
    # not taken before what is in the foreground has ended.
    timeout -s KILL "$seconds" linux.uml rootfstype=hostfs rootflags=/ ro "init=$dir/init" \
        "mem=${memory}M" con=null con0=null,fd:2 quiet sysrq_always_enabled \
        "uml_dir=$dir/" umid=guest "${disks[@]}" </dev/null >"$dir/console" 2>&1 &
    wait $! || status=$?
    if [ -s "$dir/status" ]; then
        cat "$dir/stdout"
        cat "$dir/stderr" >&2
        return "$(<"$dir/status")"
    fi
    guest_kill
    tail -n 30 "$dir/console" >&2
    if [ ! -e "$dir/started" ] && [ "$status" != 137 ]; then
        skip "linux.uml does not start here: $(tail -n 1 "$dir/console")"
    fi
    cat "$dir/stdout" "$dir/stderr" >&2 || true
    [ "$status" != 137 ] || fail "the guest did not end within $seconds s"
    fail "the guest crashed, exit status $status"
}
