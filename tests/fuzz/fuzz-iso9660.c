/* Opens an ISO 9660 image and looks at everything in it, up to a bound. */
#include "try-filesystem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_filesystem(data, size, "iso9660");
    return 0;
}
