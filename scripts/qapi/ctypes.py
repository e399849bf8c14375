"""C for the types: declarations, descriptor tables, functions by type name."""

from .names import c_name, constant
from .schema import Object

_BANNER = '/* Made by scripts/qapi-gen.py from {source}. Do not edit. */\n'


def _guard(file_name):
    return 'EMBR_' + ''.join(c if c.isalnum() else '_' for c in file_name).upper()


def _member_type(member):
    if member.is_list:
        return ('GPtrArray *' if _is_pointer_element(member) else 'GArray *')
    if isinstance(member.type, Object):
        return f'{member.type.name} *'
    ctype = getattr(member.type, 'ctype', None) or member.type.name
    return ctype if ctype.endswith('*') else ctype + ' '


def _is_pointer_element(member):
    return isinstance(member.type, Object) or getattr(member.type, 'is_pointer', False)


def _element_name(member):
    return (getattr(member.type, 'ctype', None) or member.type.name).rstrip(' *')


def _has_flag(member):
    return member.optional and not member.is_pointer


class TypesHeader:
    """qapi-types.h"""

    def __init__(self, schema, source, file_name):
        self._schema = schema
        self._source = source
        self._file_name = file_name

    def text(self):
        guard = _guard(self._file_name)
        out = [_BANNER.format(source=self._source),
               f'#ifndef {guard}\n#define {guard}\n\n'
               '#include "qapi/qapi.h"\n']
        out += [f'typedef struct {t.name} {t.name};' for t in self._schema.objects]
        out.append('')
        out += [self._enum(t) for t in self._schema.enums]
        out += [self._struct(t) for t in self._in_order()]
        out += [self._functions(t) for t in self._schema.objects]
        out.append('#endif')
        return '\n'.join(out) + '\n'

    def _in_order(self):
        """Branches are held by value, so they come before their union."""
        return sorted(self._schema.objects, key=lambda t: t.is_union)

    @staticmethod
    def _enum(type_):
        lines = _doc_comment(type_) + [f'typedef enum {type_.name} {{']
        for value in type_.values:
            lines.append(f'    {constant(type_.name, value)},'
                         + _member_comment(type_, value))
        lines.append(f'    {constant(type_.name, "-max")},')
        lines.append(f'}} {type_.name};\n')
        lines.append(f'extern const QapiType {type_.descriptor};')
        lines.append(f'/* The value as the schema spells it. */\n'
                     f'const char *{type_.snake}_str({type_.name} value);')
        lines.append(f'bool {type_.snake}_parse(const char *text, {type_.name} *value, '
                     'GError **errp);\n')
        return '\n'.join(lines)

    def _struct(self, type_):
        lines = _doc_comment(type_) + [f'struct {type_.name} {{']
        own = set(type_.own_names())
        if type_.base:
            lines.append(f'    /* of {type_.base.name} */')
        for member in type_.members:
            if type_.base and member.name in own:
                lines.append('    /* its own */')
                own = set()
            lines += self._member(type_, member)
        if type_.is_union:
            lines.append(f'    union {{ /* by {c_name(type_.tag.name)} */')
            for value, branch in type_.branches.items():
                lines.append(f'        {branch.name} {c_name(value)};')
            lines.append('    } u;')
        if not type_.members:
            lines.append('    char empty;')
        lines.append('};\n')
        return '\n'.join(lines)

    @staticmethod
    def _member(type_, member):
        lines = []
        name = c_name(member.name)
        notes = []
        if member.is_list:
            notes.append(f'of {_element_name(member)}')
        if member.optional and member.is_pointer:
            notes.append('or NULL')
        comment = _member_comment(type_, member.name, ', '.join(notes))
        if _has_flag(member):
            lines.append(f'    bool has_{name};')
        lines.append(f'    {_member_type(member)}{name};{comment}')
        return lines

    @staticmethod
    def _functions(type_):
        name, c = type_.name, type_.snake
        return (f'extern const QapiType {type_.descriptor};\n'
                f'{name} *{c}_new0(void);\n'
                f'void {c}_free({name} *value);\n'
                f'{name} *{c}_copy(const {name} *value);\n'
                f'/* An empty array that owns the {name}s put into it. */\n'
                f'GPtrArray *{c}_list_new(void);\n'
                f'G_DEFINE_AUTOPTR_CLEANUP_FUNC({name}, {c}_free)\n')


