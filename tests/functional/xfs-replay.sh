#!/bin/bash
# A filesystem that was cut off is shown as it is once the kernel has replayed its log.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/xfs-common.sh"
need xfs_io
need_xfs_mount
count=0

# cut_off MODE: the mounted image becomes ./dirty, as it was at a moment, and is unmounted.
cut_off()
{
    case $1 in
    log) xfs_io -x -c 'shutdown -f' mnt ;;              # with the log written out
    at-once) xfs_io -x -c shutdown mnt ;;               # without
    copied) xfs_io -r -c fsync mnt ;; # the log is, as power goes
    esac
    cp --sparse=always image dirty
    umount mnt
}

# same_as_replayed NAME: what we say of ./dirty is what the kernel makes of it.
same_as_replayed()
{
    cp --sparse=always dirty image
    mount -o loop image mnt || fail "$1: the kernel does not replay it"
    umount mnt
    dump_theirs theirs
    "$fs_dump" -b dirty >dump 2>errors.txt || { cat errors.txt >&2; fail "$1: fs-dump"; }
    grep '^warning' errors.txt >&2 && fail "$1: there are warnings"
    grep -v '^use ' dump >ours
    python3 "$tests/fs-tree.py" compare ours theirs >&2 || fail "$1: not what the kernel shows"
    # What is free is so to the kernel, too, but for a few blocks that it takes to mount.
    "$fs_dump" -b image 2>/dev/null >after
    python3 - dump after <<'PYTHON' || fail "$1: blocks that are in use are free"
import sys
def free(name):
    found = set()
    for line in open(name):
        if line.startswith('use free '):
            at, length = map(int, line.split()[2:])
            found.update(range(at // 512, (at + length) // 512))
    return found
ours, theirs = free(sys.argv[1]), free(sys.argv[2])
assert ours and len(ours - theirs) <= 2048, len(ours - theirs)
PYTHON
    count=$((count + 1))
}

# try NAME MODE MKFS-OPTION...: aged, synced, aged more, and cut off.
try()
{
    local name=$1 mode=$2
    shift 2
    new_xfs 320M "$@" || fail "$name: mkfs.xfs"
    mount -o loop image mnt || { echo "$name: not mounted by this kernel"; return; }
    python3 "$tests/churn.py" mnt 1 300
    sync -f mnt
    python3 "$tests/churn.py" mnt 2 300
    cut_off "$mode"
    same_as_replayed "$name"
}

try plain log
try at-once at-once
try copied copied -i nrext64=0
try small-blocks log -b size=1024 -n size=4096 -i sparse=1
try rmap copied -m rmapbt=1,reflink=1
try old log -m bigtime=0,reflink=0,inobtcount=0 -i size=1024

# All that there is in a log, in a filesystem that was never synced: every type of file, all
# forms of directories and attributes; then much of it removed, and other things in its place.
new_xfs 320M -m rmapbt=1
mount -o loop image mnt
python3 "$tests/make-tree.py" mnt block=4096 target=1024 many=2000 2>/dev/null
cut_off copied
same_as_replayed "a tree"
# The log is replayed where it has replaced what was there before, too.
mount -o loop dirty mnt
find mnt -mindepth 1 -maxdepth 1 | sort | sed -n 'p;n' | xargs rm -rf
python3 "$tests/churn.py" mnt 5 400
cut_off log
same_as_replayed "where a tree was"
# An engram keeps the disk as it is, and its files are those of the replayed log.
"$EMBR_IMG" convert -O engram -o free_space=drop dirty dirty.engram 2>said.txt ||
    { cat said.txt >&2; fail "convert"; }
"$EMBR_IMG" convert -O raw dirty.engram image || fail "convert back"
"$fs_dump" image >back 2>errors.txt || { cat errors.txt >&2; fail "free space dropped"; }
python3 "$tests/fs-tree.py" compare back theirs >&2 || fail "free space dropped: not what the kernel shows"
mount -o loop image mnt || fail "free space dropped: the kernel does not replay it"
umount mnt
dump_theirs back
python3 "$tests/fs-tree.py" compare back theirs >&2 || fail "free space dropped, replayed by the kernel"

# A file without a name that was open.
new_xfs 320M
mount -o loop image mnt
python3 - mnt <<'PYTHON'
import os, sys
os.chdir(sys.argv[1])
with open('gone', 'wb') as file:
    file.write(b'gone' * 100000)
    os.unlink('gone')
    open('stays', 'w').close()
    os.fsync(file.fileno())
    os.system('xfs_io -x -c "shutdown -f" .')
PYTHON
cut_off none
same_as_replayed "a file without a name"

# Records of 256 KiB go round a log of 64 MiB.
new_xfs 320M -l size=64m,version=2,su=256k
for round in 1 150 250; do
    mount -o loop image mnt
    python3 - mnt "$round" <<'PYTHON'
import os, sys
for i in range(int(sys.argv[2])):
    name = '%s/%s-%d' % (sys.argv[1], sys.argv[2], i)
    with open(name, 'w') as file:
        file.write(name)
        os.fsync(file.fileno())
PYTHON
    cut_off copied
    same_as_replayed "after $round"
    grep -q "^$round-0 " ours || fail "after $round: a file is not there"
done

# What was last in flight may be torn: it is as if it had not been begun.  What is damaged
# before is told of.
head=$(xfs_logprint -t dirty 2>/dev/null | sed -n 's/.*head: \([0-9]*\).*/\1/p' | head -1)
start=$(xfs_db -r -c 'sb 0' -c 'print logstart' dirty | awk '{ print $3 }')
start=$(xfs_db -r -c "convert fsb $start byte" dirty | sed 's/.*(\([0-9]*\)).*/\1/')
[ -n "$head" ] || fail "no head"
cp --sparse=always dirty whole
printf 'torn' | dd of=dirty bs=1 seek=$((start + head * 512 - 512 + 100)) conv=notrunc status=none
same_as_replayed "a torn record"
cp --sparse=always whole dirty
tail=$(xfs_logprint -t dirty 2>/dev/null | sed -n 's/.*tail: \([0-9]*\).*/\1/p' | head -1)
printf 'torn' | dd of=dirty bs=1 seek=$((start + tail * 512 + 700)) conv=notrunc status=none
status=0
"$fs_dump" dirty >ours 2>errors.txt || status=$?
[ "$status" -le 1 ] || { cat errors.txt >&2; fail "a damaged record: status $status"; }
grep -q '^warning.*log: the checksum of a record is .*the log is not replayed' errors.txt ||
    { cat errors.txt >&2; fail "a damaged record: no warning"; }
echo "$count logs replayed"
