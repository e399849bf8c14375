#!/usr/bin/env python3
"""Makes PREFIXqapi-{types,visit}.{h,c} from a QAPI schema.

Also writes a depfile for the build system if asked to.
"""

import argparse
import os
import sys

sys.dont_write_bytecode = True

from qapi.ctypes import TypesHeader, TypesSource, VisitHeader, VisitSource  # noqa: E402
from qapi.error import SchemaError  # noqa: E402
from qapi.schema import Schema  # noqa: E402


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument('schema')
    arguments.add_argument('-o', '--output-dir', default='.')
    arguments.add_argument('-p', '--prefix', default='', help='of the file names')
    arguments.add_argument('--depfile')
    args = arguments.parse_args()
    try:
        schema = Schema(args.schema)
    except SchemaError as error:
        print(error, file=sys.stderr)
        return 1
    source = os.path.basename(args.schema)
    types = f'{args.prefix}qapi-types'
    visit = f'{args.prefix}qapi-visit'
    outputs = {
        f'{types}.h': TypesHeader(schema, source, f'{types}.h'),
        f'{types}.c': TypesSource(schema, source, f'{types}.h'),
        f'{visit}.h': VisitHeader(schema, source, f'{visit}.h', f'{types}.h'),
        f'{visit}.c': VisitSource(schema, source, f'{visit}.h'),
    }
    for name, output in outputs.items():
        write(os.path.join(args.output_dir, name), output.text())
    if args.depfile:
        targets = ' '.join(os.path.join(args.output_dir, name) for name in outputs)
        here = os.path.dirname(os.path.realpath(__file__))
        modules = [os.path.join(here, 'qapi', name)
                   for name in sorted(os.listdir(os.path.join(here, 'qapi')))
                   if name.endswith('.py')]
        write(args.depfile, f'{targets}: {" ".join(schema.files + modules)}\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
