#include "fs/zlib-block.h"

#include <isa-l/igzip_lib.h>

static GPrivate context = G_PRIVATE_INIT(g_free);

gssize zlib_block_unpack(const void *in, size_t in_bytes, void *out, size_t out_max)
{
    struct inflate_state *state = g_private_get(&context);

    if (!state) {
        state = g_new(struct inflate_state, 1);
        g_private_set(&context, state);
    }
    isal_inflate_init(state);
    state->crc_flag = ISAL_ZLIB;
    state->next_in = (uint8_t *)in;
    state->avail_in = in_bytes;
    state->next_out = out;
    state->avail_out = out_max;
    if (isal_inflate_stateless(state) != ISAL_DECOMP_OK ||
        state->block_state != ISAL_BLOCK_FINISH) {
        return -1;
    }
    return state->total_out;
}
