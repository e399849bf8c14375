#!/usr/bin/env python3
"""make-tree.py DIR [OPTION...]: a tree with everything that is hard about trees.

plain       only what mke2fs -d can carry over: times of whole seconds, of this era
block=N     the filesystem's block size
target=N    targets of symbolic links are shorter (else than a block)
many=N      names in the large directory
xattr=N     the longest value of an extended attribute
longest=N   no sparse file is longer (else one has 5 GiB)
"""
import errno
import fcntl
import os
import socket
import stat
import struct
import sys

options = dict((word.split('=') + ['1'])[:2] for word in sys.argv[2:])
plain = 'plain' in options
block = int(options.get('block', 4096))
target_max = int(options.get('target', block))
many = int(options.get('many', 10000))
xattr_max = int(options.get('xattr', 3000))
longest = int(options.get('longest', (5 << 30) + 100000))
is_root = os.geteuid() == 0
left_out = set()


def data(seed, length):
    """Bytes that no two files share, and that do not compress to nothing."""
    unit = b''.join(struct.pack('<II', seed, i * 2654435761 & 0xffffffff) for i in range(512))
    return (unit * (length // len(unit) + 1))[:length]


def put(path, content=b''):
    with open(path, 'wb') as file:
        file.write(content)


def attempt(what, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.ENOSPC, errno.E2BIG,
                               errno.EINVAL, errno.ERANGE):
            raise
        left_out.add('%s (%s)' % (what, error.strerror))


def setxattr(path, name, value):
    attempt('xattr ' + name, os.setxattr, path, name, value, follow_symlinks=False)


def acl(*entries):
    return struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *e) for e in entries)


def make_names():
    os.mkdir(b'names')
    for name in (b' ', b'-rf', b'new\nline', b'tab\there', b'\xff\xfe not utf-8 \x80',
                 'größe'.encode(), 'e\u0301'.encode(), b'%41', b'...', b'a' * 255,
                 b'\xe2\x82' * 127, b'"quote', b"'", b'\\back', b'*', b'\x01'):
        put(b'names/' + name, name)
    path = b'deep'
    for i in range(70):
        os.mkdir(path)
        path += b'/level %02d of a deep tree' % i
    put(path, b'bottom')


def make_many():
    os.mkdir('many')
    put('many/first', b'x')
    links = 1
    for i in range(many):
        name = 'many/%s-%05d' % ('name' * (i % 11), i)
        if i % 8 == 0 and i < 800:
            put(name, b'%d' % i)
        elif links < 60000:
            os.link('many/first', name)
            links += 1
    for i in range(0, many, 3):
        if i % 8:
            os.unlink('many/%s-%05d' % ('name' * (i % 11), i))


def make_content():
    os.mkdir('content')
    for length in list(range(0, 170, 3)) + [block - 1, block, block + 1, 12 * block,
                                            13 * block + 5, 300 * block + 1]:
        put('content/%d' % length, data(length, length))
    with open('content/sparse', 'wb') as file:
        for at in (0, 70 << 10, 1 << 20, 77 << 20, (1 << 30) + 123, (5 << 30) - 1):
            if at + 1000 <= longest:
                file.seek(at)
                file.write(data(at & 0xffff, 1000))
        file.truncate(longest)
    with open('content/hole', 'wb') as file:
        file.truncate(1 << 20)
    with open('content/pieces', 'wb') as file:
        for i in range(0, 600, 2):
            file.seek(i * block)
            file.write(data(i, block))
    if not plain:
        with open('content/unwritten', 'wb') as file:
            file.write(data(1, 10 * block))
            attempt('fallocate', os.posix_fallocate, file.fileno(), 20 * block, 100 * block)
            file.seek(50 * block)
            file.write(data(2, block))


def make_links():
    os.mkdir('links')
    put('links/a', b'many names')
    os.mkdir('links/dir')
    os.link('links/a', 'links/b')
    os.link('links/a', 'links/dir/c')
    for length in (1, 2, 58, 59, 60, 61, 62, 100, 140, 152, 160, 200, 1000, 1023, 4000, 4095):
        if length < target_max:
            os.symlink(('t%d/' % length + '0123456789' * 410)[:length],
                       'links/to-%d' % length)
    os.symlink('missing\n\xff'.encode('latin-1'), b'links/odd')


