/* Opens a FAT image, walks through it, and reads of what it finds, up to a bound. */
#include "try-walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_walk(data, size, "fat");
    return 0;
}
