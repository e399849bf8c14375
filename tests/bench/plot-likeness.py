#!/usr/bin/env python3
"""Draws what bench-likeness found.

    plot-likeness.py first|rank|curve OUT.svg [NAME=]RESULTS...

RESULTS are what bench-likeness wrote; NAME says of which versions.

first   for each kind of edit, the share of queries whose right answer came first over how
        much of the file was edited
rank    the same for the mean reciprocal rank of the right answer
curve   for versions and for each kind of edit: if only answers of at least some similarity
        count, the share of these that are right, over the share of all queries that they
        answer rightly
"""
import sys
from html import escape

COLOURS = {'embr': '#0b5394', 'embr, bytes only': '#7fb2e5', 'ssdeep': '#cc6600',
           'tlsh': '#6a994e'}
WIDTH, HEIGHT, LEFT, TOP, GAP_X, GAP_Y, COLUMNS = 230, 130, 60, 56, 50, 66, 3
TITLES = {
    'first': 'right file first, over per cent of the file that was edited:',
    'rank': 'mean reciprocal rank, over per cent of the file that was edited:',
    'curve': 'precision over recall:',
}


def lines_of(arguments):
    """[(name, fields of a line)]"""
    for argument in arguments:
        name, _, file_name = argument.rpartition('=')
        with open(file_name, encoding='utf-8') as file:
            for line in file:
                yield name, line.rstrip('\n').split('\t')


def read_edits(arguments, column):
    """{title: {method: {percent: number}}}, in order"""
    panels = {}
    for _, fields in lines_of(arguments):
        if fields[0] != 'summary':
            continue
        kind, _, percent = fields[1].rpartition(' ')
        if kind and fields[2] != 'embr, bytes only':
            methods = panels.setdefault(kind, {})
            methods.setdefault(fields[2], {})[int(percent)] = float(fields[column])
    return panels


def read_curves(arguments):
    """{title: {method: {recall: precision}}}, in order"""
    panels = {}
    for name, fields in lines_of(arguments):
        if fields[0] != 'curve':
            continue
        is_edit = fields[1] != 'versions'
        title = fields[1] if is_edit else f'versions: {name}' if name else 'versions'
        if not is_edit or fields[2] != 'embr, bytes only':
            curve = panels.setdefault(title, {}).setdefault(fields[2], {})
            curve[100 * float(fields[5])] = float(fields[4])
    return panels


def draw_panel(out, x, y, title, methods, ticks, dots):
    most = max(ticks)

    def place(across, share):
        return x + WIDTH * across / most, y + HEIGHT * (1 - share)

    out.append(f'<text x="{x}" y="{y - 10}" font-weight="bold">{escape(title)}</text>')
    for share in (0, .25, .5, .75, 1):
        _, at = place(0, share)
        out.append(f'<line x1="{x}" y1="{at:.1f}" x2="{x + WIDTH}" y2="{at:.1f}" '
                   'stroke="#dddddd"/>')
        out.append(f'<text x="{x - 6}" y="{at + 4:.1f}" text-anchor="end">'
                   f'{share:.0%}</text>')
    for tick in ticks:
        at, _ = place(tick, 0)
        if tick == 0 or tick >= most / 10:
            out.append(f'<text x="{at:.1f}" y="{y + HEIGHT + 16}" text-anchor="middle">'
                       f'{tick}</text>')
    for method, numbers in reversed(methods.items()):
        # Of points that are less than a pixel from the last one there are hundreds.
        points = []
        for across in sorted(numbers):
            point = place(across, numbers[across])
            if not points or max(abs(p - q) for p, q in zip(point, points[-1])) >= .7:
                points.append(point)
        line = ' '.join('%.1f,%.1f' % point for point in points)
        out.append(f'<polyline points="{line}" fill="none" stroke-width="2" '
                   f'stroke="{COLOURS[method]}"/>')
        for point in points if dots else points[-1:]:
            out.append('<circle cx="%.1f" cy="%.1f" r="2.5" fill="%s"/>'
                       % (*point, COLOURS[method]))


def main():
    if len(sys.argv) < 4 or sys.argv[1] not in TITLES:
        sys.exit('usage: plot-likeness.py first|rank|curve OUT.svg [NAME=]RESULTS...')
    drawing, arguments = sys.argv[1], sys.argv[3:]
    if drawing == 'curve':
        panels = read_curves(arguments)
    else:
        panels = read_edits(arguments, 4 if drawing == 'first' else 6)
    rows = (len(panels) + COLUMNS - 1) // COLUMNS
    width = LEFT + COLUMNS * (WIDTH + GAP_X)
    height = TOP + rows * (HEIGHT + GAP_Y)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
           f'<rect width="{width}" height="{height}" fill="white"/>',
           f'<text x="{LEFT}" y="20">{TITLES[drawing]}</text>']
    shown = {method for methods in panels.values() for method in methods}
    at = LEFT + (390 if drawing != 'curve' else 150)
    for method, colour in COLOURS.items():
        if method in shown:
            out.append(f'<text x="{at}" y="20" fill="{colour}" font-weight="bold">'
                       f'{method}</text>')
            at += 24 + 7 * len(method)
    for i, (title, methods) in enumerate(panels.items()):
        ticks = (0, 25, 50, 75, 100) if drawing == 'curve' else \
            sorted({tick for numbers in methods.values() for tick in numbers})
        draw_panel(out, LEFT + i % COLUMNS * (WIDTH + GAP_X),
                   TOP + i // COLUMNS * (HEIGHT + GAP_Y), title, methods, ticks,
                   drawing != 'curve')
    with open(sys.argv[2], 'w', encoding='utf-8') as file:
        file.write('\n'.join(out) + '\n</svg>\n')


main()
