#!/usr/bin/env python3
"""iso9660-odd.py IMAGE KIND: a small ISO 9660 volume as no tool at hand makes it.

pieces       files in several pieces, one of them of more than 4 GiB
interleaved  a file that is interleaved
sparse       a file that Rock Ridge says is sparse
disagree     numbers whose two forms differ, each in a file of its own
xa           Rock Ridge behind what CD-ROM XA has
no-primary   no primary descriptor, but Joliet's
loop         a continuation that leads to itself
"""
import struct
import sys

SECTOR = 2048
image, kind = sys.argv[1:]


def both16(n):
    return struct.pack('<H', n) + struct.pack('>H', n)


def both32(n, other=None):
    return struct.pack('<I', n) + struct.pack('>I', n if other is None else other)


def record(name, block, size, flags=0, susp=b'', unit=0, gap=0, attributes=0, other=None):
    head = (bytes([attributes]) + both32(block, other) + both32(size) +
            bytes([101, 9, 9, 1, 46, 40, 0]) + bytes([flags, unit, gap]) + both16(1) +
            bytes([len(name)]) + name)
    head += b'' if len(name) % 2 else b'\0'
    length = 1 + len(head) + len(susp)
    return bytes([length + length % 2]) + head + susp + b'\0' * (length % 2)


def field(kind, data, version=1):
    return kind + bytes([4 + len(data), version]) + data


def posix(mode, other=None):
    return field(b'PX', both32(mode, other) + both32(1) + both32(1000) + both32(100))


def descriptor(type, root, blocks, escapes=b'', version=1):
    d = bytearray(SECTOR)
    d[0:8] = bytes([type]) + b'CD001' + bytes([version, 0])
    d[8:72] = b' ' * 64
    label = b'ODD'
    d[40:40 + len(label)] = label
    d[80:88] = both32(blocks)
    d[88:88 + len(escapes)] = escapes
    d[120:132] = both16(1) + both16(1) + both16(SECTOR)
    d[156:156 + 34] = root
    d[813:830] = d[830:847] = b'2001090901464000\0'
    d[881] = 1
    return bytes(d)


DIR, FIRST, ROOT = 2, 40, 20
xa = struct.pack('>HHH2sB5x', 0, 0, 0x8d55, b'XA', 0) if kind == 'xa' else b''
is_rock = kind in ('sparse', 'disagree', 'xa', 'loop')
sp = xa + field(b'SP', b'\xbe\xef' + bytes([len(xa)])) + posix(0o40755) if is_rock else b''
contents = {}
size = 60 * SECTOR


def file(name, content=b'', mode=0o100644, susp=b'', **other):
    block = FIRST + len(contents)
    contents[block] = content
    rock = xa + posix(mode) + field(b'NM', b'\0' + name) + susp if is_rock else b''
    return record(name.upper() + b'.;1', block, len(content), susp=rock, **other)


entries = []
if kind == 'pieces':
    size = (4500 << 20) + 60 * SECTOR
    big = (4 << 30) - SECTOR
    contents[60 + 5] = b'begins'
    contents[60 + big // SECTOR - 1] = b'\0' * 2041 + b'ends..\n'
    contents[60 + big // SECTOR + 3000] = b'goes on'
    contents[40], contents[42], contents[41] = b'one ' * 512, b'two ' * 512, b'three'
    contents[43] = b'x' * SECTOR + b'attributes before the content'
    entries = [record(b'BIG.;1', 60, big, flags=128),
               record(b'BIG.;1', 60 + big // SECTOR, 100 << 20),
               record(b'SMALL.;1', 40, 2048, flags=128),
               record(b'SMALL.;1', 42, 2048, flags=128), record(b'SMALL.;1', 41, 5),
               record(b'BEHIND.;1', 43, 29, attributes=1)]
elif kind == 'interleaved':
    entries = [file(b'good', b'good'), file(b'mixed', b'm' * 5000, unit=1, gap=1)]
elif kind == 'sparse':
    entries = [file(b'good', b'good'),
               file(b'sparse', b's' * 100, susp=field(b'SF', both32(0) + both32(1000) + b'\1'))]
elif kind == 'disagree':
    entries = [file(b'block', b'b', other=77), file(b'good', b'good'),
               record(b'MODE.;1', FIRST + 9, 4,
                      susp=posix(0o100644, 0o100600) + field(b'NM', b'\0mode')),
               file(b'last', b'last')]
elif kind == 'xa':
    entries = [file(b'Mixed Case', b'xa'), file(b'.hidden', b'', mode=0o100400)]
elif kind == 'loop':
    loop = field(b'CE', both32(50) + both32(0) + both32(28))
    contents[50] = loop
    entries = [file(b'good', b'good'), file(b'loop', b'', susp=loop)]
else:
    name = 'größe\U0001f4bf.txt'.encode('utf-16-be')
    contents[FIRST] = b'joliet'
    entries = [record(name, FIRST, 6), record('...'.encode('utf-16-be'), FIRST, 0)]

listing = record(b'\0', ROOT, SECTOR, DIR, sp) + record(b'\1', ROOT, SECTOR, DIR)
listing += b''.join(entries)
assert len(listing) <= SECTOR
root = record(b'\0', ROOT, SECTOR, DIR)
with open(image, 'wb') as out:
    out.seek(16 * SECTOR)
    if kind == 'no-primary':
        out.write(descriptor(2, root, size // SECTOR, b'%/E'))
    else:
        out.write(descriptor(1, root, size // SECTOR))
    out.write(b'\xffCD001\1')
    for block, content in [(ROOT, listing)] + list(contents.items()):
        out.seek(block * SECTOR)
        out.write(content)
    out.truncate(size)
