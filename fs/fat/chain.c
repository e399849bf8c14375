/*
 * A file's clusters.  A chain is followed once, as far as it is asked for, and kept as
 * runs: the last of them, so that a chain in very many pieces is followed anew by who
 * goes back in it.
 */
#include "fat.h"

enum {
    NODES_MAX = 256,
    RUNS_MAX = 4096,
};

/* Files are looked at for clusters of several only below this; directories always. */
#define OWNED_CLUSTERS_MAX (UINT64_C(1) << 24)

void fat_node_unref(FatNode *node)
{
    if (node && --node->refcount == 0) {
        g_array_unref(node->runs);
        g_clear_error(&node->broken);
        g_free(node);
    }
}

static void forget(FatState *s, FatNode *node)
{
    g_hash_table_remove(s->nodes, &node->ino);
    g_queue_unlink(&s->lru, &node->lru);
    fat_node_unref(node);
}

void fat_nodes_drop(FatState *s)
{
    while (s->lru.head) {
        forget(s, s->lru.head->data);
    }
}

static void restart(FatNode *node)
{
    g_array_set_size(node->runs, 0);
    g_clear_error(&node->broken);
    node->mapped = 0;
    node->next = node->file.start;
    node->mark = node->steps = 0;
    node->mark_until = 1;
    node->complete = !node->file.start;
    node->loops = false;
}

static uint32_t clusters_for(const FatState *s, uint64_t bytes)
{
    return MIN(div_round_up(bytes, s->geo.cluster_bytes), UINT32_MAX);
}

FatNode *fat_node_new(const FatState *s, FsIno ino, const FatFile *file)
{
    FatNode *node = g_new0(FatNode, 1);

    node->ino = ino;
    node->file = *file;
    node->refcount = 1;
    node->lru.data = node;
    co_mutex_init(&node->lock);
    node->runs = g_array_new(FALSE, FALSE, sizeof(FatRun));
    node->is_fixed = ino == FAT_ROOT_INO && s->geo.root_bytes;
    node->limit = clusters_for(
        s, file->is_dir && !file->size_is_limit ? s->kind->dir_bytes_max : file->size);
    restart(node);
    return node;
}

static FatNode *remember(FatState *s, FatNode *node)
{
    while (s->lru.length >= NODES_MAX) {
        forget(s, s->lru.head->data);
    }
    g_hash_table_insert(s->nodes, &node->ino, node);
    g_queue_push_tail_link(&s->lru, &node->lru);
    node->refcount++;
    return node;
}

static FatNode *find(FatState *s, FsIno ino)
{
    FatNode *node = g_hash_table_lookup(s->nodes, &ino);

    if (node) {
        node->refcount++;
        g_queue_unlink(&s->lru, &node->lru);
        g_queue_push_tail_link(&s->lru, &node->lru);
    }
    return node;
}

FatNode *coroutine_fn fat_node_co_get(FatState *s, FsIno ino, GError **errp)
{
    FatFile file = {.is_dir = true, .start = s->root_cluster};
    FatNode *node = find(s, ino);

    if (node) {
        return node;
    }
    if (ino != FAT_ROOT_INO) {
        file = (FatFile){0};
        if (!s->kind->co_read_file(s, ino, &file, errp)) {
            return NULL;
        }
    }
    /* Another coroutine may have been faster. */
    node = find(s, ino);
    return node ? node : remember(s, fat_node_new(s, ino, &file));
}

/* What is wrong ends the chain here. */
static void G_GNUC_PRINTF(5, 6) break_chain(FatState *s, FatNode *node, EmbrError code,
                                            uint64_t offset, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    fat_error(s, &node->broken, code, offset,
              "%s (inode %" PRIu64 ") at byte 0x%" PRIx64 ": %s",
              node->file.is_dir ? "directory" : "file", node->ino,
              (uint64_t)node->mapped * s->geo.cluster_bytes, text);
}

static uint64_t entry_offset(const FatNode *node)
{
    return node->ino * FAT_ENTRY_BYTES;
}

