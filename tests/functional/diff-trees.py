"""Makes two trees, a and b, in the current folder.

What differs between them is put into want.json, found by looking at the files; what was
moved, and edited or not, into moves.json.
"""
import json, os, random, shutil, stat, sys
rng = random.Random(11)
letters = 'abcdefghijklmnopqrstuvwxyz'
words = [''.join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(5000)]
def text(size):
    out = ''
    while len(out) < size:
        out += rng.choice(words) + rng.choice((' ', ' ', '\n'))
    return out[:size].encode()
def put(name, content):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, 'wb') as file:
        file.write(content)
def edit(content):
    at = len(content) // 2
    n = max(8, len(content) // 20)
    return content[:at] + text(n) + content[at + n:]
for i in range(300):
    put(f'a/usr/share/d{i % 17}/f{i}', text(rng.randint(1, 20000)))
put('a/usr/lib/large', text(9_000_000))
put('a/etc/empty', b'')
put('a/etc/zeroes', bytes(9000))
put('a/etc/grows', b'')
put('a/name with\nnewline', b'odd')
put('a/not-utf8-\udcff', b'odd')
os.symlink('target one', 'a/etc/link')
os.symlink('same', 'a/etc/other-link')
os.symlink('moved', 'a/etc/moving-link')
put('a/etc/becomes-dir', b'file')
os.mkdir('a/etc/becomes-file')
put('a/links/first', text(5000))
os.link('a/links/first', 'a/links/second')
put('a/links/apart', text(5000))
os.link('a/links/apart', 'a/links/joined')
put('a/links/gone-first', text(4000))
os.link('a/links/gone-first', 'a/links/gone-second')
shutil.copytree('a', 'b', symlinks=True)
for tree in 'ab':
    os.mkfifo(f'{tree}/etc/pipe')
for first, second in (('first', 'second'), ('gone-first', 'gone-second')):
    os.unlink(f'b/links/{second}')
    os.link(f'b/links/{first}', f'b/links/{second}')
moves = {}
def read(name):
    with open(name, 'rb') as file:
        return file.read()
def move(old, new, edited=False):
    content = read('b/' + old)
    st = os.stat('b/' + old)
    os.unlink('b/' + old)
    put('b/' + new, edit(content) if edited else content)
    os.utime('b/' + new, (st.st_mtime, st.st_mtime))
    moves[old] = new
for i in range(0, 40):
    move(f'usr/share/d{i % 17}/f{i}', f'usr/share/moved/f{i}')
for i in range(40, 60):
    move(f'usr/share/d{i % 17}/f{i}', f'opt/g{i}')
for i in range(60, 120):
    if os.path.getsize(f'b/usr/share/d{i % 17}/f{i}') >= 512:
        move(f'usr/share/d{i % 17}/f{i}', f'usr/share/edited/h{i}', True)
move('usr/lib/large', 'usr/lib/larger', True)
moves['etc/moving-link'] = 'srv/moving-link'
os.unlink('b/etc/moving-link')
os.mkdir('b/srv')
os.symlink('moved', 'b/srv/moving-link')
for i in range(120, 150):
    name = f'b/usr/share/d{i % 17}/f{i}'
    put(name, edit(read(name)))
for i in range(150, 170):
    os.unlink(f'b/usr/share/d{i % 17}/f{i}')
for i in range(40):
    put(f'b/usr/share/new/n{i}', text(rng.randint(600, 20000)))
put('b/etc/grows', b'now it is not empty')
# Of equal size and time: only the content tells.
for i in range(170, 180):
    name = f'b/usr/share/d{i % 17}/f{i}'
    st = os.stat(name)
    content = bytearray(read(name))
    content[-1] ^= 1
    put(name, content)
    os.utime(name, ns=(st.st_atime_ns, st.st_mtime_ns))
os.unlink('b/etc/link')
os.symlink('target two', 'b/etc/link')
os.unlink('b/etc/becomes-dir')
os.mkdir('b/etc/becomes-dir')
os.rmdir('b/etc/becomes-file')
put('b/etc/becomes-file', b'file')
os.chmod('b/usr/share/d0/f187', 0o4711)
os.utime('b/usr/share/d1/f188', (1, 1))
if os.geteuid() == 0:
    os.chown('b/usr/share/d2/f189', 7, 8)
    os.mknod('a/etc/device', stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod('b/etc/device', stat.S_IFCHR | 0o600, os.makedev(1, 5))
    os.mknod('a/etc/null', stat.S_IFBLK | 0o600, os.makedev(7, 3))
    os.mknod('b/etc/null', stat.S_IFBLK | 0o600, os.makedev(7, 3))
try:
    os.setxattr('b/usr/share/d3/f190', 'user.note', b'value')
    os.setxattr('a/usr/share/d4/f191', 'user.note', b'one')
    os.setxattr('b/usr/share/d4/f191', 'user.note', b'two')
    os.setxattr('a/usr/share/d5/f192', 'user.note', b'same')
    os.setxattr('b/usr/share/d5/f192', 'user.note', b'same')
except OSError:
    pass
# Whole seconds, as all tools keep them.  Edited files differ in their times, too.
for tree in 'ab':
    for folder, dirs, files in os.walk(tree, topdown=False):
        for name in files + dirs:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            sec = st.st_mtime_ns // 10 ** 9
            if stat.S_ISDIR(st.st_mode):
                sec = 10 ** 9
            elif sec > 1:
                sec = 10 ** 9 + 1 if stat.S_ISLNK(st.st_mode) else 10 ** 9 + 2
            os.utime(path, (sec, sec), follow_symlinks=False)
    os.utime(tree, (5, 5))
os.utime('b/usr/share/d1/f188', (1, 1))
json.dump(moves, open('moves.json', 'w'))

def scan(tree):
    found, inodes = {}, {}
    for folder, dirs, files in sorted(os.walk(tree)):
        for name in [''] * (folder == tree) + dirs + files:
            path = os.path.join(folder, name) if name else tree
            found[os.path.relpath(path, tree) if name else ''] = path
    out = {}
    for path in sorted(found, key=lambda p: os.fsencode(p).split(b'/') if p else []):
        full = found[path]
        st = os.lstat(full)
        kind = stat.S_IFMT(st.st_mode)
        what = None
        if kind == stat.S_IFREG:
            what = read(full)
        elif kind == stat.S_IFLNK:
            what = os.readlink(full)
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            what = st.st_rdev
        first = inodes.setdefault(st.st_ino, path)
        xattrs = {n: os.getxattr(full, n, follow_symlinks=False)
                  for n in os.listxattr(full, follow_symlinks=False)}
        out[path] = dict(kind=kind, content=what, mode=st.st_mode & 0o7777, owner=st.st_uid,
                         group=st.st_gid, mtime=int(st.st_mtime), xattrs=xattrs,
                         links=None if first == path or kind == stat.S_IFDIR else first)
    return out
a, b = scan('a'), scan('b')
names = {stat.S_IFLNK: 'target', stat.S_IFCHR: 'device', stat.S_IFBLK: 'device'}
def aspects(x, y):
    return sorted(names.get(x['kind'], 'content') if k == 'content' else k
                  for k in x if k != 'kind' and x[k] != y[k])
want = []
came_from = {new: old for old, new in moves.items()}
for path in set(a) | set(b):
    if path in a and path in b:
        x, y = a[path], b[path]
        changed = aspects(x, y)
        if x['kind'] != y['kind']:
            want.append(['type', path, path])
        elif changed:
            content = set(changed) & {'content', 'target', 'device'}
            want.append(['modified' if content else 'metadata', path, path, changed])
    elif path in b and path in came_from:
        changed = [c for c in aspects(a[came_from[path]], b[path]) if c != 'links']
        want.append(['renamed', came_from[path], path, changed])
    elif path in b:
        want.append(['added', None, path])
    elif path not in moves:
        want.append(['removed', path, None])
json.dump(sorted(want, key=str), open('want.json', 'w'))
