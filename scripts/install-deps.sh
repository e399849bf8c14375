#!/bin/bash
# Installs what embr needs that is not there, with the distribution's package manager.
#
#   scripts/install-deps.sh [--build] [--test] [--demo] [--list]
#
# --build: what it is built with; --test: what the tests compare it with; --demo: what
# quickstart.sh makes a disk of its own with.  --build and --test, if none is given.
# --list only prints the packages that are missing.  Packages marked with ? are done
# without where the distribution has none of that name.
set -euo pipefail
# The tables below are read by computed names.
# shellcheck disable=SC2034

{
debian_build="gcc libc6-dev meson ninja-build pkg-config python3 libglib2.0-dev
    libjson-glib-dev liburing-dev zlib1g-dev libzstd-dev libssl-dev libxxhash-dev
    libisal-dev ?liblzo2-dev ?liblz4-dev ?liblzma-dev libsodium-dev check"
debian_test="valgrind clang ?libclang-rt-dev qemu-utils gdisk fdisk e2fsprogs dosfstools
    mtools attr acl mount util-linux diffutils tar zstd gzip sleuthkit git ?xfsprogs
    ?btrfs-progs ?cryptsetup-bin ?ntfs-3g ?exfatprogs ?exfat-fuse ?f2fs-tools ?squashfs-tools
    ?xorriso ?genisoimage ?erofs-utils ?bcache-tools ?gcc-aarch64-linux-gnu
    ?jfsutils ?reiserfsprogs ?reiser4progs ?gfs2-utils ?ocfs2-tools ?nilfs-tools ?udftools
    ?util-linux-extra ?genromfs ?mtd-utils ?apfsprogs
    ?libc6-dev-arm64-cross ?qemu-user ?lvm2 ?parted ?librsvg2-bin ?user-mode-linux ?kmod"
debian_demo="qemu-utils fdisk e2fsprogs diffutils tar"

fedora_build="gcc meson ninja-build pkgconf-pkg-config python3 glib2-devel
    json-glib-devel liburing-devel zlib-devel libzstd-devel openssl-devel xxhash-devel
    isa-l-devel ?lzo-devel ?lz4-devel ?xz-devel libsodium-devel check-devel"
fedora_test="libasan libubsan libtsan valgrind valgrind-devel clang compiler-rt qemu-img
    gdisk util-linux e2fsprogs dosfstools mtools attr acl diffutils tar zstd gzip
    ?sleuthkit git ?xfsprogs ?btrfs-progs ?cryptsetup ?ntfsprogs ?exfatprogs ?f2fs-tools
    ?squashfs-tools ?xorriso ?genisoimage ?erofs-utils ?bcache-tools ?lvm2 ?parted
    ?librsvg2-tools"
fedora_demo="qemu-img util-linux e2fsprogs diffutils tar"

suse_build="gcc meson ninja pkgconf-pkg-config python3 glib2-devel json-glib-devel
    liburing-devel zlib-devel libzstd-devel libopenssl-devel xxhash-devel ?isa-l-devel
    ?lzo-devel ?liblz4-devel ?xz-devel libsodium-devel check-devel"
suse_test="valgrind valgrind-devel clang qemu-img ?qemu-tools gptfdisk util-linux e2fsprogs
    dosfstools mtools attr acl diffutils tar zstd gzip ?sleuthkit git ?xfsprogs
    ?btrfsprogs ?cryptsetup ?ntfsprogs ?exfatprogs ?f2fs-tools ?squashfs ?xorriso
    ?mkisofs ?erofs-utils ?bcache-tools ?lvm2 ?parted ?rsvg-convert"
suse_demo="qemu-img util-linux e2fsprogs diffutils tar"

arch_build="gcc meson ninja pkgconf python glib2 glib2-devel json-glib liburing zlib zstd
    openssl xxhash isa-l ?lzo ?lz4 ?xz libsodium check"
arch_test="valgrind clang compiler-rt qemu-img gptfdisk util-linux e2fsprogs dosfstools
    mtools attr acl diffutils tar zstd gzip ?sleuthkit git ?xfsprogs ?btrfs-progs
    ?cryptsetup ?ntfs-3g ?exfatprogs ?f2fs-tools ?squashfs-tools ?libisoburn ?cdrtools
    ?erofs-utils ?bcache-tools ?aarch64-linux-gnu-gcc ?aarch64-linux-gnu-glibc ?qemu-user
    ?lvm2 ?parted ?librsvg"
arch_demo="qemu-img util-linux e2fsprogs diffutils tar"
}