static void break_loop(FatState *s, FatNode *node)
{
    break_chain(s, node, EMBR_ERROR_CORRUPT, entry_offset(node),
                "the chain of clusters is a loop");
    node->loops = true;
}

static bool has_to_claim(const FatState *s, const FatNode *node)
{
    return s->owners && (node->file.is_dir || s->geo.clusters <= OWNED_CLUSTERS_MAX);
}

/* False: the cluster was met in another chain. */
static bool claim(FatState *s, FatNode *node, uint32_t cluster)
{
    uint32_t tag = (uint32_t)node->ino ?: 1;

    if (!has_to_claim(s, node)) {
        return true;
    }

    uint32_t *owner = &s->owners[cluster - FAT_FIRST_CLUSTER];

    if (*owner && *owner != tag) {
        g_autofree char *other = s->fs->max_ino <= UINT32_MAX
                                     ? g_strdup_printf("inode %u", *owner)
                                     : g_strdup("another inode");

        break_chain(s, node, EMBR_ERROR_CORRUPT, fat_cluster_offset(s, cluster),
                    "cluster %u belongs to %s, too", cluster, other);
        return false;
    }
    *owner = tag;
    return true;
}

/* Brent's: the cluster at a mark is met again if there is a loop; the mark moves on
 * at steps of powers of two. */
static bool is_met_again(FatNode *node, uint32_t cluster)
{
    if (cluster == node->mark) {
        return true;
    }
    if (++node->steps == node->mark_until) {
        node->mark = cluster;
        node->mark_until *= 2;
        node->steps = 0;
    }
    return false;
}

static void append(FatNode *node, uint32_t cluster, uint32_t count)
{
    FatRun *last = node->runs->len
                       ? &g_array_index(node->runs, FatRun, node->runs->len - 1)
                       : NULL;

    if (last && last->cluster + last->count == cluster) {
        last->count += count;
    } else if (count) {
        FatRun run = {node->mapped, cluster, count};

        /* The run in front of this one may be the one that is asked for. */
        if (node->runs->len == RUNS_MAX) {
            g_array_remove_range(node->runs, 0, RUNS_MAX / 2);
        }
        g_array_append_val(node->runs, run);
    }
    node->mapped += count;
}

/* What follows a cluster.  False: node->broken, if it matters. */
static bool coroutine_fn co_next(FatState *s, FatNode *node, uint32_t cluster)
{
    uint32_t value, other;

    if (!fat_table_co_get(s, cluster, &value, &node->broken)) {
        g_prefix_error(&node->broken, "inode %" PRIu64 ": ", node->ino);
        return false;
    }
    if (!fat_is_cluster(s, value) && value < FAT_VALUE_END &&
        fat_table_co_get_other(s, cluster, &other)) {
        fat_warn(s, fat_table_offset(s, cluster),
                 "cluster %u of inode %" PRIu64 " is followed by 0x%x; "
                 "a copy of the FAT is used, which has 0x%x",
                 cluster, node->ino, value, other);
        value = other;
    }
    if (value >= FAT_VALUE_END) {
        node->complete = true;
        return true;
    }
    if (!fat_is_cluster(s, value)) {
        break_chain(s, node, EMBR_ERROR_CORRUPT, fat_table_offset(s, cluster),
                    "cluster %u is followed by 0x%x, expected 2 to 0x%" PRIx64
                    " or an end",
                    cluster, value, s->geo.clusters + 1);
        return false;
    }
    node->next = value;
    return true;
}

/* Clusters may follow what the size needs, but a chain that never ends is in a loop
 * that may begin before. */
static void coroutine_fn co_check_rest(FatState *s, FatNode *node)
{
    while (!node->complete && !node->broken) {
        if (is_met_again(node, node->next)) {
            break_loop(s, node);
            return;
        }
        co_next(s, node, node->next);
    }
    /* What else there is matters to nobody. */
    g_clear_error(&node->broken);
    node->complete = true;
}

