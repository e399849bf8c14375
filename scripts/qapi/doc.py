"""Documentation blocks: comments between two lines of ##.

    ##
    # @Name:
    #
    # Text.
    #
    # @member: text, which may go on
    #     on indented lines
    #
    # Since: 0.1
    ##
"""

import re

from .error import SchemaError

_SYMBOL = re.compile(r'@([A-Za-z0-9_-]+):(?:\s+(.*))?$')
_SECTION = re.compile(r'(Since|Returns|Notes?|Example|Features):')


class Doc:
    """One block. symbol is None for free-form text."""

    def __init__(self, where, lines):
        self.where = where
        self.symbol = None
        self.body = []
        self.members = {}
        self._parse(lines)

    def _parse(self, lines):
        current = self.body
        for number, line in lines:
            here = type(self.where)(self.where.path, number)
            if line != '#' and not line.startswith('# '):
                raise SchemaError(here, "expected '# ' in documentation block")
            text = line[2:]
            symbol = _SYMBOL.match(text)
            if not symbol:
                if _SECTION.match(text):
                    current = self.body
                current.append(text.strip())
                continue
            name, rest = symbol.groups()
            if self.symbol is None and not any(self.body):
                if rest:
                    raise SchemaError(here, f"unexpected text after '@{name}:'")
                self.symbol = name
                continue
            if self.symbol is None:
                raise SchemaError(here, f"'@{name}:' in a block without a symbol")
            if name in self.members:
                raise SchemaError(here, f"'@{name}' documented twice")
            current = self.members[name] = [rest or '']

    def text(self, member=None):
        lines = self.body if member is None else self.members[member]
        return ' '.join(line for line in lines if line)

    def check(self, member_names, required):
        """member_names: those the type itself declares."""
        for name in self.members:
            if name not in member_names:
                raise SchemaError(
                    self.where, f"documented member '{name}' of '{self.symbol}' "
                    'does not exist')
        if not required:
            return
        for name in member_names:
            if name not in self.members or not self.text(name):
                raise SchemaError(
                    self.where,
                    f"member '{name}' of '{self.symbol}' is not documented")
