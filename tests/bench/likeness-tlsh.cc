#include "likeness-tlsh.h"

#include <cstring>
#include <tlsh.h>

void *tlsh_new(const uint8_t *data, size_t size)
{
    Tlsh *hash = new Tlsh();

    hash->final(data, (unsigned)size);
    const char *text = hash->getHash();
    if (!text || std::strlen(text) != TLSH_STRING_LEN) {
        delete hash;
        return nullptr;
    }
    return hash;
}

void tlsh_free(void *hash)
{
    delete static_cast<Tlsh *>(hash);
}

int tlsh_distance(const void *a, const void *b)
{
    return static_cast<const Tlsh *>(a)->totalDiff(static_cast<const Tlsh *>(b));
}
