#!/usr/bin/env python3
"""tree-check.py list DIR PREFIX JSON [FIELD...]: what `ls -R --output=json` said of the
tree at PREFIX must be what the kernel says of DIR; FIELDs are left out.
tree-check.py paths DIR PREFIX: what `ls -R` prints of it.
tree-check.py files DIR: the paths of its regular files below a size, each with a NUL.
tree-check.py groups DIR: which files are one, a line each group.
tree-check.py tar ARCHIVE DIR: what Python's reader finds in an archive is DIR."""
import base64
import json
import os
import stat
import sys
import tarfile

TYPES = {stat.S_IFREG: 'regular', stat.S_IFDIR: 'directory', stat.S_IFLNK: 'symlink',
         stat.S_IFCHR: 'char-device', stat.S_IFBLK: 'block-device', stat.S_IFIFO: 'fifo',
         stat.S_IFSOCK: 'socket'}
CAT_MAX = 1 << 20


def walk(top, name=b''):
    """(path below top, path): parents first, names in byte order."""
    for child in sorted(os.listdir(os.path.join(top, name))):
        below = os.path.join(name, child)
        path = os.path.join(top, below)
        yield below, path
        if stat.S_ISDIR(os.lstat(path).st_mode):
            yield from walk(top, below)


def text_and_bytes(entry, key, value):
    try:
        value.decode('utf-8')
        return entry.get(key) == value.decode() and key + '-bytes' not in entry
    except UnicodeDecodeError:
        return ('\ufffd' in entry.get(key, '') and
                base64.b64decode(entry.get(key + '-bytes', '')) == value)


def timestamp(ns):
    return {'sec': ns // 10**9, 'nsec': ns % 10**9}


def expected(path):
    st = os.lstat(path)
    entry = {'type': TYPES[stat.S_IFMT(st.st_mode)], 'mode': stat.S_IMODE(st.st_mode),
             'ino': st.st_ino, 'nlink': st.st_nlink, 'uid': st.st_uid, 'gid': st.st_gid,
             'size': st.st_size, 'allocated': st.st_blocks * 512,
             'atime': timestamp(st.st_atime_ns), 'mtime': timestamp(st.st_mtime_ns),
             'ctime': timestamp(st.st_ctime_ns)}
    if entry['type'].endswith('device'):
        entry['rdev'] = {'major': os.major(st.st_rdev), 'minor': os.minor(st.st_rdev)}
    return entry


def check_list(top, prefix, file, skip):
    with open(file, encoding='utf-8') as text:
        entries = json.load(text)
    bad = []
    files = list(walk(os.fsencode(top)))
    if len(files) != len(entries):
        bad.append('%d files listed, %d there' % (len(entries), len(files)))
    for (below, path), entry in zip(files, entries):
        if not text_and_bytes(entry, 'path', os.fsencode(prefix) + b'/' + below):
            bad.append('%r is listed as %r' % (below, entry))
            break
        if os.path.islink(path) and not text_and_bytes(entry, 'target', os.readlink(path)):
            bad.append('%r: target %r' % (below, entry.get('target')))
        for key, value in expected(path).items():
            if key not in skip and entry.get(key) != value:
                bad.append('%r: %s is %r, not %r' % (below, key, entry.get(key), value))
    if bad:
        sys.exit('\n'.join(bad[:20]))


def check_tar(archive, top):
    """Without what Python does not read: holes of ranges, attributes."""
    top = os.fsencode(top)
    want = {below: path for below, path in walk(top)}
    first = {}
    bad = []
    with tarfile.open(archive, errors='surrogateescape') as tar:
        for member in tar:
            name = os.fsencode(member.name)
            if name == b'.':
                continue
            path = want.pop(name, None)
            if path is None:
                bad.append('%r is not in the tree' % name)
                continue
            st = os.lstat(path)
            kind = stat.S_IFMT(st.st_mode)
            if member.islnk():
                if first[st.st_ino] != os.fsencode(member.linkname):
                    bad.append('%r is a link to %r' % (name, member.linkname))
                continue
            first[st.st_ino] = name
            have = (member.mode, member.uid, member.gid,
                    member.size if kind == stat.S_IFREG else 0)
            if have != (stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid,
                        st.st_size if kind == stat.S_IFREG else 0):
                bad.append('%r is %r' % (name, have))
            when = member.pax_headers['mtime'].split('.')
            if (int(when[0]), int(when[1])) != divmod(st.st_mtime_ns, 10**9):
                bad.append('%r is from %s' % (name, member.pax_headers['mtime']))
            if kind == stat.S_IFLNK and os.fsencode(member.linkname) != os.readlink(path):
                bad.append('%r leads to %r' % (name, member.linkname))
            if kind == stat.S_IFREG and st.st_size < 1 << 24:
                with open(path, 'rb') as file:
                    if tar.extractfile(member).read() != file.read():
                        bad.append('%r has another content' % name)
    bad += ['%r is missing' % name for name, path in want.items()
            if not stat.S_ISSOCK(os.lstat(path).st_mode)]
    if bad:
        sys.exit('\n'.join(bad[:20]))


def groups(top):
    found = {}
    for below, path in walk(os.fsencode(top)):
        st = os.lstat(path)
        if st.st_nlink > 1 and not stat.S_ISDIR(st.st_mode):
            found.setdefault(st.st_ino, []).append(below)
    for names in sorted(found.values()):
        print(names)


def main():
    command, args = sys.argv[1], sys.argv[2:]
    out = sys.stdout.buffer
    if command == 'list':
        check_list(args[0], args[1], args[2], args[3:])
    elif command == 'paths':
        for below, _ in walk(os.fsencode(args[0])):
            out.write(os.fsencode(args[1]) + b'/' + below + b'\n')
    elif command == 'files':
        for below, path in walk(os.fsencode(args[0])):
            st = os.lstat(path)
            if stat.S_ISREG(st.st_mode) and st.st_size <= CAT_MAX:
                out.write(below + b'\0')
    elif command == 'groups':
        groups(args[0])
    else:
        check_tar(args[0], args[1])


main()
