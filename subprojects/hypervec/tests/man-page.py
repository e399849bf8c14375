#!/usr/bin/env python3
"""man-page.py PAGE HEADER...: the manual page has every function of the headers with the
parameters it has there, its example compiles, and groff (if it is there) has nothing to
say about it."""

import re
import shutil
import subprocess
import sys
import tempfile


def functions(text):
    """name -> the parameters, of every declaration in C text."""
    text = re.sub(r'/\*.*?\*/', '', text, flags=re.S)
    found = re.findall(r'\b(hypervec_\w+)\(([^()]*)\)\s*;', text)
    return {name: re.sub(r'\s+', ' ', parameters).strip() for name, parameters in found}


def synopsis(page):
    part = page.split('.SH SYNOPSIS')[1].split('.SH DESCRIPTION')[0]
    lines = []
    for line in part.splitlines():
        macro, _, rest = line.partition(' ')
        if macro == '.BI':
            words = re.findall(r'"[^"]*"|\S+', rest)
            lines.append(''.join(word.strip('"') for word in words))
        elif macro == '.B':
            lines.append(rest.strip('"'))
    return functions('\n'.join(lines))


def example(page):
    code = page.split('.EX\n')[1].split('.EE')[0]
    return code.replace('\\-', '-').replace('\\e', '\\')


def main(path, headers):
    page = open(path).read()
    declared = {}
    for header in headers:
        declared.update(functions(open(header).read()))
    assert declared, 'no functions in the headers'
    described = synopsis(page)
    for name in sorted(declared.keys() | described.keys()):
        assert declared.get(name) == described.get(name), \
            f'{name}: header ({declared.get(name)}), page ({described.get(name)})'
    compiler = shutil.which('cc') or shutil.which('gcc') or shutil.which('clang')
    if compiler:
        include = headers[0].rsplit('/hypervec/', 1)[0]
        with tempfile.NamedTemporaryFile('w', suffix='.c') as file:
            file.write(example(page))
            file.flush()
            subprocess.run([compiler, '-Wall', '-Wextra', '-Werror', '-fsyntax-only',
                            '-I', include, file.name], check=True)
    if shutil.which('groff'):
        said = subprocess.run(['groff', '-man', '-Tutf8', '-ww', '-z', path], check=True,
                              capture_output=True, text=True).stderr
        assert not said, said


if __name__ == '__main__':
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
