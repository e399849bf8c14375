"""make-renames.py TREE COUNT SEED: two trees, a and b, made of files of a Debian one.

About COUNT files of it are moved and slightly edited, as many are only in a, and as many
only in b; these come and go by the package, as in an upgrade.  truth.json has the old and
new paths of those that were moved.  Edits: in a text some lines are changed, taken out or
doubled, about one in 30, at least one; elsewhere about 3 % of the bytes are overwritten,
taken out and put in, in a few places.  Whole-file gzip is edited inside.
"""
import gzip
import json
import os
import random
import stat
import sys

tree, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)
LEAST = 64


def files():
    seen = set()
    for folder, dirs, names in os.walk(tree):
        dirs.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            st = os.lstat(path)
            if stat.S_ISREG(st.st_mode) and LEAST <= st.st_size <= 4 << 20 and \
                    st.st_ino not in seen:
                seen.add(st.st_ino)
                yield path


def edit_text(content):
    lines = content.splitlines(keepends=True)
    for _ in range(max(1, len(lines) // 30)):
        at = rng.randrange(len(lines))
        how = rng.random()
        if how < 0.6 or len(lines) == 1:
            line = lines[at]
            cut = rng.randrange(len(line) + 1)
            word = bytes(rng.choices(b'abcdefghijklmnopqrstuvwxyz', k=rng.randint(1, 8)))
            lines[at] = line[:cut] + word + line[cut + rng.randint(0, 4):]
        elif how < 0.8:
            del lines[at]
        else:
            lines.insert(at, lines[rng.randrange(len(lines))])
    return b''.join(lines)


def edit_binary(content):
    content = bytearray(content)
    places = rng.randint(1, 6)
    for _ in range(places):
        n = max(1, len(content) * 3 // 100 // places)
        at = rng.randrange(max(1, len(content) - n))
        how = rng.random()
        if how < 0.6:
            content[at:at + n] = rng.randbytes(n)
        elif how < 0.8:
            del content[at:at + n]
        else:
            content[at:at] = rng.randbytes(n)
    return bytes(content)


def edit(content):
    if content[:2] == b'\x1f\x8b':
        try:
            return gzip.compress(edit(gzip.decompress(content)), 9, mtime=0)
        except (OSError, EOFError):
            pass
    is_text = b'\0' not in content[:4096] and content.count(b'\n') >= 1
    return edit_text(content) if is_text else edit_binary(content)


def put(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(content)


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def packages():
    """Which package a file is of, by dpkg's lists."""
    owner = {}
    info = os.path.join(tree, 'var/lib/dpkg/info')
    for name in sorted(os.listdir(info)):
        if name.endswith('.list'):
            with open(os.path.join(info, name)) as lines:
                owner.update((line.rstrip('\n'), name) for line in lines)
    return owner


# No content twice, and at most a tenth of a kind from one package.
owner, by_package, contents = packages(), {}, set()
pool = list(files())
rng.shuffle(pool)
for path in pool:
    old = '/' + os.path.relpath(path, tree)
    package = owner.get(old) or owner.get(old.removeprefix('/usr'))
    content = read(path)
    group = by_package.setdefault(package, [])
    if package and len(group) < count // 10 and content not in contents:
        contents.add(content)
        group.append(path)
truth, roles, full = {}, {'moved': 0, 'removed': 0, 'added': 0}, {}
order = sorted(p for p in by_package if p)
rng.shuffle(order)
for package in order:
    role = min(roles, key=roles.get)
    for i, path in enumerate(by_package[package]):
        if roles[role] >= count:
            break
        roles[role] += 1
        old = os.path.relpath(path, tree)
        content = read(path)
        if role == 'moved':
            folder, name = os.path.split(old)
            new = rng.choice([os.path.join('moved', old), os.path.join(folder + '.new', name),
                              os.path.join(folder, name + '.new')])
            edited = edit(content)
            if edited == content:
                edited += b'\n'
            put('a/' + old, content)
            put('b/' + new, edited)
            truth['/' + old] = '/' + new
        else:
            put(('a/' if role == 'removed' else 'b/') + old, content)
print(roles)
json.dump(truth, open('truth.json', 'w'))
