/* Directory records. */
#include "iso9660.h"

enum { CACHE_BYTES = 32 * 1024 };

bool coroutine_fn iso_device_co_read(const IsoState *s, uint64_t offset, uint64_t bytes,
                                     void *buf, const char *what, GError **errp)
{
    uint64_t volume = blk_length(s->fs->blk);

    if (!range_fits(offset, bytes, volume)) {
        iso_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                  "%s (%" PRIu64
                  " bytes) reaches past the end of the volume (0x%" PRIx64 ")",
                  what, bytes, volume);
        return false;
    }
    return blk_co_read(s->fs->blk, offset, bytes, buf, what, errp);
}

static bool coroutine_fn read_for_cache(void *opaque, uint64_t offset, uint64_t bytes,
                                        void *buf, const char *what, GError **errp)
{
    return iso_device_co_read(opaque, offset, bytes, buf, what, errp);
}

FsCache *iso_cache_new(IsoState *s)
{
    return fs_cache_new(read_for_cache, s);
}

/* The part of the volume that offset, which is on it, is in; the state's own. */
static FsBuffer *coroutine_fn get_buffer(IsoState *s, uint64_t offset, const char *what,
                                         GError **errp)
{
    uint64_t start = round_down_pow2(offset, CACHE_BYTES);
    uint64_t volume = blk_length(s->fs->blk);

    if (s->recent && s->recent->offset == start) {
        return s->recent;
    }

    FsBuffer *buffer = fs_cache_co_get(s->cache, 0, start,
                                       MIN(CACHE_BYTES, volume - start), what, errp);

    if (buffer) {
        g_clear_pointer(&s->recent, fs_buffer_release);
        s->recent = buffer;
    }
    return buffer;
}

bool coroutine_fn iso_meta_co_read(IsoState *s, uint64_t offset, uint32_t bytes,
                                   void *buf, const char *what, GError **errp)
{
    uint8_t *out = buf;

    if (!range_fits(offset, bytes, blk_length(s->fs->blk))) {
        return iso_device_co_read(s, offset, bytes, buf, what, errp);
    }
    while (bytes) {
        const FsBuffer *buffer = get_buffer(s, offset, what, errp);

        if (!buffer) {
            return false;
        }

        uint32_t within = offset - buffer->offset;
        uint32_t part = MIN(bytes, buffer->bytes - within);

        memcpy(out, buffer->data + within, part);
        offset += part;
        out += part;
        bytes -= part;
    }
    return true;
}

void iso_record_init(IsoRecord *record)
{
    *record = (IsoRecord){.rock.name = g_string_new(NULL)};
}

void iso_record_clear(IsoRecord *record)
{
    g_string_free(record->rock.name, TRUE);
    if (record->rock.target) {
        g_string_free(record->rock.target, TRUE);
    }
    g_clear_pointer(&record->rock.attributes, g_ptr_array_unref);
}

/* Forgets what an earlier record said. */
static void reset(IsoRecord *record, uint64_t offset)
{
    GString *name = record->rock.name, *target = record->rock.target;
    GPtrArray *attributes = record->rock.attributes;

    if (target) {
        g_string_free(target, TRUE);
    }
    g_string_truncate(name, 0);
    if (attributes) {
        g_ptr_array_set_size(attributes, 0);
    }
    *record =
        (IsoRecord){.offset = offset, .rock = {.name = name, .attributes = attributes}};
}

bool iso_both_agree(const IsoState *s, const IsoBoth32 *number, uint64_t offset,
                    const char *what, GError **errp)
{
    uint32_t le = le32_get(number->le), be = be32_get(number->be);

    if (le != be) {
        iso_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                  "%s is 0x%x in little-endian and 0x%x in big-endian form", what, le,
                  be);
        return false;
    }
    return true;
}

/* Where the record's name and area are in it. */
static bool find_parts(const IsoState *s, IsoRecord *record, GError **errp)
{
    const IsoRecordHead *head = &record->head;
    uint32_t name_end = sizeof(*head) + head->name_bytes;
    uint32_t susp = name_end + (head->name_bytes % 2 ? 0 : 1);

    if (!head->name_bytes || name_end > head->bytes) {
        iso_error(s, errp, EMBR_ERROR_CORRUPT, record->offset,
                  "directory record of %u bytes with a name of %u", head->bytes,
                  head->name_bytes);
        return false;
    }
    record->name = record->raw + sizeof(*head);
    susp += record->offset == s->root ? s->susp_root_skip : s->susp_skip;
    if (susp < head->bytes) {
        record->susp = record->raw + susp;
        record->susp_bytes = head->bytes - susp;
    }
    return true;
}

static bool find_content(const IsoState *s, IsoRecord *record, GError **errp)
{
    const IsoRecordHead *head = &record->head;

    record->content =
        ((uint64_t)le32_get(head->block.le) + head->attribute_blocks) * s->block_bytes;
    record->content_bytes = le32_get(head->content_bytes.le);
    return iso_both_agree(s, &head->block, record->offset,
                          "directory record: the block", errp) &&
           iso_both_agree(s, &head->content_bytes, record->offset,
                          "directory record: the size", errp);
}

bool coroutine_fn iso_record_co_get(IsoState *s, uint64_t offset, IsoRecord *record,
                                    GError **errp)
{
    uint32_t left = ISO_SECTOR_BYTES - offset % ISO_SECTOR_BYTES;
    uint8_t bytes;

    reset(record, offset);
    if (!iso_meta_co_read(s, offset, 1, &bytes, "directory record", errp)) {
        return false;
    }
    if (!bytes) {
        return true;
    }
    if (bytes <= sizeof(IsoRecordHead) || bytes > left) {
        iso_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                  "directory record of %u bytes, expected %zu to %u", bytes,
                  sizeof(IsoRecordHead) + 1, left);
        return false;
    }
    return iso_meta_co_read(s, offset, bytes, record->raw, "directory record", errp) &&
           find_parts(s, record, errp) && find_content(s, record, errp) &&
           (s->tree != ISO_TREE_ROCK_RIDGE || iso_rock_co_parse(s, record, errp));
}
