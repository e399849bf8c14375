#!/usr/bin/env python3
"""fs-tree.py dump DIR: a mounted tree in the form that fs-dump prints.
fs-tree.py compare DUMP DUMP [FIELD...]: both must say the same.  FIELDs are left out (all that begin so with * at the end);
"dir:FIELD" is left out of directories, "path:NAME" means all of a file; with "fraction", times are
of whole seconds."""
import ctypes
import errno
import hashlib
import os
import stat
import struct
import sys

PIECE = 64 * 1024
libc = ctypes.CDLL(None, use_errno=True)
FLAGS = ((0x800, 1), (0x10, 2), (0x20, 4), (0x100000, 16))    # STATX_ATTR_*, FS_FILE_*


def escape(name):
    return ''.join(chr(c) if 0x20 < c < 0x7f and c != 0x25 else '%%%02x' % c
                   for c in name)


def statx(path):
    buf = ctypes.create_string_buffer(256)
    if libc.statx(-100, path, 0x100, 0xfff, buf) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    raw = buf.raw
    field = {}
    mask, _, attributes, field['nlink'], field['uid'], field['gid'], mode = \
        struct.unpack_from('=IIQIIIH', raw, 0)
    field['ino'], field['size'], blocks = struct.unpack_from('=QQQ', raw, 32)
    field['mode'] = '%o' % mode
    field['allocated'] = blocks * 512
    for i, name in enumerate(('atime', 'crtime', 'ctime', 'mtime')):
        sec, nsec = struct.unpack_from('=qI', raw, 64 + 16 * i)
        if name == 'crtime' and not mask & 0x800:
            sec = nsec = 0
        field[name] = '%d.%09d' % (sec, nsec)
    field['rdev'] = '%d:%d' % struct.unpack_from('=II', raw, 128)
    field['flags'] = '%x' % sum(ours for theirs, ours in FLAGS if attributes & theirs)
    return mode, field


def open_quietly(path, flags):
    """Its atime stays as it is, if that is ours to say."""
    try:
        return os.open(path, flags | os.O_NOATIME)
    except PermissionError:
        return os.open(path, flags)


def digest(path):
    sha = hashlib.sha256()
    with open(path, 'rb', buffering=0, opener=open_quietly) as file:
        size = os.fstat(file.fileno()).st_size
        at = 0
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA) // PIECE * PIECE
            except OSError:
                break
            piece = os.pread(file.fileno(), min(PIECE, size - at), at)
            if piece.strip(b'\0'):
                sha.update(struct.pack('<Q', at) + piece)
            at += PIECE
    return sha.hexdigest()


def list_xattrs(path):
    try:
        return sorted(os.fsencode(x) for x in os.listxattr(path, follow_symlinks=False))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:     # where a filesystem has none at all
            raise
        return []


def line(path, name):
    mode, field = statx(path)
    words = [escape(name)] + ['%s=%s' % (key, field[key]) for key in (
        'ino', 'mode', 'nlink', 'uid', 'gid', 'rdev', 'size', 'allocated', 'atime',
        'mtime', 'ctime', 'crtime', 'flags')]
    if stat.S_ISLNK(mode):
        words.append('target=' + escape(os.readlink(path)))
    elif stat.S_ISREG(mode):
        words.append('sum=' + ('encrypted' if int(field['flags'], 16) & 1
                               else digest(path)))
    for xattr in list_xattrs(path):
        value = os.getxattr(path, xattr, follow_symlinks=False)
        words.append('xattr:%s=%s' % (escape(xattr), value.hex()))
    return ' '.join(words), stat.S_ISDIR(mode)


def dump(path, name, out):
    text, is_dir = line(path, name)
    out.append(text)
    if is_dir:
        for child in os.listdir(path):
            dump(os.path.join(path, child),
                 child if name == b'.' else os.path.join(name, child), out)


def parse(file, skip):
    files = {}
    with open(file, encoding='ascii') as text:
        for row in text:
            words = row.split()
            fields = {w.split('=', 1)[0]: w.split('=', 1)[-1] for w in words[1:]}
            is_dir = fields.get('mode', '').startswith('4')
            for name in skip:
                if name == 'fraction':
                    fields.update((k, fields[k].split('.')[0] + '.0')
                                  for k in ('atime', 'mtime', 'ctime') if k in fields)
                elif name.endswith('*'):
                    fields = {k: v for k, v in fields.items()
                              if not k.startswith(name[:-1])}
                elif name.startswith('dir:'):
                    if is_dir:
                        fields.pop(name[4:], None)
                else:
                    fields.pop(name, None)
            if 'path:' + words[0] in skip:
                continue
            if words[0] in files:
                sys.exit('%s: %s is there twice' % (file, words[0]))
            files[words[0]] = fields
    return files


def compare(first, second, skip):
    a, b = parse(first, skip), parse(second, skip)
    bad = 0
    for path in sorted(a.keys() | b.keys()):
        if a.get(path) == b.get(path):
            continue
        bad += 1
        if bad > 20:
            continue
        if path not in a or path not in b:
            print('%s is only in %s' % (path, first if path in a else second))
            continue
        for key in sorted(a[path].keys() | b[path].keys()):
            if a[path].get(key) != b[path].get(key):
                print('%s: %s is %.200s and %.200s' % (path, key, a[path].get(key),
                                                     b[path].get(key)))
    if bad:
        sys.exit('%d of %d files differ' % (bad, len(a.keys() | b.keys())))


def main():
    if sys.argv[1] == 'dump':
        out = []
        dump(os.fsencode(sys.argv[2]), b'.', out)
        print('\n'.join(out))
    else:
        compare(sys.argv[2], sys.argv[3], sys.argv[4:])


main()
