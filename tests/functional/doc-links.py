#!/usr/bin/env python3
"""Every file that a document links to or names has to be there.

    doc-links.py SOURCE-ROOT
"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
link_pattern = re.compile(r'\]\(([^)#\s]+)[^)]*\)')
# `engram/sink.c`, but not `qapi/*.json`
file_pattern = re.compile(r'`([\w.-]+/[\w./-]+\.(?:c|h|S|py|sh|json|md|svg))`')

documents = [*root.glob('*.md'), *root.glob('docs/**/*.md')]
bad = checked = 0
for document in documents:
    text = document.read_text(encoding='utf-8')
    for pattern, bases in ((link_pattern, [document.parent]),
                           (file_pattern, [root, *root.glob('**/include')])):
        for name in pattern.findall(text):
            # share/ is where files are installed
            if name.startswith(('http:', 'https:', 'mailto:', 'share/')):
                continue
            checked += 1
            if not any((base / name).exists() for base in bases):
                print(f'{document.relative_to(root)}: no {name}', file=sys.stderr)
                bad += 1
if len(documents) < 4 or checked < 20:
    print(f'only {len(documents)} documents and {checked} names found', file=sys.stderr)
    bad += 1
sys.exit(bool(bad))
