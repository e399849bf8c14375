"""diff-check.py JSON PREFIX: that the output of `diff` is what want.json says."""
import base64, json, sys
def path(file):
    if not file:
        return None
    raw = (base64.b64decode(file['path-bytes']).decode('utf-8', 'surrogateescape')
           if 'path-bytes' in file else file['path'])
    assert raw.startswith(prefix), raw
    return raw[len(prefix):].lstrip('/')
prefix = sys.argv[2]
found = []
for change in json.load(open(sys.argv[1])):
    kind = change['kind']
    entry = [kind, path(change.get('before')), path(change.get('after'))]
    if kind in ('modified', 'metadata', 'renamed'):
        entry.append(sorted(change.get('changed', [])))
    assert ('similarity' in change) == (
        kind in ('modified', 'renamed') and change['after']['type'] == 'regular'), change
    if 'similarity' in change and kind == 'renamed':
        edited = 'content' in change.get('changed', [])
        assert change['similarity'] == 1 or edited and change['similarity'] > 0.7, change
    found.append(entry)
want = json.load(open('want.json'))
found.sort(key=str)
assert len(want) > 150
missing = [w for w in want if w not in found]
more = [f for f in found if f not in want]
assert not missing and not more, ('missing', missing, 'more', more)