die()
{
    echo "install-deps: $*" >&2
    exit 1
}

can_be_root() { [ "$(id -u)" = 0 ] || command -v sudo >/dev/null; }

as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

debian_has() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
debian_knows() { apt-cache policy "$1" 2>/dev/null | grep -q '^  Candidate: [^(]'; }
debian_refresh() { as_root apt-get update -q; }
debian_install()
{
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "$@"
}

fedora_has() { rpm -q --whatprovides "$1" >/dev/null 2>&1; }
fedora_knows() { dnf -q repoquery --whatprovides "$1" 2>/dev/null | grep -q .; }
fedora_refresh() { as_root dnf -q makecache; }
fedora_install() { as_root dnf install -y --setopt=install_weak_deps=False "$@"; }

suse_has() { rpm -q --whatprovides "$1" >/dev/null 2>&1; }
suse_knows() { zypper -q search -x --provides "$1" >/dev/null 2>&1; }
suse_refresh() { as_root zypper -q refresh; }
suse_install() { as_root zypper -n install --no-recommends "$@"; }

arch_has() { pacman -T "$1" >/dev/null 2>&1; }
arch_knows() { pacman -Si "$1" >/dev/null 2>&1; }
arch_refresh() { as_root pacman -Sy --noconfirm; }
arch_install() { as_root pacman -S --noconfirm --needed "$@"; }

find_family()
{
    if command -v apt-get >/dev/null; then
        echo debian
    elif command -v dnf >/dev/null; then
        echo fedora
    elif command -v zypper >/dev/null; then
        echo suse
    elif command -v pacman >/dev/null; then
        echo arch
    else
        die "none of apt-get, dnf, zypper, pacman is here; docs/dependencies.md" \
            "names what is needed"
    fi
}

groups=()
list_only=false
for arg; do
    case $arg in
    --build) groups+=(build) ;;
    --test) groups+=(test) ;;
    --demo) groups+=(demo) ;;
    --list) list_only=true ;;
    *) die "unknown option $arg; expected --build, --test, --demo, --list" ;;
    esac
done
[ ${#groups[@]} -gt 0 ] || groups=(build test)

family=$(find_family)
wanted=()
for group in "${groups[@]}"; do
    table=${family}_$group
    read -r -d '' -a names <<<"${!table}" || true
    wanted+=("${names[@]}")
done

# Sets missing and optional to the packages that are not installed.
find_missing()
{
    local name
    missing=()
    optional=()
    for name in "${wanted[@]}"; do
        if ! "${family}_has" "${name#\?}"; then
            case $name in
            \?*) optional+=("${name#\?}") ;;
            *) missing+=("$name") ;;
            esac
        fi
    done
}

find_missing
if $list_only; then
    printf '%s\n' "${missing[@]}" "${optional[@]}" | grep . || true
    exit 0
fi
[ ${#missing[@]} -gt 0 ] || [ ${#optional[@]} -gt 0 ] || exit 0
if ! can_be_root; then
    [ ${#missing[@]} -gt 0 ] || exit 0
    die "not root, and there is no sudo; missing are: ${missing[*]}"
fi

# Package lists are fetched only if something is missing that they do not name.
for name in "${missing[@]}"; do
    if ! "${family}_knows" "$name"; then
        "${family}_refresh"
        break
    fi
done
available=()
for name in "${optional[@]}"; do
    if "${family}_knows" "$name"; then
        available+=("$name")
    fi
done
set -- "${missing[@]}" "${available[@]}"
[ $# -gt 0 ] || exit 0
echo "install-deps: installing $*"
# Lists may be older than what the archive still has.
"${family}_install" "$@" || { "${family}_refresh" && "${family}_install" "$@"; }
