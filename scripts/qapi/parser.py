"""From schema text to expressions.

The language is JSON with three changes: strings are in single quotes, comments
start with '#', and top-level expressions follow each other without commas.
"""

import os

from .doc import Doc
from .error import Location, SchemaError


class Expression:
    """A top-level expression: an ordered dict, where it is, and its doc block."""

    def __init__(self, where, value, doc):
        self.where = where
        self.value = value
        self.doc = doc


class _Tokens:
    """Tokens of one file: (location, kind, value), kind one of {}[]:, str bool doc eof."""

    def __init__(self, path, text):
        self._path = path
        self._text = text
        self._pos = 0
        self._line = 1
        self._line_start = 0
        self.next()

    def _location(self):
        return Location(self._path, self._line, self._pos - self._line_start + 1)

    def _end_of_line(self):
        end = self._text.find('\n', self._pos)
        return len(self._text) if end < 0 else end

    def next(self):
        self.where, self.kind, self.value = self._scan()

    def _scan(self):
        while self._pos < len(self._text):
            char = self._text[self._pos]
            if char == '\n':
                self._pos += 1
                self._line += 1
                self._line_start = self._pos
            elif char in ' \t':
                self._pos += 1
            elif char == '#':
                where, end = self._location(), self._end_of_line()
                comment = self._text[self._pos:end]
                self._pos = end
                if comment.rstrip() == '##':
                    return where, 'doc', self._doc(where)
            else:
                return self._scan_token(char)
        return self._location(), 'eof', None

    def _scan_token(self, char):
        where = self._location()
        if char in '{}[]:,':
            self._pos += 1
            return where, char, char
        if char == "'":
            return where, 'str', self._string(where)
        for word, value in (('true', True), ('false', False)):
            if self._text.startswith(word, self._pos):
                self._pos += len(word)
                return where, 'bool', value
        raise SchemaError(where, f'stray {char!r}')

    def _string(self, where):
        end = self._end_of_line()
        close = self._text.find("'", self._pos + 1, end)
        if close < 0:
            raise SchemaError(where, 'missing terminating "\'"')
        value = self._text[self._pos + 1:close]
        if '\\' in value or not value.isprintable():
            raise SchemaError(where, 'only printable characters and no \\ in strings')
        self._pos = close + 1
        return value

    def _doc(self, where):
        lines = []
        while self._pos < len(self._text):
            self._pos += 1
            self._line += 1
            self._line_start = self._pos
            end = self._end_of_line()
            line = self._text[self._pos:end].rstrip()
            self._pos = end
            if line == '##':
                return Doc(where, lines)
            lines.append((self._line, line))
        raise SchemaError(where, "documentation block must end with '##'")


class Parser:
    """Reads a schema file and those it includes, each once."""

    def __init__(self, path):
        self.files = []
        self.expressions = []
        self.doc_required = False
        self._parse_file(path, ())

    def _parse_file(self, path, including):
        real = os.path.realpath(path)
        if real in including:
            raise SchemaError(Location(path, 1), 'inclusion loop')
        if real in self.files:
            return
        self.files.append(real)
        try:
            with open(path, encoding='utf-8') as file:
                text = file.read()
        except OSError as error:
            raise SchemaError(Location(path, 1), error.strerror) from error
        tokens = _Tokens(path, text)
        doc = None
        while tokens.kind != 'eof':
            if tokens.kind == 'doc':
                _unclaimed(doc)
                doc = tokens.value
                if doc.symbol is None:
                    doc = None
                tokens.next()
                continue
            where = tokens.where
            if tokens.kind != '{':
                raise SchemaError(where, "expected '{'")
            value = self._value(tokens)
            if 'include' in value:
                _unclaimed(doc)
                self._include(where, value, path, including + (real,))
            elif 'pragma' in value:
                _unclaimed(doc)
                self._pragma(where, value)
            else:
                self.expressions.append(Expression(where, value, doc))
            doc = None
        _unclaimed(doc)

    def _include(self, where, value, path, including):
        name = value['include']
        if len(value) != 1 or not isinstance(name, str):
            raise SchemaError(where, "'include' must be a string and stand alone")
        target = os.path.join(os.path.dirname(path), name)
        if not os.path.exists(target):
            raise SchemaError(where, f"can't open included file '{name}'")
        self._parse_file(target, including)

    def _pragma(self, where, value):
        pragma = value['pragma']
        if len(value) != 1 or not isinstance(pragma, dict):
            raise SchemaError(where, "'pragma' must be an object and stand alone")
        for name, setting in pragma.items():
            if name != 'doc-required':
                raise SchemaError(where, f"unknown pragma '{name}'")
            if not isinstance(setting, bool):
                raise SchemaError(where, "pragma 'doc-required' must be a boolean")
            self.doc_required = setting

    def _value(self, tokens):
        kind, value = tokens.kind, tokens.value
        if kind in ('str', 'bool'):
            tokens.next()
            return value
        if kind == '{':
            return self._object(tokens)
        if kind == '[':
            return self._array(tokens)
        raise SchemaError(tokens.where, "expected '{', '[', string, or boolean")

    def _object(self, tokens):
        result = {}
        tokens.next()
        while tokens.kind != '}' or result:
            if tokens.kind != 'str':
                raise SchemaError(tokens.where, "expected string or '}'")
            key, where = tokens.value, tokens.where
            if key in result:
                raise SchemaError(where, f"duplicate key '{key}'")
            tokens.next()
            if tokens.kind != ':':
                raise SchemaError(tokens.where, "expected ':'")
            tokens.next()
            result[key] = self._value(tokens)
            if tokens.kind == '}':
                break
            if tokens.kind != ',':
                raise SchemaError(tokens.where, "expected ',' or '}'")
            tokens.next()
        tokens.next()
        return result

    def _array(self, tokens):
        result = []
        tokens.next()
        while tokens.kind != ']' or result:
            result.append(self._value(tokens))
            if tokens.kind == ']':
                break
            if tokens.kind != ',':
                raise SchemaError(tokens.where, "expected ',' or ']'")
            tokens.next()
        tokens.next()
        return result


def _unclaimed(doc):
    if doc:
        raise SchemaError(doc.where,
                          f"documentation for '{doc.symbol}' is not followed by it")
