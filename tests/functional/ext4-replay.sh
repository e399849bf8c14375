#!/bin/bash
# Journals of every format, made by debugfs, must be read as e2fsck replays them. Needs no
# privileges.
source "$(dirname "$0")/common.sh"
need mke2fs debugfs e2fsck python3

fs_dump=$EMBR_BUILD/tests/functional/fs-dump
tests=$EMBR_SOURCE/tests/functional
mkdir src
for i in 1 2 3; do
    random_file "src/file-$i" 20480 "$i"
done
random_file new 8192 4
printf '\xc0\x3b\x39\x98' | dd of=new conv=notrunc status=none

# check NAME JOURNAL-OPTIONS JOURNAL-FEATURE MKE2FS-OPTION...
check()
{
    local name=$1 options=$2 feature=$3 first second
    shift 3
    rm -f image
    truncate -s 16M image
    mke2fs -q -F -b 4096 -d src "$@" image
    "$fs_dump" image >before 2>errors.txt
    first=$(debugfs -R 'blocks /file-1' image 2>/dev/null | cut -d' ' -f1-2)
    second=$(debugfs -R 'blocks /file-2' image 2>/dev/null | cut -d' ' -f1-2)
    # Two files are changed; the change to the second one is revoked, but for one block that
    # is written once more.
    cat >commands <<END
jo $options
jw -b ${first/ /,} new
jw -b ${second/ /,} new
jw -r ${second/ /,}
jw -b ${second% *} new
jc
END
    debugfs -w -f commands image >debugfs.txt 2>&1
    dumpe2fs -h image 2>/dev/null | grep -q "Journal features:.*$feature" ||
        fail "$name: the journal is of another format"
    "$fs_dump" image >ours 2>errors.txt || { cat errors.txt >&2; fail "$name: fs-dump"; }
    same_through_engram image image "$name"
    cp image copy
    e2fsck -E journal_only -y copy >e2fsck.txt 2>&1 || [ $? = 1 ] ||
        { cat e2fsck.txt >&2; fail "$name: e2fsck"; }
    dumpe2fs -h copy 2>/dev/null | grep -q needs_recovery && fail "$name: not replayed"
    "$fs_dump" copy >theirs 2>errors.txt
    python3 "$tests/fs-tree.py" compare ours theirs >&2 || fail "$name: not as replayed"
    if python3 "$tests/fs-tree.py" compare before theirs >/dev/null 2>&1; then
        fail "$name: the replay changes nothing"
    fi
}

check plain '' revoke -t ext4 -O ^metadata_csum
check plain-32bit '' revoke -t ext3
check v2 '-c -v 2' checksum_v2 -t ext4
check v2-32bit '-c -v 2' checksum_v2 -t ext4 -O ^64bit
check v3 '-c -v 3' checksum_v3 -t ext4
check v3-32bit '-c -v 3' checksum_v3 -t ext4 -O ^64bit
