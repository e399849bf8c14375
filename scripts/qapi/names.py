"""Names in C of what has a name in the schema."""

import re

_KEYWORDS = frozenset('''
auto break case char const continue default do double else enum extern float for goto
if inline int long register restrict return short signed sizeof static struct switch
typedef union unsigned void volatile while asm typeof unix linux errno
'''.split())


def c_name(name):
    """A member or branch: 'l2-cache-size' -> l2_cache_size."""
    name = re.sub(r'[^A-Za-z0-9_]', '_', name)
    if name in _KEYWORDS or name[0].isdigit():
        return 'q_' + name
    return name


def snake(name):
    """A type: ImageInfo -> image_info, IOThread -> io_thread, QCow2 -> qcow2.

    A run of capitals is split before its last one only from three on."""
    name = re.sub(r'([A-Z]{2,})([A-Z][a-z])', r'\1_\2', name)
    name = re.sub(r'([a-z0-9])([A-Z])', r'\1_\2', name)
    return name.lower()


def constant(type_name, value):
    """A value of an enumeration."""
    return f'{snake(type_name)}_{re.sub("[^A-Za-z0-9]", "_", value)}'.upper()
