/* Content of files, which may be in several pieces, and extents. */
#include "iso9660.h"

enum { PIECES_MAX = 4096, EMPTY_SECTORS_MAX = 4 };

static bool check_kind(const IsoState *s, const IsoRecord *record, GError **errp)
{
    const char *what = record->head.unit_blocks || record->head.gap_blocks
                           ? "it is interleaved with others"
                       : record->rock.is_sparse ? "it is sparse (Rock Ridge field SF)"
                                                : NULL;

    if (what) {
        iso_error(s, errp, EMBR_ERROR_UNSUPPORTED, record->offset,
                  "inode %" PRIu64 ": its content cannot be read: %s", record->offset,
                  what);
        return false;
    }
    return true;
}

/* The record behind this one, which has the next piece. */
static bool coroutine_fn next_record(IsoState *s, IsoRecord *record, GError **errp)
{
    uint64_t offset = iso_record_next(record);

    for (unsigned i = 0; i < EMPTY_SECTORS_MAX; i++) {
        if (!iso_record_co_get(s, offset, record, errp)) {
            return false;
        }
        if (record->head.bytes) {
            return true;
        }
        offset = iso_record_next(record);
    }
    iso_error(s, errp, EMBR_ERROR_CORRUPT, offset,
              "a record for the next piece is missing");
    return false;
}

GArray *coroutine_fn iso_file_co_pieces(IsoState *s, const IsoRecord *first,
                                        GError **errp)
{
    g_autoptr(GArray) pieces = g_array_new(FALSE, FALSE, sizeof(IsoPiece));
    IsoPiece piece = {first->content, first->content_bytes};
    bool goes_on = first->head.flags & ISO_FLAG_GOES_ON;
    g_auto(IsoRecord) record = {0};

    g_array_append_val(pieces, piece);
    iso_record_init(&record);
    record.offset = first->offset;
    record.head.bytes = first->head.bytes;
    while (goes_on) {
        if (!next_record(s, &record, errp) || !check_kind(s, &record, errp)) {
            g_prefix_error(errp, "inode %" PRIu64 ": ", first->offset);
            return NULL;
        }
        if (pieces->len >= PIECES_MAX) {
            iso_error(s, errp, EMBR_ERROR_LIMIT, record.offset,
                      "inode %" PRIu64 " has more than %d pieces", first->offset,
                      PIECES_MAX);
            return NULL;
        }
        piece = (IsoPiece){record.content, record.content_bytes};
        g_array_append_val(pieces, piece);
        goes_on = record.head.flags & ISO_FLAG_GOES_ON;
    }
    return g_steal_pointer(&pieces);
}

bool coroutine_fn iso_pieces_co_read(IsoState *s, const GArray *pieces, uint64_t offset,
                                     uint64_t bytes, void *buf, GError **errp)
{
    uint8_t *out = buf;

    for (guint i = 0; i < pieces->len && bytes; i++) {
        const IsoPiece *piece = &g_array_index(pieces, IsoPiece, i);

        if (offset >= piece->bytes) {
            offset -= piece->bytes;
            continue;
        }

        uint64_t part = MIN(bytes, piece->bytes - offset);

        if (!iso_device_co_read(s, piece->device_offset + offset, part, out,
                                "file content", errp)) {
            return false;
        }
        offset = 0;
        out += part;
        bytes -= part;
    }
    if (bytes) {
        iso_error(s, errp, EMBR_ERROR_CORRUPT, 0,
                  "a file ends %" PRIu64 " bytes before it should", bytes);
        return false;
    }
    return true;
}

bool coroutine_fn iso_file_co_read(IsoState *s, const IsoRecord *record,
                                   uint64_t offset, uint64_t bytes, void *buf,
                                   GError **errp)
{
    g_autoptr(GArray) pieces = NULL;
    bool ok;

    if (!check_kind(s, record, errp)) {
        return false;
    }
    pieces = iso_file_co_pieces(s, record, errp);
    if (!pieces) {
        return false;
    }
    ok = record->rock.zisofs_version
             ? iso_zisofs_co_read(s, record, pieces, offset, bytes, buf, errp)
             : iso_pieces_co_read(s, pieces, offset, bytes, buf, errp);
    if (!ok) {
        g_prefix_error(errp, "inode %" PRIu64 ": ", record->offset);
    }
    return ok;
}

/* Any of them may be another file's, too: nothing tells. */
bool coroutine_fn iso_file_co_extents(IsoState *s, const IsoRecord *record,
                                      uint64_t file_offset, unsigned max, GArray *list,
                                      GError **errp)
{
    g_autoptr(GArray) pieces = NULL;
    uint64_t at = 0;

    if (!check_kind(s, record, errp)) {
        return false;
    }
    pieces = iso_file_co_pieces(s, record, errp);
    if (!pieces) {
        return false;
    }
    if (record->rock.zisofs_version) {
        uint64_t size = iso_zisofs_content_bytes(record);
        FsExtent extent = {0, record->content, size,
                           FS_EXTENT_SHARED | FS_EXTENT_ENCODED};

        if (file_offset < size && max) {
            g_array_append_val(list, extent);
        }
        return true;
    }
    for (guint i = 0; i < pieces->len && max; i++) {
        const IsoPiece *piece = &g_array_index(pieces, IsoPiece, i);
        FsExtent extent = {at, piece->device_offset, piece->bytes, FS_EXTENT_SHARED};

        at += piece->bytes;
        if (at > file_offset && piece->bytes) {
            g_array_append_val(list, extent);
            max--;
        }
    }
    return true;
}
