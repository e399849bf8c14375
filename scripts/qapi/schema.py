"""Types of a schema, checked."""

import re

from .error import SchemaError
from .names import c_name, constant, snake
from .parser import Parser

_TYPE_NAME = re.compile(r'[A-Z][A-Za-z0-9]*$')
_MEMBER_NAME = re.compile(r'[a-z][a-z0-9]*(-[a-z0-9]+)*$')
_VALUE_NAME = re.compile(r'[a-z0-9][a-z0-9]*([-._][a-z0-9]+)*$')

_KEYS = {
    'enum': ({'enum', 'data'}, set()),
    'struct': ({'struct', 'data'}, {'base'}),
    'union': ({'union', 'base', 'discriminator', 'data'}, set()),
}
_NOT_HERE = ('command', 'event', 'alternate')


class Builtin:
    """A type of the language itself."""

    def __init__(self, name, ctype, descriptor, is_pointer=False):
        self.name = name
        self.ctype = ctype
        self.descriptor = descriptor
        self.is_pointer = is_pointer


BUILTINS = {t.name: t for t in [
    Builtin('bool', 'bool', 'qapi_type_bool'),
    Builtin('int', 'int64_t', 'qapi_type_int'),
    *[Builtin(f'int{n}', f'int{n}_t', f'qapi_type_int{n}') for n in (8, 16, 32, 64)],
    *[Builtin(f'uint{n}', f'uint{n}_t', f'qapi_type_uint{n}') for n in (8, 16, 32, 64)],
    Builtin('size', 'uint64_t', 'qapi_type_size'),
    Builtin('number', 'double', 'qapi_type_number'),
    Builtin('str', 'char *', 'qapi_type_str', True),
    Builtin('any', 'JsonNode *', 'qapi_type_any', True),
]}


class Member:
    """A member of a struct or of a union's base."""

    def __init__(self, name, optional, type_name, is_list):
        self.name = name
        self.optional = optional
        self.type_name = type_name
        self.is_list = is_list
        self.type = None

    @property
    def is_pointer(self):
        return (self.is_list or isinstance(self.type, Object)
                or (isinstance(self.type, Builtin) and self.type.is_pointer))


class Type:
    """A type that the schema defines."""

    def __init__(self, name, expression):
        self.name = name
        self.where = expression.where
        self.doc = expression.doc
        self.snake = snake(name)
        self.descriptor = f'qapi_type_{self.snake}'

    def own_names(self):
        raise NotImplementedError


class Enum(Type):
    def __init__(self, name, expression):
        super().__init__(name, expression)
        values = expression.value['data']
        if not isinstance(values, list) or not values:
            raise SchemaError(self.where, f"'data' of enum '{name}' must be an array "
                              'of at least one string')
        for value in values:
            if not isinstance(value, str) or not _VALUE_NAME.match(value):
                raise SchemaError(self.where, f"enum '{name}' has a bad value {value!r}")
            if values.count(value) > 1:
                raise SchemaError(self.where, f"enum '{name}' has '{value}' twice")
        seen = {}
        for value in values:
            other = seen.setdefault(constant(name, value), value)
            if other != value:
                raise SchemaError(self.where, f"values '{other}' and '{value}' of enum "
                                  f"'{name}' have the same name in C")
        self.values = values

    def own_names(self):
        return self.values


class Object(Type):
    """A struct, or a union: then discriminator and branches are set."""

    def __init__(self, name, expression):
        super().__init__(name, expression)
        value = expression.value
        self.base_name = None
        self.base = None
        self.discriminator = value.get('discriminator')
        self.tag = None
        self.branch_names = None
        self.branches = {}
        if 'union' in value:
            self._take_branches(value['data'])
            self.own = []
        else:
            self.own = self._members(value['data'], "'data'")
        base = value.get('base')
        if isinstance(base, dict) and self.is_union:
            self.own = self._members(base, "'base'")
        elif isinstance(base, str):
            self.base_name = base
        elif base is not None:
            raise SchemaError(self.where, f"'base' of '{name}' must be the name of a "
                              'struct' + (' or an object' if self.is_union else ''))
        self.members = None

    @property
    def is_union(self):
        return self.branch_names is not None

    def own_names(self):
        return [m.name for m in self.own]

    def _take_branches(self, data):
        if not isinstance(data, dict) or not data:
            raise SchemaError(self.where, f"'data' of union '{self.name}' must be an "
                              'object with at least one branch')
        for tag, branch in data.items():
            if not isinstance(branch, str):
                raise SchemaError(self.where, f"branch '{tag}' of '{self.name}' must be "
                                  'the name of a struct')
        if not isinstance(self.discriminator, str):
            raise SchemaError(self.where, f"'discriminator' of '{self.name}' must be a "
                              'string')
        self.branch_names = data

    def _members(self, data, what):
        if not isinstance(data, dict):
            raise SchemaError(self.where, f"{what} of '{self.name}' must be an object")
        return [self._member(name, value) for name, value in data.items()]

    def _member(self, name, value):
        optional = name.startswith('*')
        name = name[1:] if optional else name
        if not _MEMBER_NAME.match(name):
            raise SchemaError(self.where, f"'{self.name}' has a member with the bad name "
                              f"'{name}'")
        if name == 'u' or name.startswith('has-'):
            raise SchemaError(self.where, f"member '{name}' of '{self.name}' uses a "
                              'reserved name')
        is_list = isinstance(value, list)
        if is_list:
            if len(value) != 1:
                raise SchemaError(self.where, f"member '{name}' of '{self.name}': array "
                                  'type must contain a single type name')
            value = value[0]
        if not isinstance(value, str):
            raise SchemaError(self.where, f"member '{name}' of '{self.name}' must be a "
                              'type name')
        return Member(name, optional, value, is_list)


