# What the qcow2 tests share; source it after common.sh.
#
# qemu-img and qemu-io make the images and say what is in them.

need qemu-img qemu-io python3

find_aio_modes

# qcow2_ops SEED DISK-BYTES CLUSTER-BYTES KIND [COUNT]: prints qemu-io commands, one a
# line, that leave every sort of cluster behind.  KIND is "compress" if compressed
# clusters may be written.
qcow2_ops()
{
    [ -e noise ] || random_file noise 300000 1
    python3 - "$@" <<'END'
import random, sys
seed, size, cluster, kind = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
count = int(sys.argv[5]) if len(sys.argv) > 5 else 24
random.seed(seed)
clusters = size // cluster

def run(most):
    first = random.randrange(clusters)
    return first, min(random.randint(1, most), clusters - first)

def unaligned():
    length = random.choice([512, 4096, cluster // 2 + 512, 2 * cluster]) & ~511
    length = min(length, size, 1 << 20)
    return random.randrange(0, size - length + 1, 512), length

if kind == 'compress':
    for _ in range(count // 3):
        first, n = run(3)
        for i in range(first, first + n):
            what = random.choice(['-P %d' % random.randrange(1, 256), '-s noise'])
            print('write -c %s %d %d' % (what, i * cluster, cluster))
for _ in range(count):
    op = random.choice(['data', 'data', 'noise', 'zero', 'unmap', 'discard', 'part', 'partzero'])
    first, n = run(4)
    where = '%d %d' % (first * cluster, n * cluster)
    part = '%d %d' % unaligned()
    print({'data': 'write -P %d %s' % (random.randrange(256), where),
           'noise': 'write -s noise ' + part,
           'zero': 'write -z ' + where,
           'unmap': 'write -z -u ' + where,
           'discard': 'discard ' + where,
           'part': 'write -P %d %s' % (random.randrange(256), part),
           'partzero': 'write -z ' + part}[op])
END
}

# fill IMAGE OPS...: runs the qemu-io commands of qcow2_ops. Some fail, as compressed
# clusters cannot be written twice; what counts is what is in the image then.
fill()
{
    local image=$1 line
    local -a args=()
    shift
    while IFS= read -r line; do
        args+=(-c "$line")
    done < <(qcow2_ops "$@")
    qemu-io -d unmap -f qcow2 "${args[@]}" "$image" >qemu-io.log 2>&1 || true
}

# same_answers A B WHAT: two JSON answers, but for what newer versions of qemu-img add.
same_answers()
{
    python3 - "$1" "$2" <<'END' || fail "$3"
import json, sys

def plain(value):
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()
                if k not in ('children', 'compressed', 'filename') or
                k == 'compressed' and 'depth' not in value}
    return value

a, b = (plain(json.load(open(name))) for name in sys.argv[1:])
if a != b:
    if isinstance(a, list):
        a, b = [x for x in a if x not in b], [x for x in b if x not in a]
    print('embr-img:', json.dumps(a), '\nqemu-img:', json.dumps(b), file=sys.stderr)
    sys.exit(1)
END
}

# same_disk IMAGE RAW WHAT [CONVERT-OPTION...]: embr-img reads the disk that is in RAW,
# in both aio modes.
same_disk()
{
    local image=$1 raw=$2 what=$3 mode
    shift 3
    for mode in $AIO_MODES; do
        EMBR_AIO=$mode "$EMBR_IMG" convert "$@" -O raw "$image" got.raw
        same "$raw" got.raw "$what, aio $mode: disk"
        rm -f got.raw
    done
    same_through_engram "$image" "$raw" "$what" "$@"
}

# agree IMAGE WHAT: embr-img and qemu-img say the same of the image and of what is in
# it, in both aio modes.
agree()
{
    local image=$1 what=$2
    qemu-img convert -f qcow2 -O raw "$image" expected.raw
    same_disk "$image" expected.raw "$what"
    qemu-img map --output=json "$image" >map.qemu
    "$EMBR_IMG" map --output=json "$image" >map.embr
    same_answers map.embr map.qemu "$what: map"
    qemu-img info --output=json "$image" >info.qemu
    "$EMBR_IMG" info --output=json "$image" >info.embr
    same_answers info.embr info.qemu "$what: info"
    same_check "$image" "$what"
}

# same_check IMAGE WHAT: the same numbers and exit status.
same_check()
{
    local status=0 expected=0
    qemu-img check --output=json -f qcow2 "$1" >check.qemu 2>check.qemu.err || expected=$?
    "$EMBR_IMG" check --output=json -f qcow2 "$1" >check.embr 2>check.err || status=$?
    [ "$status" = "$expected" ] || {
        cat check.err >&2
        fail "$2: check exits with $status, qemu-img with $expected"
    }
    same_answers check.embr check.qemu "$2: check" || {
        head -5 check.err check.qemu.err >&2
        exit 1
    }
}

# try KIND CLUSTER-BYTES OPTIONS [CREATE-ARGUMENT...]: an image with these options, filled.
seed=0
try()
{
    local kind=$1 cluster=$2 options=$3
    shift 3
    local size=$((cluster * 20 + cluster / 2))
    [ "$size" -ge 1048576 ] || size=$((1048576 + 512 * 3))
    seed=$((seed + 1))
    rm -f t.qcow2 t.data
    qemu-img create -q -f qcow2 -o "cluster_size=$cluster,$options" "$@" t.qcow2 "$size"
    fill t.qcow2 "$seed" "$size" "$cluster" "$kind"
    agree t.qcow2 "cluster_size=$cluster,$options"
}
