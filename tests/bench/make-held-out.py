#!/usr/bin/env python3
"""Two versions of packages, for bench-likeness, that nothing was tuned on.

    make-held-out.py OUT [STATUS]...

Of every source package that apt knows in two versions, say of a release and of its security
updates, the binary package with the largest installed size up to 20 MiB is downloaded in
both and unpacked to OUT/old/NAME and OUT/new/NAME; OUT/packages says which these are.
Sources with a package in one of the STATUS files are left out: the lists of installed
packages (/var/lib/dpkg/status) of the systems whose files something was tuned on.
"""
import os
import subprocess
import sys

INSTALLED_KIB_MAX = 20 << 10


def stanzas(text):
    for stanza in text.split('\n\n'):
        lines = [line for line in stanza.split('\n') if line[:1] not in ('', ' ', '\t')]
        fields = dict(line.split(':', 1) for line in lines)
        if 'Package' in fields:
            yield {name: value.strip() for name, value in fields.items()}


def source_of(package):
    return package.get('Source', package['Package']).split()[0]


def known_packages():
    files = subprocess.run(
        ['apt-get', 'indextargets', '--format', '$(FILENAME)', 'Created-By: Packages'],
        check=True, capture_output=True, text=True).stdout.split()
    text = subprocess.run(['/usr/lib/apt/apt-helper', 'cat-file', *files],
                          check=True, capture_output=True, text=True).stdout
    return stanzas(text)


def is_older(a, b):
    return subprocess.run(['dpkg', '--compare-versions', a, 'lt', b]).returncode == 0


def choose(left_out):
    """[(name, old version, new version)], one a source."""
    versions = {}
    for package in known_packages():
        versions.setdefault(package['Package'], {})[package['Version']] = package
    chosen = {}
    for name, found in versions.items():
        package = next(iter(found.values()))
        size = int(package.get('Installed-Size', 0))
        if (len(found) == 2 and size <= INSTALLED_KIB_MAX
                and source_of(package) not in left_out):
            best = chosen.get(source_of(package), (0, '', ()))
            chosen[source_of(package)] = max(best, (size, name, tuple(found)))
    for _, name, (one, other) in sorted(chosen.values(), key=lambda c: c[1]):
        yield (name, one, other) if is_older(one, other) else (name, other, one)


def fetch(packages, root):
    """packages: [(name, version)]"""
    debs = os.path.join(root, 'debs')
    os.makedirs(debs)
    subprocess.run(['apt-get', '-q', '-o', 'APT::Sandbox::User=root', 'download',
                    *[f'{name}={version}' for name, version in packages]],
                   check=True, cwd=debs)
    for deb in sorted(os.listdir(debs)):
        deb_file = os.path.join(debs, deb)
        subprocess.run(['dpkg-deb', '-x', deb_file,
                        os.path.join(root, deb.split('_')[0])], check=True)
        os.unlink(deb_file)
    os.rmdir(debs)


def main():
    if len(sys.argv) < 2:
        sys.exit('usage: make-held-out.py OUT [STATUS]...')
    out, left_out = sys.argv[1], set()
    for status in sys.argv[2:]:
        with open(status, encoding='utf-8') as file:
            left_out |= {source_of(package) for package in stanzas(file.read())}
    chosen = list(choose(left_out))
    fetch([(name, old) for name, old, _ in chosen], os.path.join(out, 'old'))
    fetch([(name, new) for name, _, new in chosen], os.path.join(out, 'new'))
    with open(os.path.join(out, 'packages'), 'w', encoding='utf-8') as file:
        for package in chosen:
            print(*package, file=file)


main()
