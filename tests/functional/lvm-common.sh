# What the tests of LVM share; source it after common.sh.  There need not be a
# device-mapper: volumes are made without being activated, and what is in them is put where
# lvs says that they are.
need lvm sfdisk mke2fs python3

LVM_PVS=()
export LVM_SUPPRESS_FD_WARNINGS=1

# lv COMMAND...: a command of lvm that sees only our physical volumes.
lv()
{
    local filter="" pv
    for pv in "${LVM_PVS[@]}"; do
        filter+="\"a|^$pv\$|\","
    done
    lvm "$@" --driverloaded n --config "devices { filter=[ $filter \"r|.*|\" ]
        use_devicesfile=0 hints=\"none\" } backup { backup=0 archive=0 }
        activation { monitoring=0 udev_sync=0 udev_rules=0 }
        global { event_activation=0 use_lvmpolld=0 }" >lvm.txt 2>&1 || {
        cat lvm.txt >&2
        fail "lvm $*"
    }
    grep -vE 'WARNING|^ *$' lvm.txt || true
}

# attach_pvs FILE [START-SECTORS SECTORS]...: sets LVM_PVS to loop devices, of these parts
# of it.
attach_pvs()
{
    local file=$1
    shift
    LVM_PVS=()
    while [ $# -gt 0 ]; do
        attach_loop "$file" -o $(($1 * 512)) --sizelimit $(($2 * 512))
        LVM_PVS+=("$LOOP")
        shift 2
    done
}

# put_in_lv DISK GROUP/VOLUME FILE START-SECTORS...: writes FILE into the volume; the
# physical volumes begin at these sectors of DISK, in the order of LVM_PVS.
put_in_lv()
{
    local disk=$1 volume=$2 file=$3
    shift 3
    lv lvs --reportformat json --units b --nosuffix \
        -o seg_start_pe,seg_size_pe,stripes,stripe_size,seg_pe_ranges,vg_extent_size \
        "$volume" >segments.json
    lv pvs --reportformat json --units b --nosuffix -o pv_name,pe_start >pvs.json
    python3 - "$disk" "$file" "${LVM_PVS[@]}" -- "$@" <<'END' || fail "writing into $volume"
import json, sys
disk, file = sys.argv[1:3]
split = sys.argv.index('--')
starts = dict(zip(sys.argv[3:split], (int(n) * 512 for n in sys.argv[split + 1:])))
for pv in json.load(open('pvs.json'))['report'][0]['pv']:
    starts[pv['pv_name']] += int(pv['pe_start'])
content = open(file, 'rb').read()
segments = json.load(open('segments.json'))['report'][0]
with open(disk, 'r+b') as out:
    for seg in segments.get('seg') or segments['lv']:
        extent = int(seg['vg_extent_size'])
        at = int(seg['seg_start_pe']) * extent
        size = int(seg['seg_size_pe']) * extent
        places = []
        for area in seg['seg_pe_ranges'].split():
            pv, extents = area.rsplit(':', 1)
            places.append(starts[pv] + int(extents.split('-')[0]) * extent)
        step = int(seg['stripe_size']) or size
        for i, pos in enumerate(range(0, size, step)):
            out.seek(places[i % len(places)] + i // len(places) * step)
            out.write(content[at + pos:at + min(pos + step, size)])
END
}

# edit_group GROUP PROGRAM: has python change text, the group's metadata, and LVM
# write it.
edit_group()
{
    lv vgcfgbackup -f group.txt "$1" >/dev/null
    python3 - "$2" <<'END' || fail "no change to $1"
import re, sys
text = before = open('group.txt').read()
scope = {'text': text, 're': re}
exec(sys.argv[1], scope)
assert scope['text'] != before
open('group.txt', 'w').write(scope['text'])
END
    lv vgcfgrestore --force -y -f group.txt "$1" >/dev/null
}

# A tree with files that reach over many stripes, into the folder $1.
make_tree()
{
    mkdir -p "$1/etc/deep/er"
    echo "$1" >"$1/etc/name"
    random_file "$1/etc/deep/er/big" 5000000 "$2"
    random_file "$1/medium" 200000 $(($2 + 1))
    ln -s etc/name "$1/link"
    ln "$1/medium" "$1/etc/hard"
}