def make_types():
    os.mkdir('types')
    os.mkfifo('types/fifo')
    sock = socket.socket(socket.AF_UNIX)
    sock.bind('types/socket')
    if is_root:
        for major, minor in ((1, 3), (255, 255), (256, 1), (1, 256), (4095, 1048575)):
            name = 'types/%%s-%d-%d' % (major, minor)
            attempt('device', os.mknod, name % 'chr', stat.S_IFCHR | 0o640,
                    os.makedev(major, minor))
            attempt('device', os.mknod, name % 'blk', stat.S_IFBLK | 0o604,
                    os.makedev(major, minor))
    for mode in ((0,) if is_root else ()) + (0o1777, 0o2755, 0o4711, 0o6777, 0o444):
        put('types/mode-%o' % mode)
        os.chmod('types/mode-%o' % mode, mode)
    os.mkdir('types/sticky')
    os.chmod('types/sticky', 0o1777)
    if is_root:
        for uid, gid in ((1, 2), (65535, 65534), (65536, 70000), (4294967294, 4294967293)):
            put('types/owner-%d' % uid)
            os.chown('types/owner-%d' % uid, uid, gid)
        os.symlink('nowhere', 'types/owned-link')
        os.lchown('types/owned-link', 123456, 7)


def make_flags():
    """Immutable and append-only files (FS_IOC_SETFLAGS)."""
    os.mkdir('flags')
    for name, flag in (('immutable', 0x10), ('append', 0x20), ('noatime', 0x80)):
        with open('flags/' + name, 'wb', buffering=0) as file:
            file.write(b'flag')
            attempt('flag ' + name, fcntl.ioctl, file.fileno(), 0x40086602,
                    struct.pack('l', flag))


def make_xattrs():
    os.mkdir('xattrs')
    for name, values in (('one', [('user.mime_type', b'text/plain')]),
                         ('empty', [('user.empty', b'')]),
                         ('binary', [('user.\u00e9\u00fc', bytes(range(256)))]),
                         ('several', [('user.a%d' % i, data(i, i * 7)) for i in range(12)]),
                         ('fits', [('user.x', b'1234')]),
                         ('long-name', [('user.' + 'n' * 250, b'value')]),
                         ('large', [('user.large', data(3, min(xattr_max, 3000)))]),
                         ('shared-1', [('user.shared', data(4, 600))]),
                         ('shared-2', [('user.shared', data(4, 600))])):
        put('xattrs/' + name, name.encode())
        for key, value in values:
            if key != 'user.a0' and len(value) <= xattr_max:
                setxattr('xattrs/' + name, key, value)
    if xattr_max > 3000:
        put('xattrs/huge', b'huge')
        setxattr('xattrs/huge', 'user.huge', data(5, xattr_max))
        setxattr('xattrs/huge', 'user.huge2', data(6, xattr_max // 2))
        setxattr('xattrs/huge', 'user.small', b'small')
    if is_root:
        put('xattrs/trusted')
        setxattr('xattrs/trusted', 'trusted.overlay.opaque', b'y')
        setxattr('xattrs/trusted', 'security.capability',
                 struct.pack('<5I', 0x02000001, 1 << 13, 0, 0, 0))
        os.symlink('x', 'xattrs/link')
        setxattr('xattrs/link', 'trusted.on_link', b'link')
    put('xattrs/acl')
    setxattr('xattrs/acl', 'system.posix_acl_access',
             acl((1, 7, 0xffffffff), (2, 5, 1000), (2, 0, 4000000000), (4, 4, 0xffffffff),
                 (8, 1, 50), (16, 5, 0xffffffff), (32, 0, 0xffffffff)))
    os.mkdir('xattrs/acl-dir')
    setxattr('xattrs/acl-dir', 'system.posix_acl_default',
             acl((1, 7, 0xffffffff), (4, 5, 0xffffffff), (8, 7, 99), (16, 7, 0xffffffff),
                 (32, 5, 0xffffffff)))
    put('xattrs/acl-dir/inherits')


def make_dirs():
    os.mkdir('dirs')
    for i in range(60):
        os.mkdir('dirs/%d' % i)
        for k in range(i % 7):
            put('dirs/%d/%d' % (i, k), b'%d' % k)


def set_times():
    if plain:
        when = 1000000000
        for root, dirs, files in os.walk('.', topdown=False):
            for name in dirs + files:
                when += 7
                os.utime(os.path.join(root, name), (when + 1, when), follow_symlinks=False)
        os.utime('.', (when, when))
        return
    os.mkdir('times')
    for sec in (-2147483648, -2147483647, -1000000000, -1, 0, 1, 2147483647, 2147483648,
                4294967295, 4294967296, 6442450943, 6442450944, 10000000000, 15032385535):
        for nsec in (0, 1, 999999999):
            name = 'times/%d.%d' % (sec, nsec)
            put(name)
            os.utime(name, ns=(sec * 10**9 + nsec, sec * 10**9 + 999999999 - nsec))


os.umask(0o022)
os.chdir(sys.argv[1])
make_names()
make_many()
make_content()
make_links()
make_types()
make_xattrs()
make_dirs()
if not plain:
    make_flags()
set_times()
for what in sorted(left_out):
    print('left out: ' + what, file=sys.stderr)
