#!/usr/bin/env python3
"""embed.py FILE NAME OUTPUT.C: makes the bytes of FILE a C array NAME, and NAME_len."""

import sys

LINE = 16


def main(path, name, output):
    with open(path, "rb") as file:
        data = file.read()
    rows = [data[i:i + LINE] for i in range(0, len(data), LINE)]
    with open(output, "w", encoding="ascii") as out:
        out.write("#include <stddef.h>\n\n")
        out.write(f"extern const char {name}[];\nextern const size_t {name}_len;\n\n")
        out.write(f"const char {name}[] = {{\n")
        for row in rows:
            values = ", ".join(str(b if b < 128 else b - 256) for b in row)
            out.write(f"    {values},\n")
        out.write(f"}};\nconst size_t {name}_len = sizeof({name});\n")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
