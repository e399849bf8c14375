#!/usr/bin/env python3
"""xfs-proto.py make DIR [empty]: a tree that a prototype file of mkfs.xfs can tell of; of empty
files.
xfs-proto.py write DIR: that prototype, on standard output."""
import os
import stat
import sys


def make(top, empty):
    os.mkdir(top)
    os.chdir(top)
    for name, count in (('short', 2), ('block', 8), ('leaf', 90), ('node', 2500)):
        os.mkdir(name)
        for i in range(count):
            # Content in between keeps a directory's blocks apart.
            with open('%s/%s-%d' % (name, 'name' * (i % 20), i), 'wb') as file:
                file.write(b'' if empty else b'%d' % i * (i % 900))
    os.mkdir('deep')
    os.mkdir('deep/er')
    for length in (1, 100, 155, 156, 157, 255, 256, 400, 511, 512, 900, 1023):
        os.symlink('t' * length, 'deep/link-%d' % length)
    with open('deep/er/large', 'wb') as file:
        file.write(b'' if empty else bytes(i * i % 251 for i in range(1 << 20)))
    os.mkfifo('fifo')
    for mode in (0o4711, 0o2755, 0o600, 0o777):
        name = 'mode-%o' % mode
        open(name, 'w').close()
        os.chmod(name, mode)
    if os.geteuid() == 0:
        os.mknod('tty', stat.S_IFCHR | 0o620, os.makedev(5, 200))
        os.mknod('disk', stat.S_IFBLK | 0o660, os.makedev(259, 70000))
        os.chown('mode-600', 70000, 4000000000)


def describe(path, st):
    kind = {stat.S_IFREG: '-', stat.S_IFDIR: 'd', stat.S_IFLNK: 'l', stat.S_IFIFO: 'p',
            stat.S_IFCHR: 'c', stat.S_IFBLK: 'b'}[stat.S_IFMT(st.st_mode)]
    words = ['%s%s%s%03o' % (kind, 'u' if st.st_mode & stat.S_ISUID else '-',
                             'g' if st.st_mode & stat.S_ISGID else '-',
                             st.st_mode & 0o777), st.st_uid, st.st_gid]
    if kind == '-':
        words.append(os.path.abspath(path))
    elif kind == 'l':
        words.append(os.readlink(path))
    elif kind in 'bc':
        words += [os.major(st.st_rdev), os.minor(st.st_rdev)]
    return ' '.join(map(str, words))


def write(path):
    for name in sorted(os.listdir(path)):
        child = os.path.join(path, name)
        st = os.lstat(child)
        print(name, describe(child, st))
        if stat.S_ISDIR(st.st_mode):
            write(child)
    print('$')


if sys.argv[1] == 'make':
    make(sys.argv[2], 'empty' in sys.argv)
else:
    print('/dev/null\n0 0')
    print(describe(sys.argv[2], os.lstat(sys.argv[2])))
    write(sys.argv[2])
