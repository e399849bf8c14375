# What the tests of writing partition tables share; source it after volumes-common.sh.
need sgdisk sfdisk parted python3

part()
{
    "$EMBR_IMG" part "$@" >part.txt 2>&1 || fail "part $*: $(cat part.txt)"
}

# refuse PATTERN ARGUMENT...: an error, and nothing is changed.
refuse()
{
    local pattern=$1
    shift
    touch -d 2001-01-01 disk
    expect_failure 1 "$pattern" "$EMBR_IMG" part "$@"
    [ "$(stat -c %Y disk)" = "$(date -d 2001-01-01 +%s)" ] || fail "part $*: the disk is written to"
}

# accept: all tools and we find nothing wrong, and read the same.
accept()
{
    "$EMBR_IMG" part verify disk >verify.txt || fail "verify: $(cat verify.txt)"
    volumes table.json
    no_warnings table.json
    as_sfdisk table.json
    sfdisk --verify disk >verify.txt 2>&1 || fail "sfdisk --verify: $(cat verify.txt)"
    ! grep -qiE 'overlap|outside|error|invalid|wrong' <(grep -v 'No errors' verify.txt) ||
        fail "sfdisk --verify: $(cat verify.txt)"
    parted -s -m disk unit s print >parted.txt 2>&1 || fail "parted: $(cat parted.txt)"
    ! grep -v 'translate partition name' parted.txt | grep -qiE 'warning|error' || fail "parted: $(cat parted.txt)"
    python3 - <<'END' || fail "parted reads other partitions: $(cat parted.txt)"
import json
table = json.load(open('table.json'))
found = sorted((int(f[0]), int(f[1][:-1]), int(f[3][:-1])) for f in
               (line.rstrip(';\n').split(':') for line in open('parted.txt')) if f[0].isdigit())
mine = [(v['number'], v['offset'] // table['sector-size'], v['size'] // table['sector-size'])
        for v in table['volumes']]
assert found == mine, (found, mine)
END
    if grep -q '"gpt"' table.json; then
        sgdisk -v disk >verify.txt 2>&1 || fail "sgdisk -v: $(cat verify.txt)"
        grep -q 'No problems found' verify.txt || fail "sgdisk -v: $(cat verify.txt)"
    fi
}

