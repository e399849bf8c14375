#!/usr/bin/env python3
"""Superblocks of what no program at hand makes, and of what only hardware does: made here,
checked by blkid, and by embr-img against blkid; then damaged at random.

    known-superblocks.py EMBR_IMG
    known-superblocks.py --write DIR        only writes them
    known-superblocks.py --seeds DIR        the same, small, as seeds of a fuzzer
"""
import binascii, json, os, random, re, struct, subprocess, sys

is_small = sys.argv[1] == '--seeds'
MIB = 1 << 20
SIZE = MIB // 4 if is_small else 4 * MIB
UUID = bytes(range(0x10, 0x20))
rng = random.Random(4)


def put(data, at, what, fmt=None):
    if fmt:
        what = struct.pack(fmt, *(what if isinstance(what, tuple) else (what,)))
    data[at:at + len(what)] = what


def image(*parts, size=SIZE):
    """parts: (offset, bytes); offsets below zero are from the end."""
    data = bytearray(size)
    for at, what in parts:
        at = at if at >= 0 else size + at
        if not 0 <= at <= size - len(what):
            return None
        data[at:at + len(what)] = what
    return data


def block(size, *fields):
    data = bytearray(size)
    for at, what in fields:
        data[at:at + len(what)] = what
    return data


def le(*values):
    return struct.pack('<%dI' % len(values), *values)


def be(*values):
    return struct.pack('>%dI' % len(values), *values)


def le16(value):
    return struct.pack('<H', value)


def be16(value):
    return struct.pack('>H', value)


def le64(value):
    return struct.pack('<Q', value)


def be64(value):
    return struct.pack('>Q', value)


