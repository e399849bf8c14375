/*
 * The magic numbers are those of each format's specification, as the file has them.
 */
#include "block/foreign.h"

#include <glib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t offset;
    const char *magic;
    size_t len;
} formats[] = {
#define FORMAT(name, offset, magic)                                                    \
    {                                                                                  \
        name, offset, magic, sizeof(magic) - 1                                         \
    }
    FORMAT("VMDK", 0, "KDMV"),
    FORMAT("VMDK", 0, "COWD"),
    FORMAT("VMDK", 0, "# Disk DescriptorFile"),
    FORMAT("VHDX", 0, "vhdxfile"),
    FORMAT("VHD", 0, "conectix"),
    FORMAT("VDI", 64, "\x7f\x10\xda\xbe"),
    FORMAT("QED", 0, "QED\0"),
    FORMAT("Parallels", 0, "WithoutFreeSpace"),
    FORMAT("Parallels", 0, "WithouFreSpacExt"),
    FORMAT("qcow (version 1)", 0, "QFI\xfb\0\0\0\1"),
    FORMAT("Bochs", 0, "Bochs Virtual HD Image"),
#undef FORMAT
};

const char *foreign_format(const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        if (len >= formats[i].offset + formats[i].len &&
            memcmp(buf + formats[i].offset, formats[i].magic, formats[i].len) == 0) {
            return formats[i].name;
        }
    }
    return NULL;
}
