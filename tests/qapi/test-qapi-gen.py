"""The generator: what it refuses, and where it says that is."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ.get('EMBR_SOURCE') or os.path.join(os.path.dirname(__file__), '../..')
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(SOURCE, 'scripts'))
from qapi.error import SchemaError  # noqa: E402
from qapi.schema import Schema  # noqa: E402

GENERATOR = os.path.join(SOURCE, 'scripts/qapi-gen.py')
REQUIRED = "{ 'pragma': { 'doc-required': true } }\n"

# schema text, place of the error, the error
ERRORS = [
    # Tokens
    ("{ 'struct': 'A, 'data': {} }", '1:18', "stray 'd'"),
    ("{ 'struct': 'A", '1:13', 'missing terminating'),
    ("{ 'struct': 'A\\n', 'data': {} }", '1:13', 'no \\ in strings'),
    ("{ 'struct': 'A', 'data': {} } ?", '1:31', "stray '?'"),
    ('{ "struct": "A" }', '1:3', "stray '\"'"),
    ("##\n# @A:\n#", '1:1', "must end with '##'"),

    # Grammar
    ("'struct'", '1:1', "expected '{'"),
    ("[ ]", '1:1', "expected '{'"),
    ("{ 'struct' 'A' }", '1:12', "expected ':'"),
    ("{ 'struct': 'A' 'data': {} }", '1:17', "expected ',' or '}'"),
    ("{ 'struct': 'A', 'data': {}, }", '1:30', "expected string or '}'"),
    ("{ true: 'A' }", '1:3', "expected string or '}'"),
    ("{ 'struct': }", '1:13', "expected '{', '[', string, or boolean"),
    ("{ 'enum': 'E', 'data': [ 'a' 'b' ] }", '1:30', "expected ',' or ']'"),
    ("{ 'enum': 'E', 'data': [ 'a', ] }", '1:31', 'expected'),
    ("{ 'struct': 'A', 'struct': 'B' }", '1:18', "duplicate key 'struct'"),
    ("{ 'struct': 'A', 'data': { 'x': 'int', 'x': 'int' } }", '1:40', "duplicate key 'x'"),
    ("{ 'struct': 'A', 'data': {", '1:27', "expected string or '}'"),

    # Directives
    ("{ 'include': 'none.json' }", '1:1', "can't open included file 'none.json'"),
    ("{ 'include': [ 'a.json' ] }", '1:1', 'must be a string'),
    ("{ 'include': 'a.json', 'x': 'y' }", '1:1', 'stand alone'),
    ("{ 'pragma': { 'doc': true } }", '1:1', "unknown pragma 'doc'"),
    ("{ 'pragma': { 'doc-required': 'yes' } }", '1:1', 'must be a boolean'),
    ("{ 'pragma': true }", '1:1', 'must be an object'),

    # Kinds of expressions
    ("{ }", '1:1', 'none of include, pragma'),
    ("{ 'type': 'A' }", '1:1', 'none of include, pragma'),
    ("{ 'command': 'a' }", '1:1', "'command' is not supported"),
    ("{ 'event': 'A' }", '1:1', "'event' is not supported"),
    ("{ 'alternate': 'A', 'data': {} }", '1:1', "'alternate' is not supported"),
    ("{ 'struct': 'A', 'data': {}, 'x': 'y' }", '1:1', "struct has unknown key 'x'"),
    ("{ 'struct': 'A' }", '1:1', "struct 'A' lacks key 'data'"),
    ("{ 'union': 'A', 'data': {} }", '1:1', "union 'A' lacks key 'base'"),
    ("{ 'struct': 'a', 'data': {} }", '1:1', "struct has the bad name 'a'"),
    ("{ 'struct': {}, 'data': {} }", '1:1', 'struct has the bad name {}'),
    ("{ 'struct': 'A-B', 'data': {} }", '1:1', "bad name 'A-B'"),

    # Names
    ("{ 'struct': 'A', 'data': {} }\n{ 'enum': 'A', 'data': [ 'a' ] }", '2:1',
     "'A' is already defined"),
    ("{ 'struct': 'AbC', 'data': {} }\n{ 'struct': 'AbC', 'data': {} }", '2:1',
     "'AbC' is already defined"),
    ("{ 'struct': 'IoThread', 'data': {} }\n{ 'struct': 'IOThread', 'data': {} }", '2:1',
     'the same name in C'),
    ("{ 'struct': 'A', 'data': { 'X': 'int' } }", '1:1', "bad name 'X'"),
    ("{ 'struct': 'A', 'data': { 'x_y': 'int' } }", '1:1', "bad name 'x_y'"),
    ("{ 'struct': 'A', 'data': { '*': 'int' } }", '1:1', "bad name ''"),
    ("{ 'struct': 'A', 'data': { 'u': 'int' } }", '1:1', 'reserved name'),
    ("{ 'struct': 'A', 'data': { 'has-x': 'int' } }", '1:1', 'reserved name'),
    ("{ 'struct': 'A', 'data': { 'x': 'int', '*x': 'int' } }", '1:1', "'x' twice"),

    # Enumerations
    ("{ 'enum': 'E', 'data': [] }", '1:1', 'at least one string'),
    ("{ 'enum': 'E', 'data': {} }", '1:1', 'must be an array'),
    ("{ 'enum': 'E', 'data': [ 'A' ] }", '1:1', "bad value 'A'"),
    ("{ 'enum': 'E', 'data': [ true ] }", '1:1', 'bad value True'),
    ("{ 'enum': 'E', 'data': [ 'a', 'a' ] }", '1:1', "has 'a' twice"),
    ("{ 'enum': 'E', 'data': [ 'a-b', 'a.b' ] }", '1:1', 'the same name in C'),

    # Structs
    ("{ 'struct': 'A', 'data': [] }", '1:1', "'data' of 'A' must be an object"),
    ("{ 'struct': 'A', 'data': { 'x': 'B' } }", '1:1',
     "member 'x' of 'A' uses unknown type 'B'"),
    ("{ 'struct': 'A', 'data': { 'x': {} } }", '1:1', 'must be a type name'),
    ("{ 'struct': 'A', 'data': { 'x': [] } }", '1:1', 'a single type name'),
    ("{ 'struct': 'A', 'data': { 'x': [ 'int', 'str' ] } }", '1:1', 'a single type name'),
    ("{ 'struct': 'A', 'data': { 'x': [ [ 'int' ] ] } }", '1:1', 'must be a type name'),
    ("{ 'struct': 'A', 'base': 'B', 'data': {} }", '1:1', "unknown type 'B'"),
    ("{ 'struct': 'A', 'base': 'int', 'data': {} }", '1:1', "'int' is not"),
    ("{ 'struct': 'A', 'base': {}, 'data': {} }", '1:1', "'base' of 'A' must be the name"),
    ("{ 'struct': 'A', 'base': 'A', 'data': {} }", '1:1', 'has itself as base'),
    ("{ 'struct': 'A', 'base': 'B', 'data': {} }\n"
     "{ 'struct': 'B', 'base': 'A', 'data': {} }", '1:1', 'has itself as base'),
    ("{ 'struct': 'A', 'data': { 'x': 'int' } }\n"
     "{ 'struct': 'B', 'base': 'A', 'data': { 'x': 'int' } }", '2:1', "'x' twice"),
    ("{ 'struct': 'A', 'data': { 'x': 'A' } }", '1:1', "'A' contains itself"),
    ("{ 'struct': 'A', 'data': { 'x': 'B' } }\n"
     "{ 'struct': 'B', 'data': { 'x': 'A' } }", '1:1', 'contains itself'),

    # Unions
    ("{ 'enum': 'E', 'data': [ 'a' ] }\n{ 'union': 'U', 'base': { 'e': 'E' },"
     " 'discriminator': 'e', 'data': {} }", '2:1', 'at least one branch'),
    ("{ 'enum': 'E', 'data': [ 'a' ] }\n{ 'union': 'U', 'base': { 'e': 'E' },"
     " 'discriminator': 'x', 'data': { 'a': 'S' } }", '2:1', "discriminator 'x' is not"),
    ("{ 'enum': 'E', 'data': [ 'a' ] }\n{ 'union': 'U', 'base': { '*e': 'E' },"
     " 'discriminator': 'e', 'data': { 'a': 'S' } }", '2:1', 'must be a required enum'),
    ("{ 'union': 'U', 'base': { 'e': 'str' }, 'discriminator': 'e',"
     " 'data': { 'a': 'S' } }", '1:1', 'must be a required enum'),
    ("{ 'union': 'U', 'base': { 'e': 'str' }, 'discriminator': true,"
     " 'data': { 'a': 'S' } }", '1:1', 'must be a string'),
    ("{ 'enum': 'E', 'data': [ 'a' ] }\n{ 'union': 'U', 'base': { 'e': 'E' },"
     " 'discriminator': 'e', 'data': { 'b': 'S' } }", '2:1', "branch 'b' of 'U' is not a"),
    ("{ 'enum': 'E', 'data': [ 'a' ] }\n{ 'union': 'U', 'base': { 'e': 'E' },"
     " 'discriminator': 'e', 'data': { 'a': 'E' } }", '2:1', 'must be a struct'),
    ("{ 'enum': 'E', 'data': [ 'a' ] }\n{ 'union': 'U', 'base': { 'e': 'E' },"
     " 'discriminator': 'e', 'data': { 'a': [ 'E' ] } }", '2:1', 'the name of a struct'),
    ("{ 'enum': 'E', 'data': [ 'a' ] }\n{ 'struct': 'S', 'data': { 'e': 'int' } }\n"
     "{ 'union': 'U', 'base': { 'e': 'E' }, 'discriminator': 'e',"
     " 'data': { 'a': 'S' } }", '3:1', "member 'e' twice"),

    # Documentation
    (REQUIRED + "{ 'struct': 'A', 'data': {} }", '2:1', "documentation of 'A' is missing"),
    (REQUIRED + "##\n# @A:\n##\n{ 'struct': 'A', 'data': { 'x': 'int' } }", '2:1',
     "member 'x' of 'A' is not documented"),
    (REQUIRED + "##\n# @A:\n#\n# @x:\n##\n{ 'struct': 'A', 'data': { 'x': 'int' } }", '2:1',
     "member 'x' of 'A' is not documented"),
    ("##\n# @A:\n#\n# @y: text\n##\n{ 'struct': 'A', 'data': {} }", '1:1',
     "documented member 'y' of 'A' does not exist"),
    ("##\n# @B:\n##\n{ 'struct': 'A', 'data': {} }", '1:1', "is for 'B', definition is of 'A'"),
    ("##\n# @A: text\n##\n{ 'struct': 'A', 'data': {} }", '2', 'unexpected text'),
    ("##\n# @A:\n#\n# @x: a\n# @x: b\n##\n{ 'struct': 'A', 'data': { 'x': 'int' } }", '5',
     "'@x' documented twice"),
    ("##\n#@A:\n##\n{ 'struct': 'A', 'data': {} }", '2', "expected '# '"),
    ("##\n# @A:\n##\n", '1:1', 'is not followed by it'),
    ("##\n# @A:\n##\n##\n# @B:\n##\n{ 'struct': 'B', 'data': {} }", '1:1',
     'is not followed by it'),
]


class GeneratorTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.dir = directory.name

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def read(self, name):
        with open(os.path.join(self.dir, name), encoding='utf-8') as file:
            return file.read()

    def run_generator(self, path, *arguments):
        return subprocess.run(
            [sys.executable, GENERATOR, path, '-o', self.dir, *arguments],
            capture_output=True, text=True, check=False)

    def test_errors(self):
        for text, place, message in ERRORS:
            with self.subTest(schema=text):
                path = self.write('s.json', text)
                with self.assertRaises(SchemaError) as raised:
                    Schema(path)
                error = str(raised.exception)
                self.assertTrue(error.startswith(f'{path}:{place}: '), error)
                self.assertIn(message, error)

    def test_failure(self):
        """One line on stderr, and nothing is written."""
        path = self.write('s.json', '[ ]')
        result = self.run_generator(path)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr, f"{path}:1:1: expected '{{'\n")
        self.assertEqual(os.listdir(self.dir), ['s.json'])

    def test_missing_schema(self):
        result = self.run_generator(os.path.join(self.dir, 'none.json'))
        self.assertEqual(result.returncode, 1)
        self.assertIn('none.json:1: No such file or directory', result.stderr)

    def test_includes(self):
        self.write('b.json', "{ 'include': 'c.json' }\n{ 'enum': 'E', 'data': [ 'a' ] }")
        self.write('c.json', "{ 'struct': 'C', 'data': { 'e': 'E' } }")
        path = self.write('a.json', "{ 'include': 'c.json' }\n{ 'include': 'b.json' }\n"
                          "{ 'struct': 'A', 'base': 'C', 'data': {} }")
        deps = os.path.join(self.dir, 'deps')
        result = self.run_generator(path, '--depfile', deps, '-p', 'x-')
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.read('x-qapi-types.h').count('struct C {'), 1)
        targets, sources = self.read('deps').split(':')
        self.assertEqual(sorted(os.path.basename(name) for name in targets.split()),
                         ['x-qapi-types.c', 'x-qapi-types.h', 'x-qapi-visit.c',
                          'x-qapi-visit.h'])
        for name in 'a.json', 'b.json', 'c.json', 'schema.py':
            self.assertRegex(sources, rf'/{re.escape(name)}\b')

    def test_error_in_include(self):
        inner = self.write('b.json', "\n{ 'struct': 'B', 'data': { 'x': 'none' } }")
        result = self.run_generator(self.write('a.json', "{ 'include': 'b.json' }"))
        self.assertEqual(result.stderr, f"{inner}:2:1: member 'x' of 'B' uses unknown type "
                         "'none'\n")

    def test_inclusion_loop(self):
        self.write('b.json', "{ 'include': 'a.json' }")
        result = self.run_generator(self.write('a.json', "{ 'include': 'b.json' }"))
        self.assertEqual(result.returncode, 1)
        self.assertIn('a.json:1: inclusion loop', result.stderr)

    def test_same_output(self):
        """What is generated depends on nothing but the schema."""
        path = os.path.join(SOURCE, 'qapi/embr-schema.json')
        texts = []
        for seed in '1', '2':
            env = dict(os.environ, PYTHONHASHSEED=seed)
            subprocess.run([sys.executable, GENERATOR, path, '-o', self.dir], env=env,
                           check=True)
            texts.append([self.read(f'qapi-{part}') for part in
                          ('types.h', 'types.c', 'visit.h', 'visit.c')])
        self.assertEqual(texts[0], texts[1])

    def test_comments_in_documentation(self):
        """Nothing in a text of the schema can end a comment in C."""
        path = self.write('a.json', "##\n# @A:\n#\n# Ends here */ int x;\n#\n# @m: and */ here"
                          "\n##\n{ 'struct': 'A', 'data': { 'm': 'int' } }")
        self.assertEqual(self.run_generator(path).returncode, 0)
        self.assertNotIn('*/ int', self.read('qapi-types.h'))
        self.assertNotIn('*/ here', self.read('qapi-types.h'))


if __name__ == '__main__':
    unittest.main()
