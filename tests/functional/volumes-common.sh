# What the tests of partition tables share; source it after common.sh.

# A disk of that many bytes, all zeroes.
new_disk()
{
    rm -f disk
    truncate -s "$1" disk
}

# volumes FILE: what embr-img says of its table, as JSON in FILE.
volumes()
{
    "$EMBR_IMG" volumes --output=json disk >"$1" || fail "volumes failed"
}

# no_warnings FILE / warns FILE PATTERN: of what volumes wrote.
warnings()
{
    python3 -c 'import json, sys
print("\n".join(json.load(open(sys.argv[1]))["warnings"]))' "$1"
}

warns()
{
    warnings "$1" | grep -qE -e "$2" || {
        warnings "$1" >&2
        fail "no warning like '$2'"
    }
}

no_warnings()
{
    [ -z "$(warnings "$1")" ] || {
        warnings "$1" >&2
        fail "unexpected warnings"
    }
}

# same_volumes FILE FILE: all but the warnings is equal.
same_volumes()
{
    local file
    for file; do
        python3 -c 'import json, sys
table = json.load(open(sys.argv[1]))
del table["warnings"]
json.dump(table, open(sys.argv[1] + ".bare", "w"))' "$file"
    done
    same_json "$1.bare" "$2.bare"
}

# as_sfdisk FILE: what volumes wrote is what sfdisk says of the disk.
as_sfdisk()
{
    sfdisk -J disk >sfdisk.json || fail "sfdisk failed"
    python3 - "$1" sfdisk.json <<'END' || fail "embr-img and sfdisk differ"
import json, re, sys

mine = json.load(open(sys.argv[1]))
theirs = json.load(open(sys.argv[2]))['partitiontable']
sector = theirs.get('sectorsize', 512)
gpt = theirs['label'] == 'gpt'

def type_of(part):
    return part['type'].lower() if gpt else '0x%02x' % int(part['type'], 16)

def bootable(part):
    return part.get('bootable', False) or 'LegacyBIOSBootable' in part.get('attrs', '')

expected = [{
    'number': int(re.search(r'\d+$', part['node'])[0]),
    'offset': part['start'] * sector,
    'size': part['size'] * sector,
    'type': type_of(part),
    'partition-uuid': part['uuid'].lower() if gpt else None,
    'partition-name': part.get('name'),
    'bootable': bool(bootable(part)),
} for part in theirs.get('partitions', [])]
expected.sort(key=lambda part: part['number'])
found = [{key: part.get(key) for key in (expected or [{}])[0]} for part in mine['volumes']]
if not gpt:
    for part in found:
        number = re.fullmatch('[0-9a-f]{8}-([0-9a-f]{2})', part['partition-uuid'])[1]
        assert int(number, 16) == part['number'], part
        part['partition-uuid'] = None

def check(what, a, b):
    if a != b:
        sys.exit(f'{what}: embr-img says\n{a}\nsfdisk says\n{b}')

check('label', mine['type'], theirs['label'])
check('sector size', mine['sector-size'], sector)
disk_id = theirs['id'].lower()
check('id', mine['disk-id'], disk_id if gpt else '%08x' % int(disk_id, 16))
check('number of partitions', len(found), len(expected))
for a, b in zip(found, expected):
    check('partition', a, b)
END
}

# kernel_list: number, start, sectors of what the kernel finds on disk, in order; nothing
# if it does not look.
kernel_list()
{
    local loop part
    [ "$(id -u)" = 0 ] && loop=$(losetup --show -f -r -P disk 2>/dev/null) || return 0
    for part in "/sys/block/${loop#/dev/}/${loop#/dev/}"p*; do
        if [ -e "$part/partition" ]; then
            echo "$(<"$part/partition") $(<"$part/start") $(<"$part/size")"
        fi
    done | sort -n
    losetup -d "$loop"
}

# as_linux [PATTERN]: same numbers, offsets and sizes; warnings only like PATTERN.
as_linux()
{
    volumes table.json
    if [ $# -gt 0 ]; then
        warns table.json "$1"
    else
        no_warnings table.json
    fi
    python3 -c 'import json
for v in json.load(open("table.json"))["volumes"]:
    print(v["number"], v["offset"] // 512, v["size"] // 512)' >embr.txt
    [ -s embr.txt ] || fail "no partitions"
    partx -s -g -o NR,START,SECTORS disk | awk '{ print $1, $2, $3 }' >partx.txt
    same embr.txt partx.txt "what embr-img and partx find"
    # Of an extended partition the kernel shows no more than its boot record.
    kernel_list >kernel.txt
    [ ! -s kernel.txt ] || python3 - <<'END' || fail "embr-img and the kernel differ"
from sys import exit
embr, kernel = ([line.split() for line in open(name)] for name in ('embr.txt', 'kernel.txt'))
exit(len(embr) != len(kernel) or
     any(a[:2] != b[:2] or b[2] not in (a[2], '2') for a, b in zip(embr, kernel)))
END
}