def _wrap(text, first, width=88):
    """A C comment over text."""
    lines, line = [], first
    for word in text.split():
        if len(line) + 1 + len(word) > width - 3:
            lines.append(line)
            line = ' *'
        line += ' ' + word
    lines.append(line + ' */')
    return lines


def _doc_comment(type_):
    text = type_.doc.text() if type_.doc else ''
    return _wrap(text.replace('*/', '* /'), '/*') if text else []


def _member_comment(type_, name, notes=''):
    text = ''
    if type_.doc and name in type_.doc.members:
        text = type_.doc.text(name).replace('*/', '* /')
    parts = [part for part in (notes, text) if part]
    return f' /* {": ".join(parts)} */' if parts else ''


class TypesSource:
    """qapi-types.c: descriptor tables, and functions over them."""

    def __init__(self, schema, source, header_name):
        self._schema = schema
        self._source = source
        self._header_name = header_name

    def text(self):
        out = [_BANNER.format(source=self._source),
               f'#include "qapi/{self._header_name}"\n']
        out += [self._enum(t) for t in self._schema.enums]
        out += [self._object(t) for t in self._schema.objects]
        return '\n'.join(out)

    @staticmethod
    def _enum(type_):
        values = ''.join(f'    [{constant(type_.name, v)}] = "{v}",\n'
                         for v in type_.values)
        count = constant(type_.name, '-max')
        return (f'static const char *const {type_.snake}_values[{count}] = {{\n{values}}};\n'
                f'const QapiType {type_.descriptor} = {{\n'
                f'    .name = "{type_.name}",\n    .kind = QAPI_KIND_ENUM,\n'
                f'    .size = sizeof({type_.name}),\n'
                f'    .values = {type_.snake}_values,\n    .n_values = {count},\n}};\n\n'
                f'const char *{type_.snake}_str({type_.name} value)\n{{\n'
                f'    return qapi_enum_str(&{type_.descriptor}, value);\n}}\n\n'
                f'bool {type_.snake}_parse(const char *text, {type_.name} *value, '
                f'GError **errp)\n{{\n    int parsed;\n\n'
                f'    if (!qapi_enum_parse(&{type_.descriptor}, text, &parsed, errp)) {{\n'
                f'        return false;\n    }}\n'
                f'    *value = parsed;\n    return true;\n}}\n')

    def _object(self, type_):
        out = [f'static void {type_.snake}_free_element(void *value)\n{{\n'
               f'    {type_.snake}_free(value);\n}}\n']
        fields = [f'.name = "{type_.name}"', '.kind = QAPI_KIND_OBJECT',
                  f'.size = sizeof({type_.name})',
                  f'.free_element = {type_.snake}_free_element']
        if type_.members:
            rows = ''.join(self._row(type_, m) for m in type_.members)
            out.append(f'static const QapiMember {type_.snake}_members[] = {{\n{rows}}};')
            fields += [f'.members = {type_.snake}_members',
                       f'.n_members = G_N_ELEMENTS({type_.snake}_members)']
        if type_.is_union:
            count = constant(type_.tag.type.name, '-max')
            rows = ''.join(
                f'    [{constant(type_.tag.type.name, v)}] = &{b.descriptor},\n'
                for v, b in type_.branches.items())
            out.append(f'static const QapiType *const {type_.snake}_branches[{count}] = '
                       f'{{\n{rows}}};')
            tag = type_.members.index(type_.tag)
            fields += [f'.tag = &{type_.snake}_members[{tag}]',
                       f'.branches = {type_.snake}_branches',
                       f'.branch_offset = offsetof({type_.name}, u)']
        body = ''.join(f'    {field},\n' for field in fields)
        out.append(f'const QapiType {type_.descriptor} = {{\n{body}}};\n')
        out.append(self._functions(type_))
        return '\n'.join(out)

    @staticmethod
    def _row(type_, member):
        name = c_name(member.name)
        row = (f'    {{ "{member.name}", &{member.type.descriptor}, '
               f'offsetof({type_.name}, {name})')
        if _has_flag(member):
            row += f', .has_offset = offsetof({type_.name}, has_{name}), .has_flag = true'
        if member.optional:
            row += ', .optional = true'
        if member.is_list:
            row += ', .is_list = true'
        return row + ' },\n'

    @staticmethod
    def _functions(type_):
        name, c, descriptor = type_.name, type_.snake, type_.descriptor
        return (f'{name} *{c}_new0(void)\n{{\n    return g_new0({name}, 1);\n}}\n\n'
                f'void {c}_free({name} *value)\n{{\n'
                f'    qapi_object_free(&{descriptor}, value);\n}}\n\n'
                f'{name} *{c}_copy(const {name} *value)\n{{\n'
                f'    return qapi_object_copy(&{descriptor}, value);\n}}\n\n'
                f'GPtrArray *{c}_list_new(void)\n{{\n'
                f'    return g_ptr_array_new_with_free_func({c}_free_element);\n}}\n')


