"""Errors of a schema, with the place they were found."""


class SchemaError(Exception):
    """path:line:column: what is wrong"""

    def __init__(self, where, message):
        super().__init__(f'{where}: {message}')


class Location:
    """A place in a schema file."""

    __slots__ = ('path', 'line', 'column')

    def __init__(self, path, line, column=0):
        self.path = path
        self.line = line
        self.column = column

    def __str__(self):
        if self.column:
            return f'{self.path}:{self.line}:{self.column}'
        return f'{self.path}:{self.line}'
