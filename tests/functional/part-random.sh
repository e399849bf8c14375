#!/bin/bash
# Partition tables at random, in both directions: what embr-img writes, sfdisk reads; what
# sfdisk, sgdisk and parted write, embr-img reads and changes.
source "$(dirname "$0")/common.sh"
need sgdisk sfdisk parted python3

python3 - "$EMBR_IMG" <<'END' || fail "see above"
import json, random, re, subprocess, sys

embr = sys.argv[1]
MIB = 1 << 20
TYPES = {'linux': ('0fc63daf-8483-4772-8e79-3d69d8477de4', 0x83),
         'swap': ('0657fd6d-a4ab-43c4-84e5-0933c84b4f4f', 0x82),
         'lvm': ('e6d6d379-f507-44c2-a23c-238f2a3df928', 0x8e),
         'efi': ('c12a7328-f81f-11d2-ba4b-00a0c93ec93b', 0xef)}


def run(*args, status=0, **options):
    result = subprocess.run(args, capture_output=True, text=True, **options)
    if result.returncode != status:
        sys.exit('%s: exit status %d\n%s%s' % (' '.join(args), result.returncode, result.stdout,
                                               result.stderr))
    return result.stdout


def sfdisk_list():
    table = json.loads(run('sfdisk', '-J', 'disk'))['partitiontable']
    gpt = table['label'] == 'gpt'
    return {int(re.search(r'\d+$', p['node'])[0]):
            (p['start'] * 512, p['size'] * 512,
             p['type'].lower() if gpt else '0x%02x' % int(p['type'], 16), p.get('name'),
             p.get('uuid', '').lower() or None)
            for p in table.get('partitions', [])}


def embr_list():
    table = json.loads(run(embr, 'part', 'list', '--output=json', 'disk'))
    gpt = table['type'] == 'gpt'
    assert not table['warnings'], table
    return {p['number']: (p['offset'], p['size'], p['type'], p.get('name'),
                          p['uuid'] if gpt else None) for p in table['partitions']}


def check(what):
    mine, theirs = embr_list(), sfdisk_list()
    if mine != theirs:
        sys.exit('%s: embr-img reads\n%s\nsfdisk\n%s' % (what, mine, theirs))
    run(embr, 'part', 'verify', 'disk')
    verify = run('sfdisk', '--verify', 'disk')
    if 'No errors' not in verify:
        sys.exit('%s: sfdisk: %s' % (what, verify))
    return mine


def new_disk(size):
    with open('disk', 'wb') as file:
        file.truncate(size)


def edit(rng, gpt, steps, what):
    """Adds and deletes with embr-img; what it says it does is what sfdisk then reads."""
    for step in range(steps):
        before = check(what)
        numbers = list(before)
        if numbers and rng.random() < 0.35:
            gone = rng.choice([n for n in numbers if gpt or n > 4] or [0])
            if gone:
                run(embr, 'part', 'delete', 'disk', str(gone))
                after = check(what)
                left = [v for n, v in before.items() if n != gone]
                assert sorted(after.values(), key=repr) == sorted(left, key=repr), (before, after)
                continue
        kind = rng.choice(list(TYPES))
        size = rng.choice((rng.randrange(1, 4000) * 512, rng.randrange(1, 5) * MIB))
        args = ['--size', str(size), '--type', kind]
        if rng.random() < 0.3:
            args += ['--align', rng.choice(('512', '4k', '64k'))]
        if gpt:
            args += ['--name', ''.join(rng.choice('aä漢 -') for _ in range(rng.randrange(1, 20)))]
        elif rng.random() < 0.7:
            args += ['--logical']
        result = subprocess.run([embr, 'part', 'add', *args, 'disk'], capture_output=True,
                                text=True)
        if result.returncode:
            if not re.search('no room|are in use|no extended', result.stderr):
                sys.exit('%s: %s: %s' % (what, args, result.stderr))
            assert check(what) == before
            continue
        after = check(what)
        number = int(result.stdout[1:])
        offset, length, type_, name, uuid = after.pop(number)
        assert after == before, (what, args, before, after)
        assert (length, type_) == (size, TYPES[kind][0] if gpt else '0x%02x' % TYPES[kind][1])
        assert not gpt or name.rstrip() == args[-1].rstrip(), (name, args)


def by_sfdisk(rng, gpt):
    lines, at, extended = ['label: ' + ('gpt' if gpt else 'dos')], 2048, not gpt
    if extended:
        lines.append('2: start=%d, size=100000, type=f' % (at + 20000))
    for i in range(rng.randrange(1, 8)):
        size = rng.randrange(1, 4000)
        if gpt:
            lines.append('%d: start=%d, size=%d, name="n %d"' % (rng.randrange(3) + 1 + i * 3, at,
                                                               size, i))
        elif i:
            lines.append('%d: start=%d, size=%d, type=83' % (4 + i, at + 21000, size))
        else:
            lines.append('1: start=%d, size=%d, type=c' % (at, size))
        at += size + rng.randrange(2100, 4000)
    run('sfdisk', '-q', 'disk', input='\n'.join(lines))


def by_sgdisk(rng, gpt):
    args, at = [], 2048
    for i in range(rng.randrange(1, 8)):
        size = rng.randrange(1, 4000)
        args += ['-n', '%d:%d:%d' % (i + 1, at, at + size - 1), '-t', '%d:%s' % (
            i + 1, rng.choice(('8300', '8e00', 'ef02'))), '-c', '%d:part %d' % (i + 1, i)]
        at += size + rng.randrange(3000)
    run('sgdisk', '-a', '1', *args, 'disk')


def by_parted(rng, gpt):
    args, at = ['mklabel', 'gpt' if gpt else 'msdos'], 1
    if not gpt:
        args += ['mkpart', 'primary', '1MiB', '2MiB', 'mkpart', 'extended', '2MiB', '60MiB']
        at = 3
    for i in range(rng.randrange(1, 6)):
        size = rng.randrange(1, 5)
        args += ['mkpart', 'name%d' % i if gpt else 'logical', '%dMiB' % at, '%dMiB' % (at + size)]
        at += size + rng.randrange(1, 3)
    run('parted', '-s', 'disk', *args)


for seed in range(6):
    rng = random.Random(seed)
    gpt = seed % 2 == 0
    new_disk(rng.randrange(40, 80) * MIB + rng.randrange(8) * 512)
    run(embr, 'part', 'create', '-t', 'gpt' if gpt else 'dos', 'disk')
    if not gpt:
        run(embr, 'part', 'add', '--extended', '--size', '20M', 'disk')
    edit(rng, gpt, 12, 'embr-img %d' % seed)
    for writer in by_sfdisk, by_parted, by_sgdisk:
        if writer == by_sgdisk and not gpt:
            continue
        new_disk(80 * MIB)
        writer(rng, gpt)
        edit(rng, gpt, 5, '%s %d' % (writer.__name__, seed))
END
