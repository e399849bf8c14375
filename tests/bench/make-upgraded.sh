#!/bin/bash
# The root of a Debian system, as bench-likeness compares it with the old one:
#
#     make-upgraded.sh TREE OUT      (as root)
#
# OUT is a copy of TREE in which apt-get dist-upgrade was run with all suites that apt has
# on this machine, security updates among them. The kernel is not upgraded: its files have
# other paths in each version.
set -euo pipefail

tree=${1:?the root of a Debian system}
out=${2:?where the upgraded one goes}
[ ! -e "$out" ] || { echo "make-upgraded.sh: $out exists" >&2; exit 1; }
cp -a "$tree" "$out"
apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' \
    >"$out/etc/apt/sources.list"
cp /etc/apt/apt.conf.d/* "$out/etc/apt/apt.conf.d/"
cp /etc/resolv.conf "$out/etc/resolv.conf"
# No services are started.
printf '#!/bin/sh\nexit 101\n' >"$out/usr/sbin/policy-rc.d"
chmod +x "$out/usr/sbin/policy-rc.d"
# What is mounted goes with the namespace.
out=$(realpath "$out") unshare --mount --propagation private bash -euc '
    mount --bind /proc "$out/proc"
    mount --bind /dev "$out/dev"
    DEBIAN_FRONTEND=noninteractive chroot "$out" sh -euc "
        apt-get update
        apt-mark hold linux-image-amd64
        apt-get -y dist-upgrade"'
rm "$out/usr/sbin/policy-rc.d"
