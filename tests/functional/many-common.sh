# What the tests of large folders share; source it after common.sh.
need python3

tests=$EMBR_SOURCE/tests/functional
fs_dump=$EMBR_BUILD/tests/functional/fs-dump
done_with=()     # names of what was compared

# list.py DIR: each name, its inode and type, in order of names; and the file's content.
cat >list.py <<'PYTHON'
import os, sys
types = {True: 'dir', False: 'file'}
rows = ['%s %d %s' % (e.name, e.inode(), types[e.is_dir(follow_symlinks=False)])
        for e in os.scandir(sys.argv[1])]
print('\n'.join(sorted(rows)))
PYTHON

# fill.py DIR COUNT: names of 7 to 60 bytes, most of them links.
cat >fill.py <<'PYTHON'
import os, sys
os.chdir(sys.argv[1])
count = int(sys.argv[2])
os.mkdir('many')
os.chdir('many')
def name(i):
    return '%s%06d' % ('name-' * (i * 7919 % 11), i)
for i in range(count):
    if i % 30000 == 0:
        first = name(i)
        open(first, 'w').close()
    elif i % 1000 == 1:
        os.mkdir(name(i))
    else:
        os.link(first, name(i))
for i in range(count // 3):
    k = i * 3 + 2
    if k % 1000 != 1 and k % 30000:
        os.unlink(name(k))
for i in range(count, count + count // 3):
    os.link(first, 'late-' + name(i))
if sys.argv[3:]:
    os.mkdir('../large')
    with open('../large/sparse', 'wb') as file:
        for at in (0, 1 << 39, (1 << 40) - 3):
            file.seek(at)
            file.write(b'far')
PYTHON

# list_all NAME: all of the image's files into dump.txt, each found by its name, too.
list_all()
{
    "$fs_dump" image >dump.txt 2>said.txt || { cat said.txt >&2; fail "$1: fs-dump"; }
    grep '^warning' said.txt >&2 && fail "$1: there are warnings"
    awk '$1 ~ /^many\// { print substr($1, 6), substr($2, 5), $3 ~ /^mode=4/ ? "dir" : "file" }' \
        dump.txt | sort >ours.txt
}

# check NAME [names]: inode numbers are left out where they are not the kernel's.
check()
{
    [ "$(wc -l <ours.txt)" -ge 99000 ] || fail "$1: $(wc -l <ours.txt) entries"
    if [ "${2:-}" = names ]; then
        awk '{ print $1, $3 }' ours.txt >names.txt && mv names.txt ours.txt
        awk '{ print $1, $3 }' theirs.txt >names.txt && mv names.txt theirs.txt
    fi
    same ours.txt theirs.txt "$1: entries, and those of the kernel"
    "$EMBR_IMG" ls -l image "/many/$(sed -n '77777s/ .*//p' ours.txt)" >/dev/null ||
        fail "$1: one of the entries"
    if [ -e sparse.txt ]; then
        sed -n 's,^large/sparse ,sparse ,p' dump.txt >ours-sparse.txt
        python3 "$tests/fs-tree.py" compare sparse.txt ours-sparse.txt >&2 ||
            fail "$1: a file of 1 TB"
        rm sparse.txt
    fi
    done_with+=("$1")
}