static bool check_start(FatState *s, FatNode *node)
{
    if (!fat_is_cluster(s, node->next)) {
        break_chain(s, node, EMBR_ERROR_CORRUPT, entry_offset(node),
                    "the first cluster is 0x%x, expected 2 to 0x%" PRIx64, node->next,
                    s->geo.clusters + 1);
        return false;
    }
    return true;
}

/* All of what has no chain. */
static void take_contiguous(FatState *s, FatNode *node)
{
    uint32_t start = node->file.start;

    if (!node->limit) {
        node->complete = true;
        return;
    }
    if (!check_start(s, node)) {
        return;
    }

    uint64_t room = s->geo.clusters - (start - FAT_FIRST_CLUSTER);

    for (uint32_t i = 0; i < MIN(node->limit, room) && has_to_claim(s, node); i++) {
        if (!claim(s, node, start + i)) {
            append(node, start, i);
            return;
        }
    }
    append(node, start, MIN(node->limit, room));
    if (node->limit > room) {
        break_chain(s, node, EMBR_ERROR_CORRUPT, entry_offset(node),
                    "%u clusters from 0x%x on, expected them to end at 0x%" PRIx64,
                    node->limit, start, s->geo.clusters + 1);
        return;
    }
    node->complete = true;
}

/* Goes on by one cluster. */
static void coroutine_fn co_step(FatState *s, FatNode *node)
{
    uint32_t cluster = node->next;

    if (!check_start(s, node)) {
        return;
    }
    if (node->mapped == node->limit &&
        (!node->file.is_dir || node->file.size_is_limit)) {
        co_check_rest(s, node);
        return;
    }
    if (is_met_again(node, cluster)) {
        break_loop(s, node);
        return;
    }
    if (node->mapped == node->limit) {
        break_chain(s, node, EMBR_ERROR_LIMIT, entry_offset(node),
                    "more than %" PRIu64 " entries",
                    s->kind->dir_bytes_max / FAT_ENTRY_BYTES);
        return;
    }
    if (!claim(s, node, cluster)) {
        return;
    }
    append(node, cluster, 1);
    co_next(s, node, cluster);
}

static const FatRun *last_run(const FatNode *node)
{
    return node->runs->len ? &g_array_index(node->runs, FatRun, node->runs->len - 1)
                           : NULL;
}

/* Follows the chain until the run that holds index is known in full. */
static void coroutine_fn co_follow(FatState *s, FatNode *node, uint32_t index)
{
    const FatRun *run = last_run(node);

    if (run && index < g_array_index(node->runs, FatRun, 0).index) {
        restart(node);
    }
    if (node->file.is_contiguous && !node->complete && !node->broken) {
        take_contiguous(s, node);
    }
    while (!node->complete && !node->broken) {
        run = last_run(node);
        if (run && index < run->index) {
            return;
        }
        co_step(s, node);
    }
}

static void find_run(const FatNode *node, uint32_t index, FatRun *run)
{
    guint low = 0, high = node->runs->len;

    while (low + 1 < high) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(node->runs, FatRun, middle).index <= index) {
            low = middle;
        } else {
            high = middle;
        }
    }

    const FatRun *found = &g_array_index(node->runs, FatRun, low);
    uint32_t skip = index - found->index;

    *run = (FatRun){index, found->cluster + skip, found->count - skip};
}

bool coroutine_fn fat_node_co_map(FatState *s, FatNode *node, uint32_t index,
                                  FatRun *run, GError **errp)
{
    bool ok = true;

    *run = (FatRun){.index = index};
    co_mutex_lock(&node->lock);
    if (index < node->mapped || !node->complete) {
        co_follow(s, node, index);
    }
    if (node->loops || (node->broken && index >= node->mapped)) {
        ok = false;
        g_propagate_error(errp, g_error_copy(node->broken));
    } else if (index < node->mapped) {
        find_run(node, index, run);
    }
    co_mutex_unlock(&node->lock);
    return ok;
}