def crc32_plain(seed, data):
    """Without inversion at either end."""
    return binascii.crc32(data, seed ^ 0xffffffff) ^ 0xffffffff


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def md_1(at, minor, size=SIZE):
    sb = block(4096, (0, le(0xa92b4efc, 1)), (16, UUID), (32, b'host:array'),
               (64, struct.pack('<QiIQ', 0, 1, 0, 2048)), (92, le(2)),
               (128, struct.pack('<QQQ', 64 if minor else 0, 2048, at // 512)), (220, le(2)))
    total = sum(struct.unpack('<65I', sb[:260]))
    put(sb, 216, (total & 0xffffffff) + (total >> 32) & 0xffffffff, '<I')
    return image((at, sb), size=size)


def md_0(order, size=SIZE):
    words = [0] * 1024
    words[0:9] = (0xa92b4efc, 0, 90, 0, 64, 0x11223344, 1700000000, 1,
                  ((size & ~65535) - 65536) // 1024)
    words[9:16] = 2, 2, 0, 0, 0x55667788, 0x99aabbcc, 0xddeeff01
    total = sum(words)
    words[38] = (total & 0xffffffff) + (total >> 32) & 0xffffffff
    return image(((size & ~65535) - 65536, struct.pack(order + '1024I', *words)), size=size)


def ddf():
    header = block(512, (0, b'\xde\x11\xde\x11'), (8, b'LSI     0123456789ABCDEF'),
                   (32, b'01.02.00'), (96, be64(SIZE // 512 - 1)), (104, be64(0)))
    header[4:8] = b'\xff\xff\xff\xff'
    put(header, 4, binascii.crc32(header) & 0xffffffff, '>I')
    return header


def via():
    sb = block(512, (0, b'\x55\xaa\1'), (3, bytes(range(47))))
    sb[50] = sum(sb[:50]) & 255
    return sb


def silicon():
    sb = block(512, (0x60, le(0x2f000000)), (0x108, le16(1) + le16(2)), (0x116, b'\1'))
    put(sb, 0x13e, -sum(struct.unpack('<159H', sb[:0x13e])) & 0xffff, '<H')
    return sb


def nvidia():
    sb = block(512, (0, b'NVIDIA  '), (8, le(30)), (16, le16(100)), (20, le(1234)))
    put(sb, 12, -sum(struct.unpack('<30I', sb[:120])) & 0xffffffff, '<I')
    return sb


def jmicron():
    sb = block(512, (0, b'JM\1\2'), (8, bytes(range(64))), (0x37, b'\0'))
    sb[8:128] = bytes(120)
    sb[48] = 0
    put(sb, 4, -sum(struct.unpack('<64H', sb[:128])) & 0xffff, '<H')
    return sb


def lvm2():
    def lvm_crc(data):
        return crc32_plain(0xf597a6cf, data)
    sector = block(512, (0, b'LABELONE'), (8, le64(1)), (20, le(32)), (24, b'LVM2 001'),
                   (32, b'abcdefghijklmnopqrstuvwxyz012345'), (64, le64(SIZE)))
    put(sector, 16, lvm_crc(bytes(sector[20:])), '<I')
    return sector


def luks2(at):
    return block(4096, (0, b'SKUL\xba\xbe\0\2' if at else b'LUKS\xba\xbe\0\2'),
                 (8, be64(0x4000)), (16, be64(3)), (24, b'detached'), (72, b'sha256'),
                 (168, b'01234567-89ab-cdef-0123-456789abcdef'), (256, be64(at)))


def stratis():
    sb = block(512, (4, b'!Stra0tis\x86\xff\x02^\x41rh'), (20, le64(SIZE // 512)),
               (32, b'0123456789abcdef0123456789abcdef'),
               (64, b'fedcba98765432100123456789abcdef'))
    put(sb, 0, crc32c(sb[4:]), '<I')
    return sb


def ubi():
    sb = block(64, (0, b'UBI#\1'), (8, be64(5)), (16, be(64, 128)), (24, be(987654)))
    put(sb, 60, crc32_plain(0xffffffff, sb[:60]), '>I')
    return sb


def ubifs():
    sb = block(4096, (0, b'\x31\x18\x10\x06'), (8, le64(1)), (16, le(4096)), (20, b'\6'),
               (32, le(2048, 126976, 100, 200)), (80, le(5)), (108, UUID))
    put(sb, 4, crc32_plain(0xffffffff, sb[8:]), '<I')
    return sb


def bcache():
    sb = block(4096, (8, le64(8)), (16, le64(1)),
               (24, bytes.fromhex('c68573f64e1a45ca8265f57f48ba6d81')), (40, UUID))
    crc = 0xffffffffffffffff
    for byte in sb[8:208]:
        crc ^= byte << 56
        for _ in range(8):
            crc = (crc << 1 ^ (0x42f0e1eba9ea3693 if crc >> 63 else 0)) & 0xffffffffffffffff
    put(sb, 0, crc ^ 0xffffffffffffffff, '<Q')
    return sb


def bitlocker(boot, at, where, guid=b''):
    fve = block(512, (0, b'-FVE-FS-'), (8, le16(64)), (10, le16(2)))
    return image((0, boot), (11, le16(512) + b'\x08'), (where, guid + le64(at)), (510, b'\x55\xaa'),
                 (at if where != 56 else at * 4096, fve))


def minix(version, order):
    sb = bytearray(64)
    pack = {'<': le16, '>': be16}[order]
    if version == 3:
        put(sb, 0, 64, order + 'I')
        for at, value in ((6, 1), (8, 1), (10, 6), (24, 0x4d5a), (28, 1024)):
            put(sb, at, pack(value))
        put(sb, 20, 1024, order + 'I')
    else:
        for at, value in ((0, 64), (4, 1), (6, 1), (8, 6), (18, 1),
                          (16, 0x138f if version == 1 else 0x2478)):
            put(sb, at, pack(value))
        if version == 1:
            put(sb, 2, pack(1024))
        else:
            put(sb, 20, 1024, order + 'I')
    return image((1024, sb))


def ufs(at, magic, order):
    sb = bytearray(1536)
    put(sb, 48, (16384, 2048), order + '2I')
    put(sb, 144, (0x5f5e1000, 0x12345678), order + '2I')
    put(sb, 680, b'bsd volume')
    put(sb, 1372, magic, order + 'I')
    return image((at, sb))


def hfs():
    return block(512, (0, b'BD'), (18, be16(100)), (20, be(4096)), (28, be16(16)), (36, b'\x08HFS disk'),
                 (116, bytes(range(1, 9))))


def hfs_plus(kind, base=0):
    header = block(512, (0, kind), (40, be(4096, 1024)), (104, bytes(range(1, 9))),
                   (272, be64(8192)), (288, be(4, 1) + be(9, 1)))
    node = block(4096, (8, b'\1\0'), (10, be16(3)), (14, be16(1)), (16, be(1)), (20, be(1, 1, 1)),
                 (32, be16(4096)))
    name = 'Macintosh HD'.encode('utf-16-be')
    leaf = block(4096, (8, b'\xff\1'), (10, be16(2)), (14, be16(6 + len(name))), (16, be(1)),
                 (20, be16(len(name) // 2)), (22, name))
    return [(base + 1024, header), (base + 4 * 4096, node), (base + 9 * 4096, leaf)]


def xdr_pair(name, kind, value):
    name = name.encode()
    padded = name + bytes(-len(name) % 4)
    if kind == 8:
        body = be64(value)
    else:
        text = value.encode()
        body = be(len(text)) + text + bytes(-len(text) % 4)
    pair = be(len(name)) + padded + be(kind, 1) + body
    return be(len(pair) + 8, 64) + pair


def zfs(size=MIB if is_small else 64 * MIB):
    nvlist = (b'\1\1\0\0' + be(0, 1) + xdr_pair('version', 8, 5000) + xdr_pair('name', 9, 'tank') +
              xdr_pair('state', 8, 0) + xdr_pair('txg', 8, 4) +
              xdr_pair('pool_guid', 8, 1234567890123456789) + xdr_pair('guid', 8, 42) + be(0, 0))
    parts = []
    for label in (0, 1, -2, -1):
        at = label * 262144 if label >= 0 else size + label * 262144
        parts.append((at + 16384, nvlist))
        for i in range(16):
            parts.append((at + 131072 + 1024 * i, struct.pack('<3Q', 0xbab10c, 5000, i + 1)))
    return image(*parts, size=size)


def gfs(fs_format, multihost):
    return image((65536, block(512, (0, be(0x01161970, 1)), (16, be(100)), (24, be(fs_format, multihost)),
                               (36, be(4096, 12)), (96, b'lock_dlm'), (160, b'cluster:disk'),
                               (256, UUID))))


def zonefs():
    sb = block(4096, (0, b'SFOZ'), (8, b'zones'), (40, UUID))
    put(sb, 4, crc32_plain(0xffffffff, sb), '<I')
    return sb


def mpool():
    sb = block(128, (0, b'mpoolDev'), (8, b'pool'), (40, UUID))
    put(sb, 62, crc32c(sb[:62]), '<I')
    return sb


def swap(page, signature, order='<', size=SIZE, version=1):
    return image((0, block(page, (1024, struct.pack(order + '3I', version, size // page - 1, 2)),
                           (1036, UUID), (1052, b'old swap'), (page - 20, b'SWAPSPACE2'),
                           (page - 10, signature))), size=size)


TO_GO = bytes.fromhex('3bd66749292ed84a8399f6a339e3d001')
IMAGES = {
    'md-0.90': md_0('<'),
    'md-0.90-be': md_0('>'),
    'md-0.90-odd': md_0('<', SIZE + 5 * 512),
    'md-1.0': md_1(SIZE - 8192, 0),
    'md-1.0-odd': md_1((SIZE + 5 * 512) // 4096 * 4096 - 8192, 0, SIZE + 5 * 512),
    'md-1.1': md_1(0, 1),
    'md-1.2': md_1(4096, 2),
    'ddf': image((-512, ddf())),
    'ddf-257': image((-257 * 512, ddf()), (-512, ddf())),
    'isw': image((-1024, b'Intel Raid ISM Cfg Sig. 1.2.02')),
    'lsi': image((-512, b'$XIDE$')),
    'via': image((-512, via())),
    'silicon': image((-512, silicon())),
    'nvidia': image((-1024, nvidia())),
    'hpt45x': image((-11 * 512, b'\xf3\x16\x78\x5a')),
    'hpt45x-bad': image((-11 * 512, b'\xfd\x16\x78\x5a')),
    'hpt37x': image((4608 + 32, b'\xf0\x16\x78\x5a')),
    'hpt37x-bad': image((4608 + 32, b'\xfd\x16\x78\x5a')),
    'adaptec': image((-512, block(512, (0, b'\x37\xfc\x4d\x1e'), (63, b'\3'), (256, b'DPTM')))),
    'jmicron': image((-512, jmicron())),
    'promise-16': image((-16 * 512, b'Promise Technology, Inc.')),
    'promise-3087': image((-3087 * 512, b'Promise Technology, Inc.')),
    'bcache': image((4096, bcache())),
    'bluestore': image((0, b'bluestore block device\n')),
    'drbd-8': image((-4096, block(512, (40, bytes(range(8))), (60, b'\x83\x74\x02\x6b')))),
    'drbd-9': image((-4096, block(512, (48, bytes(range(8))), (60, b'\x83\x74\x02\x6d')))),
    'drbd-proxy': image((0, b'DRBDdlh*' + bytes(8) + UUID)),
    'lvm2': image((512, lvm2())),
    'lvm1': image((0, block(512, (0, b'HM\1\0'), (44, b'abcdefghijklmnopqrstuvwxyz012345')))),
    'snapshot-cow': image((0, b'SnAp' + le(1, 1, 16))),
    'verity': image((0, block(512, (0, b'verity\0\0'), (8, le(1, 1)), (16, UUID)))),
    'integrity': image((0, b'integrt\0\1')),
    'luks2': image((0, luks2(0)), (0x4000, luks2(0x4000))),
    'luks2-second': image((0x4000, luks2(0x4000))),
    'vmfs-volume': image((MIB, block(512, (0, b'\x0d\xd0\x01\xc0'), (4, le(3)), (130, UUID)))),
    'vmfs': image((2 * MIB, block(512, (0, b'\x5e\xf1\xab\x2f'), (4, le(6)), (9, UUID),
                                  (29, b'datastore1')))),
    'ubi': image((0, ubi())),
    'ubifs': image((0, ubifs())),
    'vdo': image((0, block(512, (0, b'dmvdo001'), (40, UUID)))),
    'stratis': image((512, stratis())),
    'stratis-second': image((4608, stratis())),
    'bitlocker-vista': bitlocker(b'\xeb\x52\x90-FVE-FS-', 16, 56),
    'bitlocker-7': bitlocker(b'\xeb\x58\x90-FVE-FS-', 65536, 160, TO_GO),
    'bitlocker-to-go': bitlocker(b'\xeb\x58\x90MSWIN4.1', 65536, 424, TO_GO),
    'swap-0': image((4096 - 10, b'SWAP-SPACE')),
    'hibernated-s1': swap(4096, b'S1SUSPEND'),
    'hibernated-s2': swap(4096, b'S2SUSPEND'),
    'hibernated-ul': swap(8192, b'ULSUSPEND'),
    'hibernated-linhib': swap(65536, b'LINHIB0001'),
    'hibernated-tuxonice': swap(4096, b'\xed\xc3\x02\xe9\x98\x56\xe5\x0c'),
    'swap-32k-be': swap(32768, b'SWAPSPACE2', '>'),
    'jbd': image((1024, block(1024, (56, b'\x53\xef'), (0x60, le(8)), (104, UUID), (120, b'log')))),
    'exfs': image((0, block(512, (0, b'EXFS' + be(4096) + be64(1024)), (32, UUID), (84, be(1024, 1)),
                            (102, be16(512) + be16(512) + be16(8)), (108, b'exfslabel'),
                            (120, b'\x0c\x09\x09\x03')))),
    'reiserfs-3.5': image((8192, block(128, (12, le(18)), (44, le16(4096)), (52, b'ReIsErFs')))),
    'gfs': gfs(1309, 1401),
    'gfs2': gfs(1801, 1900),
    'oracleasm': image((0, block(512, (32, b'ORCLDISKDATA1'), (40, b'DATA1')))),
    'vxfs': image((1024, le(0xa501fcf5, 7))),
    'refs': image((0, b'\0\0\0ReFS\0')),
    'bfs': image((0, b'\xce\xfa\xad\x1b')),
    'mpool': image((0, mpool())),
    'apfs': image((0, block(128, (24, le(0x80000001)), (32, b'NXSB'), (36, le(4096)), (72, UUID)))),
    'zonefs': image((0, zonefs())),
    'minix-1': minix(1, '<'),
    'minix-1-be': minix(1, '>'),
    'minix-2': minix(2, '<'),
    'minix-3': minix(3, '<'),
    'ufs-1': ufs(8192, 0x011954, '<'),
    'ufs-1-be': ufs(8192, 0x011954, '>'),
    'ufs-2': ufs(65536, 0x19540119, '<'),
    'ufs-2-be': ufs(262144, 0x19540119, '>'),
    'hpfs': image((0, block(512, (38, b'\x28\x78\x56\x34\x12OS2VOL     HPFS    '), (510, b'\x55\xaa'))),
                  (8192, b'\x49\xe8\x95\xf9\xc5\xe9\x53\xfa\2\2'), (8704, b'\x49\x18\x91\xf9')),
    'sysv': image((512, block(512, (440, b'usr'), (504, le(0xfd187e20))))),
    'sysv-be': image((9 * 1024 + 512, block(512, (440, b'usr'), (504, be(0xfd187e20))))),
    'xenix': image((1024, block(1024, (632, b'xroot'), (1016, le(0x002b5544))))),
    'hfs': image((1024, hfs())),
    'hfsplus': image(*hfs_plus(b'H+\0\4')),
    'hfsx': image(*hfs_plus(b'HX\0\5')),
    'hfsplus-wrapped': image((1024, block(512, (0, b'BD'), (20, be(4096)), (28, be16(16)),
                                          (124, b'H+'), (126, be16(2) + be16(500)))),
                             *hfs_plus(b'H+\0\4', 16 * 512 + 2 * 4096)),
    'befs': image((512, block(128, (0, b'haiku'), (32, b'1SFB'), (36, b'EGIB'), (40, le(2048, 11)),
                              (68, le(0xdd121031)), (112, le(0x15b6830e))))),
    'nss': image((4096, block(512, (0, b'SPB5')))),
    'zfs': zfs(),
    'cramfs-be': image((0, block(128, (0, be(0x28cd3d45, 4096)), (16, b'Compressed ROMFS'),
                                 (48, b'crammed')))),
}


# What blkid wants more of than is made here, or less, or does not know.
BLKID_REFUSES = {'hibernated-tuxonice': 'swsuspend', 'exfs': 'exfs', 'gfs': 'gfs', 'gfs2': 'gfs2',
                 'xenix': 'xenix', 'befs': 'befs'}


def write(name, data):
    with open(name, 'wb') as f:
        f.truncate(len(data))
        for at in range(0, len(data), 4096):
            part = data[at:at + 4096]
            if part.strip(b'\0'):
                f.seek(at)
                f.write(part)


def by_blkid(name):
    out = subprocess.run(['blkid', '-p', '-o', 'export', name], capture_output=True)
    found = dict(re.sub(r'\\(.)', r'\1', line).split('=', 1)
                 for line in out.stdout.decode().splitlines())
    return {key: found.get(key) for key in ('TYPE', 'UUID', 'LABEL')}


def by_embr(name):
    out = subprocess.run([sys.argv[1], 'volumes', '-f', 'raw', '--output=json', name],
                         capture_output=True)
    if out.returncode:
        sys.exit(f'{name}: embr-img failed: {out.stderr.decode()}')
    v = (json.loads(out.stdout)['volumes'] or [{}])[0]      # damaged, it can be an MBR
    return {'TYPE': v.get('filesystem'), 'UUID': v.get('uuid'), 'LABEL': v.get('label')}


def damage(data):
    """Bytes that are not zero become others."""
    places = [i for at in range(0, len(data), 4096) if data[at:at + 4096].strip(b'\0')
              for i in range(at, min(at + 4096, len(data))) if data[i]]
    for i in rng.sample(places, min(len(places), 3)):
        data[i] = rng.choice((0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)))


def check(name, data):
    write('image', data)
    theirs, ours = by_blkid('image'), by_embr('image')
    if name in BLKID_REFUSES and not theirs['TYPE']:
        theirs = dict(ours, TYPE=BLKID_REFUSES[name])
    if ours != theirs:
        print(f'{name}: {ours}, to blkid {theirs}', file=sys.stderr)
    damage(data)
    write('image', data)
    by_embr('image')                        # whatever it is
    os.unlink('image')
    return ours == theirs


if sys.argv[1].startswith('--'):
    for name, data in IMAGES.items():
        if data:
            write(os.path.join(sys.argv[2], name), data)
else:
    results = [check(name, data) for name, data in IMAGES.items()]
    print(f'{len(results)} superblocks')
    sys.exit(not all(results))
