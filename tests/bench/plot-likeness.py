#!/usr/bin/env python3
"""Draws what bench-likeness found.

    plot-likeness.py RESULTS OUT.svg

RESULTS is what bench-likeness wrote: a panel for each kind of edit, with the share of
queries whose right answer came first over how much of the file was edited.
"""
import sys
from html import escape

COLOURS = {'embr': '#0b5394', 'ssdeep': '#cc6600', 'tlsh': '#6a994e'}
WIDTH, HEIGHT, LEFT, TOP, GAP_X, GAP_Y, COLUMNS = 230, 130, 60, 56, 50, 66, 3


def read(name):
    """{kind of edit: {method: {percent: share}}}, in order"""
    panels = {}
    with open(name, encoding='utf-8') as file:
        for line in file:
            fields = line.rstrip('\n').split('\t')
            if fields[0] != 'summary' or fields[2] not in COLOURS:
                continue
            kind, _, percent = fields[1].rpartition(' ')
            if kind and percent.isdigit():
                methods = panels.setdefault(kind, {})
                methods.setdefault(fields[2], {})[int(percent)] = float(fields[4])
    return panels


def draw_panel(out, x, y, kind, methods):
    most = max(percent for shares in methods.values() for percent in shares)

    def place(percent, share):
        return x + WIDTH * percent / most, y + HEIGHT * (1 - share)

    out.append(f'<text x="{x}" y="{y - 10}" font-weight="bold">{escape(kind)}</text>')
    for share in (0, .25, .5, .75, 1):
        _, at = place(0, share)
        out.append(f'<line x1="{x}" y1="{at:.1f}" x2="{x + WIDTH}" y2="{at:.1f}" '
                   'stroke="#dddddd"/>')
        out.append(f'<text x="{x - 6}" y="{at + 4:.1f}" text-anchor="end">'
                   f'{share:.0%}</text>')
    for percent in sorted({p for shares in methods.values() for p in shares}):
        at, _ = place(percent, 0)
        if percent >= 5 or most < 5:
            out.append(f'<text x="{at:.1f}" y="{y + HEIGHT + 16}" text-anchor="middle">'
                       f'{percent}</text>')
    for method, shares in methods.items():
        points = ' '.join('%.1f,%.1f' % place(p, shares[p]) for p in sorted(shares))
        out.append(f'<polyline points="{points}" fill="none" stroke-width="2" '
                   f'stroke="{COLOURS[method]}"/>')
        for p in shares:
            out.append('<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s"/>'
                       % (*place(p, shares[p]), COLOURS[method]))


def main():
    panels = read(sys.argv[1])
    rows = (len(panels) + COLUMNS - 1) // COLUMNS
    width = LEFT + COLUMNS * (WIDTH + GAP_X)
    height = TOP + rows * (HEIGHT + GAP_Y)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
           f'<rect width="{width}" height="{height}" fill="white"/>',
           f'<text x="{LEFT}" y="20">right file first, over per cent of the file that '
           'was edited:</text>']
    for i, (method, colour) in enumerate(COLOURS.items()):
        out.append(f'<text x="{LEFT + 390 + 70 * i}" y="20" fill="{colour}" '
                   f'font-weight="bold">{method}</text>')
    for i, (kind, methods) in enumerate(panels.items()):
        draw_panel(out, LEFT + i % COLUMNS * (WIDTH + GAP_X),
                   TOP + i // COLUMNS * (HEIGHT + GAP_Y), kind, methods)
    with open(sys.argv[2], 'w', encoding='utf-8') as file:
        file.write('\n'.join(out) + '\n</svg>\n')


main()
