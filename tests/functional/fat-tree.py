#!/usr/bin/env python3
"""fat-tree.py DIR [many=N] [large=BYTES]: a tree with what is hard about FAT: names, times,
sizes.  Times are of whole pairs of seconds, which is all that FAT tells."""
import os
import struct
import sys

options = dict(word.split('=') for word in sys.argv[2:])
many = int(options.get('many', 500))
large = int(options.get('large', 200000))
NAMES = ('UPPER.TXT', 'lower.txt', 'BASE.txt', 'base2.TXT', 'MiXeD.TxT', 'NOEXT', 'noext2',
         'EXACTLY8.EXT', 'longer than eight and three.text', '.hidden', 'two.dots.txt',
         'three...dots', 'a+b,c;d=e[f]', "it's (a) {file}!#$%&-@^_`~", 'größe.txt', 'ÄÖÜ.TXT',
         'Ελληνικά', 'Кириллица.txt', '日本語のファイル名',
         'e\u0301 combining', 'x' * 13, 'x' * 14, 'y' * 25, 'z' * 26, 'ß' * 100, 'n' * 255,
         'trailing.ext~1', 'SPACE IN.TXT', 'num123.456', 'NUM123.4567')
TIMES = (315532800, 315532802, 951782400, 951868800, 1000000000, 2147483646, 2147483648,
         4102444798, 4107542398, 4107542400, 4354819198)


def data(seed, length):
    unit = b''.join(struct.pack('<II', seed, i * 2654435761 & 0xffffffff) for i in range(512))
    return (unit * (length // len(unit) + 1))[:length]


def put(path, content, when=1234567890):
    with open(path, 'wb') as file:
        file.write(content)
    os.utime(path, (when, when))


os.chdir(sys.argv[1])
os.mkdir('names')
for name in NAMES:
    put('names/' + name, name.encode())
os.mkdir('times')
for when in TIMES:
    put('times/at %d' % when, b'%d' % when, when)
os.mkdir('sizes')
for size in (0, 1, 511, 512, 513, 4095, 4096, 4097, large // 3, large):
    put('sizes/%d' % size, data(size, size))
os.mkdir('many')
for i in range(many):
    put('many/%s %05d' % ('name' * (i % 5), i), b'%d' % i if i % 50 == 0 else b'')
path = 'deep'
for i in range(12):
    os.mkdir(path)
    path += '/level %d' % i
put(path, b'bottom')
os.mkdir('EMPTY')
