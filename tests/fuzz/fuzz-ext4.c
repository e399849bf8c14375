/* Opens an ext2/3/4 image and looks at everything in it, up to a bound. */
#include <stdlib.h>
#include "mend.h"
#include "try-filesystem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_filesystem(data, size, "ext4");
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    mend_fast_commits(data, size);
    if (seed % 4) {
        mend_ext4_super(data, size, 0);
    }
    return size;
}
