"""rate-renames.py A B TRUTH JSON: how right the pairs of `diff` are, by threshold."""
import json
import os
import sys

a, b, truth, out = sys.argv[1:]
truth = json.load(open(truth))
pairs = []
for change in json.load(open(out)):
    if change['kind'] == 'renamed' and change['after']['type'] == 'regular':
        x, y = change['before'], change['after']
        score = change['similarity'] * min(x['size'], y['size']) / max(x['size'], y['size'])
        pairs.append((score, x['path'], y['path']))


def size(path):
    return os.path.getsize(a + path)


def is_gzip(path):
    with open(a + path, 'rb') as file:
        return file.read(2) == b'\x1f\x8b'


groups = {
    'all': lambda path: True,
    '< 256 B': lambda path: size(path) < 256,
    '< 1 KiB': lambda path: 256 <= size(path) < 1024,
    '< 16 KiB': lambda path: 1024 <= size(path) < 16384,
    'larger': lambda path: size(path) >= 16384,
    'gzip': is_gzip,
    'not gzip': lambda path: not is_gzip(path),
}
print('%-10s %6s' % ('', 'files') + ''.join('%14s' % ('>= %.2f' % t) for t in (.1, .2, .3, .4, .5, .6, .7)))
for name, belongs in groups.items():
    moved = [path for path in truth if belongs(path)]
    line = '%-10s %6d' % (name, len(moved))
    for least in (.1, .2, .3, .4, .5, .6, .7):
        found = [(s, x, y) for s, x, y in pairs if s >= least and belongs(x)]
        right = sum(truth.get(x) == y for s, x, y in found)
        line += '%7.2f %5.2f ' % (100 * right / max(1, len(moved)),
                                  100 * (len(found) - right) / max(1, len(found)))
    print(line)
print('(right of those moved, wrong of those paired, in %)')
