#!/bin/bash
# From a fresh clone to an engram: installs what is missing, builds, and takes a disk
# through everything embr-img does.
#
#   scripts/quickstart.sh [--no-install] [--builddir DIR] [--dir DIR] [IMAGE]
#
# IMAGE is only read. Without one, a disk is made from files of this machine. The build is
# made in --builddir (build-quickstart), images in --dir (disks in there); the engram stays,
# the raw copy is removed. Root is needed only to install packages; sudo is used if there is
# something to install.
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export LC_ALL=C.UTF-8

die()
{
    echo "quickstart: $*" >&2
    exit 1
}

install=true builddir=$source_dir/build-quickstart dir='' image=''
while [ $# -gt 0 ]; do
    case $1 in
    --no-install) install=false ;;
    --builddir) builddir=$(realpath -m "$2"); shift ;;
    --dir) dir=$(realpath -m "$2"); shift ;;
    -*) die "unknown option $1; expected --no-install, --builddir DIR, --dir DIR" ;;
    *) [ -z "$image" ] || die "expected one image, found $image and $1"
       [ -r "$1" ] || die "cannot read $1"
       image=$(realpath "$1") ;;
    esac
    shift
done
dir=${dir:-$builddir/disks}

seconds=''                  # what the last command took

# timed COMMAND...
timed()
{
    local start=$EPOCHREALTIME
    "$@"
    local us=$((${EPOCHREALTIME/[.,]/} - ${start/[.,]/}))
    seconds=$(printf '%d.%02d s' $((us / 1000000)) $((us / 10000 % 100)))
}

step()
{
    printf '\n=== %s\n' "$*"
}

# run COMMAND...: shows it, runs it, says how long it took.
run()
{
    echo "\$ $*"
    timed "$@" || die "this command failed: $*"
    echo "[$seconds]"
}

# run_head LINES COMMAND...: the same, with only the first lines of what it prints.
run_head()
{
    local lines=$1 total
    shift
    echo "\$ $*"
    timed "$@" >"$dir/.output" || die "this command failed: $*"
    head -n "$lines" "$dir/.output"
    total=$(wc -l <"$dir/.output")
    [ "$total" -le "$lines" ] || echo "... and $((total - lines)) lines more"
    rm "$dir/.output"
    echo "[$seconds]"
}

mib()
{
    printf '%d.%d MiB' $(($1 >> 20)) $((($1 & 1048575) * 10 >> 20))
}

# What an image and all below it take on this machine's storage, in bytes.
chain_bytes()
{
    embr-img info --backing-chain --output=json "$1" | python3 -c 'import json, sys
print(sum(image.get("actual-size", 0) for image in json.load(sys.stdin)))'
}

# Sets root to the path of a volume whose files can be read, "" for the root of a disk
# without partitions; one with an /etc is preferred. Fails if there is none.
find_root()
{
    local path paths
    paths=$(embr-img volumes --output=json "$1" | python3 -c 'import json, sys
for volume in json.load(sys.stdin)["volumes"]:
    print("/p%d" % volume["number"] if volume["number"] else "/")') || return 1
    for path in $paths; do
        if embr-img ls "$1" "${path%/}/etc" >/dev/null 2>&1; then
            root=${path%/}
            return 0
        fi
    done
    for path in $paths; do
        if embr-img ls "$1" "$path" >/dev/null 2>&1; then
            root=${path%/}
            return 0
        fi
    done
    return 1
}

step "Installing what is missing, building"
if $install; then
    groups=(--build)
    [ -n "$image" ] || groups+=(--demo)
    "$source_dir/scripts/install-deps.sh" "${groups[@]}" ||
        die "the packages named above are needed"
fi
if [ ! -f "$builddir/build.ninja" ]; then
    meson setup "$builddir" "$source_dir" -Dtests=disabled >"$builddir.log" 2>&1 ||
        { cat "$builddir.log" >&2; die "meson setup failed"; }
    rm "$builddir.log"
fi
timed ninja -C "$builddir" --quiet || die "the build failed"
export PATH=$builddir/tools:$PATH
embr-img --version
echo "[$seconds]"
mkdir -p "$dir"
cd "$dir"

if [ -z "$image" ]; then
    step "Making a disk of files of this machine"
    timed "$source_dir/scripts/make-demo-disk.sh" "$dir" || die "the disk was not made"
    ls -sh --block-size=KiB base.qcow2 vm.qcow2
    echo "[$seconds]"
    image=vm.qcow2
fi
name=$(basename "$image")
name=${name%.*}
engram=$name.engram raw=$name.raw
rm -f "$engram" "$raw"

step "The disk"
run embr-img info --backing-chain "$image"

step "Into an engram"
run embr-img convert -p -O engram "$image" "$engram"
encode_time=$seconds

step "Is it right?"
run_head 24 embr-img info "$engram"
run embr-img check "$engram"
run embr-img compare "$image" "$engram"

step "What is in it, without unpacking"
run embr-img volumes "$engram"
if find_root "$engram"; then
    folder=$root/etc
    embr-img ls "$engram" "$folder" >/dev/null 2>&1 || folder=$root/
    run_head 12 embr-img ls -l "$engram" "$folder"
    if embr-img cat "$image" "$root/etc/os-release" >/dev/null 2>&1; then
        run embr-img cat "$image" "$root/etc/os-release"
    fi
    run embr-img extract "$engram" "$folder" -o files.tar
    run_head 5 tar -tf files.tar
else
    echo "No volume has a filesystem that this version reads: its blocks are kept, but not"
    echo "listed."
fi

step "And back"
run embr-img convert -p -O raw "$engram" "$raw"
decode_time=$seconds
run embr-img compare "$image" "$raw"
if command -v qemu-img >/dev/null; then
    run qemu-img compare "$image" "$raw"
fi

source_bytes=$(chain_bytes "$image")
engram_bytes=$(stat -c %s "$engram")
raw_bytes=$(stat -c %s "$raw")
rm -f "$raw"

step "Done"
row()
{
    printf '%-36s %s\n' "$1" "$2"
}
row "disk as the guest sees it" "$(mib "$raw_bytes")"
row "$(basename "$image"), with what is below it" "$(mib "$source_bytes")"
row "$engram" "$(mib "$engram_bytes")"
row "into the engram" "$encode_time"
row "back to raw" "$decode_time"
echo
echo "The engram: $dir/$engram"
echo "The program: $builddir/tools/embr-img"
echo "To install it with its manual page: meson install -C $builddir"