class VisitHeader:
    """qapi-visit.h"""

    def __init__(self, schema, source, file_name, types_name):
        self._schema = schema
        self._source = source
        self._file_name = file_name
        self._types_name = types_name

    def text(self):
        guard = _guard(self._file_name)
        out = [_BANNER.format(source=self._source),
               f'#ifndef {guard}\n#define {guard}\n\n'
               f'#include "qapi/{self._types_name}"\n']
        for type_ in self._schema.objects:
            name, c = type_.name, type_.snake
            out.append(f'JsonNode *{c}_to_json(const {name} *value);\n'
                       f'char *{c}_to_json_text(const {name} *value, bool pretty);\n'
                       f'{name} *{c}_from_json(JsonNode *node, GError **errp);\n'
                       f'{name} *{c}_from_json_text(const char *text, gssize len, '
                       'GError **errp);\n'
                       f'{name} *{c}_from_keyval(const char *keyval, '
                       'const char *implied_key,\n'
                       f'{" " * (len(name) + len(c) + 15)}GError **errp);\n')
        out.append('#endif')
        return '\n'.join(out) + '\n'


class VisitSource:
    """qapi-visit.c"""

    def __init__(self, schema, source, header_name):
        self._schema = schema
        self._source = source
        self._header_name = header_name

    def text(self):
        out = [_BANNER.format(source=self._source),
               f'#include "qapi/{self._header_name}"\n']
        for type_ in self._schema.objects:
            name, c, d = type_.name, type_.snake, f'&{type_.descriptor}'
            out.append(
                f'JsonNode *{c}_to_json(const {name} *value)\n{{\n'
                f'    return qapi_object_to_json({d}, value);\n}}\n\n'
                f'char *{c}_to_json_text(const {name} *value, bool pretty)\n{{\n'
                f'    return qapi_object_to_json_text({d}, value, pretty);\n}}\n\n'
                f'{name} *{c}_from_json(JsonNode *node, GError **errp)\n{{\n'
                f'    return qapi_object_from_json({d}, node, errp);\n}}\n\n'
                f'{name} *{c}_from_json_text(const char *text, gssize len, '
                f'GError **errp)\n{{\n'
                f'    return qapi_object_from_json_text({d}, text, len, errp);\n}}\n\n'
                f'{name} *{c}_from_keyval(const char *keyval, const char *implied_key, '
                f'GError **errp)\n{{\n'
                f'    return qapi_object_from_keyval({d}, keyval, implied_key, errp);\n'
                f'}}\n')
        return '\n'.join(out)
