/* Changing partition tables: what is the same for all kinds. */
#include "fs/table.h"

#include "fs/table-int.h"
#include "qapi-types.h"

enum {
    DEFAULT_ALIGN_BYTES = 1 << 20,
    WIPE_HEAD_BYTES = 1 << 20, /* where tables and filesystems have their magic */
    WIPE_TAIL_BYTES = 64 << 10,
};

static const PartWriter *const writers[] = {&gpt_writer, &mbr_writer};

static const PartWriter *find_writer(const char *type)
{
    for (guint i = 0; i < G_N_ELEMENTS(writers); i++) {
        if (!strcmp(writers[i]->type, type)) {
            return writers[i];
        }
    }
    return NULL;
}

void part_find(GPtrArray *findings, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(findings, g_strdup_vprintf(format, args));
    va_end(args);
}

bool part_is_listed(unsigned number, const unsigned *numbers, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (numbers[i] == number) {
            return true;
        }
    }
    return false;
}

static bool set_write_error(BlockBackend *disk, int ret, const char *what,
                            GError **errp)
{
    GError *error = bdrv_take_error(blk_bs(disk));

    if (error) {
        g_propagate_prefixed_error(errp, error, "%s: ", what);
    } else {
        error_set_errno(errp, -ret, "%s: cannot write %s", blk_name(disk), what);
    }
    return false;
}

bool coroutine_fn part_co_write(BlockBackend *disk, uint64_t offset, const void *data,
                                size_t bytes, const char *what, GError **errp)
{
    int ret = blk_co_pwrite(disk, offset, bytes, data, BDRV_REQ_NONE);

    return ret >= 0 || set_write_error(disk, ret, what, errp);
}

bool coroutine_fn part_co_flush(BlockBackend *disk, GError **errp)
{
    int ret = blk_co_flush(disk);

    return ret >= 0 || set_write_error(disk, ret, "what was written to the disk", errp);
}

static gint compare_spans(gconstpointer a, gconstpointer b)
{
    const PartSpan *sa = a, *sb = b;

    return (sa->start > sb->start) - (sa->start < sb->start);
}

/* What add says, in sectors; size 0: as much as there is. */
typedef struct Wish {
    uint64_t start, size, align;
} Wish;

static bool read_wish(BlockBackend *disk, uint32_t sector_size, const PartAdd *add,
                      Wish *wish, GError **errp)
{
    uint64_t align = add->align ?: DEFAULT_ALIGN_BYTES;

    if (add->has_start && add->start % sector_size) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: the start %" PRIu64 " is no multiple of the sectors' %u bytes",
                    blk_name(disk), add->start, sector_size);
        return false;
    }
    if (align % sector_size) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: the alignment %" PRIu64
                    " is no multiple of the sectors' %u bytes",
                    blk_name(disk), align, sector_size);
        return false;
    }
    if (add->has_size && !add->size) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: a partition of 0 bytes is none", blk_name(disk));
        return false;
    }
    *wish = (Wish){
        .start = add->start / sector_size,
        .size = add->has_size ? div_round_up(add->size, sector_size) : 0,
        .align = align / sector_size,
    };
    return true;
}

/* A partition that begins at wish->start. */
static bool place_at(BlockBackend *disk, uint32_t sector_size, const Wish *wish,
                     const GArray *used, uint64_t first, uint64_t end, uint64_t lead,
                     PartSpan *found, GError **errp)
{
    uint64_t limit = end;

    if (wish->start < first + lead || wish->start >= end ||
        wish->size > end - wish->start) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: %" PRIu64 " sectors from sector %" PRIu64
                    " on are not within those that may be used, %" PRIu64
                    " to %" PRIu64,
                    blk_name(disk), wish->size, wish->start, first + lead, end - 1);
        return false;
    }
    for (guint i = 0; i < used->len; i++) {
        const PartSpan *span = &g_array_index(used, PartSpan, i);
        uint64_t until = wish->start + MAX(wish->size, 1);

        if (span->start < until && span->end > wish->start - lead) {
            g_autofree char *what = span->number
                                        ? g_strdup_printf("partition %u", span->number)
                                        : g_strdup("a part of the table");

            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                        "%s: sectors %" PRIu64 " to %" PRIu64
                        " overlap with %s, which has %" PRIu64 " to %" PRIu64,
                        blk_name(disk), wish->start - lead, until - 1, what,
                        span->start, span->end - 1);
            return false;
        }
        if (span->start >= until) {
            limit = MIN(limit, span->start);
        }
    }
    *found = (PartSpan){
        .start = wish->start,
        .end = wish->size ? wish->start + wish->size : limit,
    };
    return true;
}

/* Where a partition would be in the free sectors [start, end).  False: nowhere. */
static bool place_in(const Wish *wish, uint64_t start, uint64_t end, uint64_t lead,
                     PartSpan *found)
{
    uint64_t at = div_round_up(start + lead, wish->align) * wish->align;

    if (at >= end || wish->size > end - at) {
        return false;
    }
    *found = (PartSpan){at, wish->size ? at + wish->size : end, 0};
    return true;
}

