/* Opens a squashfs image and looks at everything in it, up to a bound. */
#include "try-filesystem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_filesystem(data, size, "squashfs");
    return 0;
}
