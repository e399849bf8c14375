#!/bin/bash
# From a fresh clone to an engram: installs what is missing, builds, and takes a disk
# through everything embr-img does.
#
#   scripts/quickstart.sh [--no-install] [--no-build] [--builddir DIR] [--dir DIR] [IMAGE]
#
# IMAGE is only read. Without one, a disk is made from files of this machine. The build is
# made in --builddir (build-quickstart), images in --dir (disks in there), where the engram
# stays and the raw copy is removed. Nothing that is there already is replaced, but for
# an engram of an earlier run in the default directory. Root is needed only to install
# packages; sudo is used if there is something to install.
set -euo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export LC_ALL=C.UTF-8

die()
{
    echo "quickstart: $*" >&2
    exit 1
}

install=true build=true
builddir=$source_dir/build-quickstart dir='' image=''
while [ $# -gt 0 ]; do
    case $1 in
    --no-install) install=false ;;
    --no-build) build=false ;;
    --builddir) builddir=$(realpath -m "$2"); shift ;;
    --dir) dir=$(realpath -m "$2"); shift ;;
    -*) die "unknown option $1; expected --no-install, --no-build, --builddir DIR, --dir DIR" ;;
    *) [ -z "$image" ] || die "expected one image, found $image and $1"
       [ -r "$1" ] || die "cannot read $1"
       image=$(realpath "$1") ;;
    esac
    shift
done
replace=false
if [ -z "$dir" ]; then
    dir=$builddir/disks
    replace=true
fi

seconds=''                  # what the last command took

# timed COMMAND...
timed()
{
    local start=$EPOCHREALTIME
    "$@" || return
    local us=$((${EPOCHREALTIME/[.,]/} - ${start/[.,]/}))
    seconds=$(printf '%d.%02d s' $((us / 1000000)) $((us / 10000 % 100)))
}

step()
{
    printf '\n=== %s\n' "$*"
}

# show COMMAND...: as one would type it
show()
{
    local words
    printf -v words ' %q' "$@"
    echo "\$$words"
}

# run COMMAND...: shows it, runs it, says how long it took.
run()
{
    show "$@"
    timed "$@" || die "this command failed: $*"
    echo "[$seconds]"
}

# run_head LINES COMMAND...: the same, with only the first lines of what it prints.
run_head()
{
    local lines=$1 total
    shift
    show "$@"
    timed "$@" >"$scratch/output" || die "this command failed: $*"
    head -n "$lines" "$scratch/output"
    total=$(wc -l <"$scratch/output")
    [ "$total" -le "$lines" ] || echo "... and $((total - lines)) lines more"
    echo "[$seconds]"
}

size()
{
    numfmt --to=iec-i --suffix=B --format=%.1f "$1"
}

format_of()
{
    embr-img info --output=json "$1" | python3 -c 'import json, sys
print(json.load(sys.stdin)["format"])'
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
        die "packages are missing"
fi
if $build && [ ! -f "$builddir/build.ninja" ]; then
    command -v meson >/dev/null || die "meson is not installed"
    log=$(meson setup "$builddir" "$source_dir" -Dtests=disabled 2>&1) ||
        die "meson setup failed:"$'\n'"$log"
fi
if $build; then
    timed ninja -C "$builddir" --quiet || die "the build failed"
    echo "[$seconds]"
fi
export PATH=$builddir/tools:$PATH
embr-img --version
mkdir -p "$dir"
cd "$dir"
scratch=$(mktemp -d scratch.XXXXXX)
trap 'rm -rf "$dir/$scratch"' EXIT

if [ -z "$image" ]; then
    image=vm.qcow2
    if [ -e vm.qcow2 ]; then
        step "The disk that was made before"
    else
        step "Making a disk of files of this machine"
        timed "$source_dir/scripts/make-demo-disk.sh" "$dir" || die "the disk was not made"
        echo "[$seconds]"
    fi
    ls -sh --block-size=KiB base.qcow2 vm.qcow2
fi
name=$(basename "$image")
name=${name%.*} name=${name/#-/_}
engram=$name.engram raw=$scratch/$name.raw
$replace || [ ! -e "$engram" ] || die "$dir/$engram is there already"

step "The disk"
format=$(format_of "$image")
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
    run embr-img extract "$engram" "$folder" -o "$scratch/files.tar"
    run_head 5 tar -tf "$scratch/files.tar"
else
    echo "No volume has a filesystem that this version reads: its blocks are kept, but not"
    echo "listed."
fi

step "And back"
run embr-img convert -p -O raw "$engram" "$raw"
decode_time=$seconds
run embr-img compare "$image" "$raw"
if [ "$format" != engram ] && command -v qemu-img >/dev/null; then
    run qemu-img compare "$image" "$raw"
fi

source_bytes=$(chain_bytes "$image")
engram_bytes=$(stat -c %s "$engram")
raw_bytes=$(stat -c %s "$raw")

step "Done"
row()
{
    printf '%-36s %s\n' "$1" "$2"
}
row "disk as the guest sees it" "$(size "$raw_bytes")"
row "$(basename "$image"), with what is below it" "$(size "$source_bytes")"
row "$engram" "$(size "$engram_bytes")"
row "into the engram" "$encode_time"
row "back to raw" "$decode_time"
echo
echo "The engram: $dir/$engram"
echo "The program: $builddir/tools/embr-img"
echo "To install it with its manual page: meson install -C $builddir"