bool part_place(BlockBackend *disk, uint32_t sector_size, const PartAdd *add,
                GArray *used, uint64_t first, uint64_t end, uint64_t lead,
                PartSpan *found, GError **errp)
{
    uint64_t pos = first, largest = 0;
    Wish wish;

    if (!read_wish(disk, sector_size, add, &wish, errp)) {
        return false;
    }
    g_array_sort(used, compare_spans);
    if (add->has_start) {
        return place_at(disk, sector_size, &wish, used, first, end, lead, found, errp);
    }
    *found = (PartSpan){0};
    for (guint i = 0; i <= used->len; i++) {
        const PartSpan *span = i < used->len ? &g_array_index(used, PartSpan, i) : NULL;
        uint64_t until = span ? MIN(span->start, end) : end;
        PartSpan here;

        if (until > pos && place_in(&wish, pos, until, lead, &here)) {
            if (wish.size) {
                *found = here;
                return true;
            }
            if (here.end - here.start > found->end - found->start) {
                *found = here;
            }
        }
        largest = MAX(largest, until > pos ? until - pos : 0);
        pos = span ? MAX(pos, span->end) : pos;
    }
    if (found->end > found->start) {
        return true;
    }
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                "%s: no room for %" PRIu64 " sectors at a multiple of %" PRIu64
                "; the largest free space has %" PRIu64 " of %u bytes",
                blk_name(disk), MAX(wish.size, 1), wish.align, largest, sector_size);
    return false;
}

/* The kind of table that is there. */
static const PartWriter *coroutine_fn co_find_writer(BlockBackend *disk,
                                                     uint32_t *sector_size,
                                                     GError **errp)
{
    const PartitionDriver *drv = partition_co_find(disk, sector_size);
    const PartWriter *writer = drv ? find_writer(drv->name) : NULL;

    if (!drv) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND, "%s: no partition table",
                    blk_name(disk));
    } else if (!writer) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: a partition table of type '%s' can be read, but not written",
                    blk_name(disk), drv->name);
    }
    return writer;
}

static bool coroutine_fn co_refuse_content(BlockBackend *disk, GError **errp)
{
    g_auto(FsIdent) ident = {0};
    uint32_t sector_size;
    const PartitionDriver *drv = partition_co_find(disk, &sector_size);

    if (drv) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: there is a partition table of type '%s' (--force replaces it)",
                    blk_name(disk), drv->name);
        return false;
    }
    if (fs_co_probe(disk, &ident)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: the disk holds %s (--force destroys it)", blk_name(disk),
                    ident.type);
        return false;
    }
    return true;
}

bool coroutine_fn part_co_wipe(BlockBackend *disk, GError **errp)
{
    uint32_t sector_size;
    bool has_code = partition_co_find(disk, &sector_size) != NULL;
    uint64_t length = blk_length(disk);
    uint64_t head = MIN(length, WIPE_HEAD_BYTES), tail = MIN(length, WIPE_TAIL_BYTES);
    uint64_t from = has_code ? offsetof(MbrSector, disk_signature) : 0;
    g_autofree uint8_t *zeroes = g_malloc0(WIPE_HEAD_BYTES);

    return part_co_write(disk, from, zeroes, head - from, "zeroes", errp) &&
           part_co_write(disk, length - tail, zeroes, tail, "zeroes", errp) &&
           part_co_flush(disk, errp);
}

bool coroutine_fn part_table_co_create(BlockBackend *disk, const PartCreate *create,
                                       GError **errp)
{
    const PartWriter *writer = find_writer(create->type);

    if (!writer) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "'%s' is no partition table that can be made: gpt or dos",
                    create->type);
        return false;
    }
    if (create->sector_size != 512 && create->sector_size != 4096) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "sectors of %u bytes: expected 512 or 4096", create->sector_size);
        return false;
    }
    return (create->force || co_refuse_content(disk, errp)) &&
           writer->create(disk, create, errp);
}

bool coroutine_fn part_table_co_add(BlockBackend *disk, const PartAdd *add,
                                    unsigned *number, GError **errp)
{
    uint32_t sector_size;
    const PartWriter *writer = co_find_writer(disk, &sector_size, errp);

    return writer && writer->add(disk, sector_size, add, number, errp);
}

bool coroutine_fn part_table_co_delete(BlockBackend *disk, const unsigned *numbers,
                                       unsigned n, GError **errp)
{
    uint32_t sector_size;
    const PartWriter *writer = co_find_writer(disk, &sector_size, errp);

    return writer && writer->del(disk, sector_size, numbers, n, errp);
}

bool coroutine_fn part_table_co_verify(BlockBackend *disk, GPtrArray *findings,
                                       const char **type, GError **errp)
{
    uint32_t sector_size;
    const PartWriter *writer = co_find_writer(disk, &sector_size, errp);
    g_autoptr(GError) damage = NULL;

    if (!writer) {
        return false;
    }
    *type = writer->type;
    g_autoptr(VolumeTable) table = part_table_co_read(disk, &damage);
    if (!table) {
        part_find(findings, "%s", damage->message);
        return true;
    }
    for (guint i = 0; i < table->warnings->len; i++) {
        part_find(findings, "%s", (const char *)g_ptr_array_index(table->warnings, i));
    }
    writer->verify(disk, sector_size, findings);
    return true;
}

bool coroutine_fn part_table_co_repair(BlockBackend *disk, GError **errp)
{
    uint32_t sector_size;
    const PartWriter *writer = co_find_writer(disk, &sector_size, errp);

    if (writer && !writer->repair) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "%s: a partition table of type '%s' has no copy to repair it from",
                    blk_name(disk), writer->type);
        return false;
    }
    return writer && writer->repair(disk, sector_size, errp);
}
