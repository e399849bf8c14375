"""Makes four trees in the current folder: base; few, with a few files changed; drift, with
one directory that is another one; other, which has nothing to do with them.
"""
import gzip, os, random, shutil
rng = random.Random(5)
letters = 'abcdefghijklmnopqrstuvwxyz'
words = [''.join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(20000)]
def text(size, words=words):
    out = ''
    while len(out) < size:
        out += rng.choice(words) + rng.choice((' ', ' ', '\n'))
    return out[:size].encode()
def put(name, content):
    os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, 'wb') as file:
        file.write(content)
for top in ('bin', 'etc', 'lib', 'var'):
    for i in range(40):
        put(f'base/{top}/d{i % 4}/f{i}', text(rng.randint(100, 9000)))
put('base/lib/large', text(5_000_000))
put('base/lib/large.gz', gzip.compress(text(12_000_000), 1, mtime=0))
with open('base/lib/holes', 'wb') as file:
    file.write(text(5000))
    file.seek(4_500_000)
    file.write(text(5000))
put('base/etc/empty', b'')
os.link('base/lib/d0/f0', 'base/lib/link')
os.symlink('large', 'base/lib/symlink')
put('base/var/tiny', b'tiny')
for name in ('few', 'drift'):
    shutil.copytree('base', name, symlinks=True)
for i in range(6):
    put(f'few/etc/d{i % 4}/f{i}', text(3000))
shutil.rmtree('drift/var/d2')
for i in range(10):
    put(f'drift/var/d2/f{i * 4 + 2}', text(5000))
other = [''.join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(20000)]
for i in range(100):
    put(f'other/srv/x{i}', text(4000, other))