class Schema:
    """All types of a schema file and what it includes, in order of definition."""

    def __init__(self, path):
        parser = Parser(path)
        self.files = parser.files
        self._types = {}
        for expression in parser.expressions:
            self._define(expression, parser.doc_required)
        for type_ in self._types.values():
            if isinstance(type_, Object):
                self._resolve(type_, ())
        for type_ in self._types.values():
            if isinstance(type_, Object):
                self._check_size(type_, ())

    @property
    def types(self):
        return list(self._types.values())

    @property
    def enums(self):
        return [t for t in self.types if isinstance(t, Enum)]

    @property
    def objects(self):
        return [t for t in self.types if isinstance(t, Object)]

    def _define(self, expression, doc_required):
        kind, name = _kind_and_name(expression)
        if name in self._types or name in BUILTINS:
            raise SchemaError(expression.where, f"'{name}' is already defined")
        for other in self._types.values():
            if other.snake == snake(name):
                raise SchemaError(expression.where, f"'{name}' and '{other.name}' have "
                                  'the same name in C')
        type_ = (Enum if kind == 'enum' else Object)(name, expression)
        if type_.doc and type_.doc.symbol != name:
            raise SchemaError(type_.doc.where, f"documentation is for "
                              f"'{type_.doc.symbol}', definition is of '{name}'")
        if type_.doc:
            type_.doc.check(type_.own_names(), doc_required)
        elif doc_required:
            raise SchemaError(type_.where, f"documentation of '{name}' is missing")
        self._types[name] = type_

    def _lookup(self, name, where, what):
        type_ = BUILTINS.get(name) or self._types.get(name)
        if not type_:
            raise SchemaError(where, f"{what} uses unknown type '{name}'")
        return type_

    def _resolve(self, type_, inside):
        if type_ in inside:
            raise SchemaError(type_.where, f"'{type_.name}' has itself as base")
        if type_.members is not None:
            return
        inherited = []
        if type_.base_name:
            base = self._lookup(type_.base_name, type_.where, f"'base' of '{type_.name}'")
            if not isinstance(base, Object) or base.is_union:
                raise SchemaError(type_.where, f"'base' of '{type_.name}' must be a "
                                  f"struct, '{base.name}' is not")
            self._resolve(base, inside + (type_,))
            type_.base = base
            inherited = base.members
        for member in type_.own:
            member.type = self._lookup(member.type_name, type_.where,
                                       f"member '{member.name}' of '{type_.name}'")
        type_.members = inherited + type_.own
        _check_clashes(type_, type_.members)
        if type_.is_union:
            self._resolve_branches(type_)

    def _resolve_branches(self, type_):
        tags = [m for m in type_.members if m.name == type_.discriminator]
        if not tags:
            raise SchemaError(type_.where, f"discriminator '{type_.discriminator}' is not "
                              f"a member of the base of '{type_.name}'")
        tag = tags[0]
        if tag.optional or tag.is_list or not isinstance(tag.type, Enum):
            raise SchemaError(type_.where, f"discriminator '{tag.name}' of "
                              f"'{type_.name}' must be a required enum")
        type_.tag = tag
        for value, name in type_.branch_names.items():
            if value not in tag.type.values:
                raise SchemaError(type_.where, f"branch '{value}' of '{type_.name}' is "
                                  f"not a value of enum '{tag.type.name}'")
            branch = self._lookup(name, type_.where,
                                  f"branch '{value}' of '{type_.name}'")
            if not isinstance(branch, Object) or branch.is_union:
                raise SchemaError(type_.where, f"branch '{value}' of '{type_.name}' must "
                                  f"be a struct, '{name}' is not")
            self._resolve(branch, ())
            _check_clashes(type_, type_.members + branch.members)
            type_.branches[value] = branch

    def _check_size(self, type_, inside):
        """A struct that needs one of its own kind can never end."""
        if type_ in inside:
            raise SchemaError(type_.where, f"'{type_.name}' contains itself")
        for member in type_.members:
            if isinstance(member.type, Object) and not (
                    member.optional or member.is_list or member.type.is_union):
                self._check_size(member.type, inside + (type_,))


def _kind_and_name(expression):
    value = expression.value
    for kind in _NOT_HERE:
        if kind in value:
            raise SchemaError(expression.where, f"'{kind}' is not supported")
    kinds = [kind for kind in _KEYS if kind in value]
    if not kinds:
        raise SchemaError(expression.where, 'expression is none of include, pragma, '
                          + ', '.join(_KEYS))
    kind = kinds[0]
    required, optional = _KEYS[kind]
    for key in value:
        if key not in required | optional:
            raise SchemaError(expression.where, f"{kind} has unknown key '{key}'")
    name = value[kind]
    if not isinstance(name, str) or not _TYPE_NAME.match(name):
        raise SchemaError(expression.where, f'{kind} has the bad name {name!r}')
    for key in sorted(required):
        if key not in value:
            raise SchemaError(expression.where, f"{kind} '{name}' lacks key '{key}'")
    return kind, name


def _check_clashes(type_, members):
    seen = {}
    for member in members:
        name = c_name(member.name)
        if name in seen:
            raise SchemaError(type_.where, f"'{type_.name}' has member '{member.name}' "
                              'twice')
        seen[name] = member
