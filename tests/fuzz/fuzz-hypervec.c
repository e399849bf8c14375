/*
 * Unpacks a hypervector. What is accepted packs to the same bytes.  The first byte picks
 * the dimension.
 */
#include <glib.h>
#include <hypervec/hypervec.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint64_t v[HYPERVEC_WORDS(HYPERVEC_DIMENSION_MAX)];
    static uint8_t packed[HYPERVEC_PACKED_BYTES_MAX(HYPERVEC_DIMENSION_MAX)];
    HypervecSpace space;
    const char *reason = NULL;

    if (size == 0) {
        return 0;
    }
    if (!hypervec_space_init(&space, data[0] * HYPERVEC_DIMENSION_STEP)) {
        g_assert_true(data[0] == 0 || data[0] > 64);
        return 0;
    }
    /* A copy of its own size, so that reads past the end are seen. */
    g_autofree uint8_t *copy = g_memdup2(data + 1, size - 1);
    if (!hypervec_unpack(&space, v, copy, size - 1, &reason)) {
        g_assert_nonnull(reason);
        return 0;
    }
    g_assert_cmpmem(packed, hypervec_pack(&space, packed, v), data + 1, size - 1);
    return 0;
}
