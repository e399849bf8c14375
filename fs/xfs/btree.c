/* B+trees. */
#include "xfs.h"

static bool G_GNUC_PRINTF(4, 5) node_error(const XfsState *s, const XfsBtree *tree,
                                           GError **errp, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT, "%s: xfs: %s%s",
                blk_name(s->fs->blk), tree->kind->block.what, text);
    return false;
}

static bool locate(const XfsState *s, const XfsBtree *tree, uint64_t number,
                   uint64_t *block)
{
    if (!tree->kind->long_pointers) {
        if (number >= xfs_ag_length(&s->geo, tree->ag)) {
            return false;
        }
        number |= (uint64_t)tree->ag << s->geo.ag_bits;
    }
    return xfs_block_locate(&s->geo, number, 1, block);
}

bool coroutine_fn xfs_btree_co_node(XfsState *s, const XfsBtree *tree, uint64_t number,
                                    unsigned level, XfsBtreeNode *node, GError **errp)
{
    const XfsBtreeKind *kind = tree->kind;
    unsigned head_bytes = s->geo.version == 5 ? kind->head_v5 : kind->head_v4;
    unsigned pointer_bytes = kind->long_pointers ? 8 : 4;
    uint64_t block;

    if (!locate(s, tree, number, &block)) {
        return node_error(s, tree, errp, " at block 0x%" PRIx64 ", which there is not",
                          number);
    }

    g_autoptr(FsBuffer) buffer =
        xfs_co_block(s, &kind->block, XFS_BUFFER_BLOCK, block << s->geo.block_bits,
                     s->geo.block_bytes, tree->owner, errp);

    if (!buffer) {
        return false;
    }

    const XfsBtreeHead *head = (const XfsBtreeHead *)buffer->data;
    unsigned room = s->geo.block_bytes - head_bytes;
    unsigned most =
        level ? room / (kind->key_bytes + pointer_bytes) : room / kind->record_bytes;
    unsigned count = be16_get(head->numrecs);

    if (be16_get(head->level) != level || count > most) {
        xfs_error(s, errp, EMBR_ERROR_CORRUPT, buffer->offset,
                  "%s has %u entries at level %u, expected up to %u at level %u",
                  kind->block.what, count, be16_get(head->level), most, level);
        return false;
    }
    fs_buffer_release(node->buffer);
    *node = (XfsBtreeNode){
        .records = buffer->data + head_bytes,
        .pointers = level ? buffer->data + head_bytes + most * kind->key_bytes : NULL,
        .level = level,
        .count = count,
        .offset = buffer->offset,
        .end = node->end,
    };
    node->buffer = g_steal_pointer(&buffer);
    return true;
}

static uint64_t value_at(const XfsBtreeKind *kind, const XfsBtreeNode *node, unsigned i)
{
    return node->level ? kind->key_value(node->records + i * kind->key_bytes)
                       : kind->record_value(node->records + i * kind->record_bytes);
}

int xfs_btree_find(const XfsBtreeKind *kind, const XfsBtreeNode *node, uint64_t value,
                   uint64_t *next)
{
    unsigned low = 0, high = node->count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;

        if (value_at(kind, node, middle) <= value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *next = low < node->count ? MIN(value_at(kind, node, low), node->end) : node->end;
    return (int)low - 1;
}

bool coroutine_fn xfs_btree_co_descend(XfsState *s, const XfsBtree *tree,
                                       uint64_t value, XfsBtreeNode *node,
                                       GError **errp)
{
    while (node->level) {
        uint64_t next;
        int i = xfs_btree_find(tree->kind, node, value, &next);

        node->end = next;
        if (next <= value) {
            xfs_error(s, errp, EMBR_ERROR_CORRUPT, node->offset,
                      "%s: keys are not in order at %" PRIu64, tree->kind->block.what,
                      value);
            return false;
        }
        if (i < 0) {
            node->level = 0;
            node->count = 0;
            return true;
        }

        uint64_t number = tree->kind->long_pointers ? be64_load(node->pointers + i * 8)
                                                    : be32_load(node->pointers + i * 4);

        if (!xfs_btree_co_node(s, tree, number, node->level - 1, node, errp)) {
            return false;
        }
    }
    return true;
}
