/* Opens disks with an Apple partition map. */
#include "try-volumes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_volumes(data, size);
    return 0;
}
