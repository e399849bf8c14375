/*
 * Parsing the device map.
 */
#include "engram/map.h"

#include "util/byte-reader.h"
#include "util/error.h"
#include "util/units.h"

enum { MAX_FRAMES = 65536 };            /* that an entry can name */

static bool check_frames(const EngramMap *map, uint64_t offset, uint64_t end, GError **errp)
{
    for (uint32_t i = 0; i < map->n_frames; i++) {
        uint16_t source = le16_get(map->frames[i].source);

        if (source) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                        "map at offset 0x%" PRIx64 ": frame %" PRIu32 " is in source %d"
                        ", but the engram has no sources",
                        offset, i, source);
            return false;
        }
        if (!engram_ref_check(&map->frames[i].frame, ENGRAM_OBJECT_FRAME, end, errp)) {
            g_prefix_error(errp, "map at offset 0x%" PRIx64 ": ", offset);
            return false;
        }
    }
    return true;
}

static const char *entry_fault(const EngramMap *map, uint32_t i)
{
    uint32_t length = le32_get(map->lengths[i]);
    uint32_t position = le32_get(map->positions[i]);
    uint32_t skip = le32_get(map->skips[i]);
    uint16_t frame = le16_get(map->frame_indexes[i]);

    if (!length) {
        return "is empty";
    }
    switch (map->kinds[i]) {
    case ENGRAM_MAP_ZERO:
    case ENGRAM_MAP_DROPPED:
        return frame || position || skip ? "reads as zeroes but has a place in a frame" : NULL;
    case ENGRAM_MAP_DELTA:
        return "is a correction, but the engram has no corrections";
    case ENGRAM_MAP_CHUNK:
        break;
    default:
        return "is of a kind that is not known";
    }
    if (frame >= map->n_frames) {
        return "is in a frame that the map does not have";
    }
    if ((uint64_t)position + skip + length > le32_get(map->frames[frame].frame.raw)) {
        return "reaches past the end of its frame";
    }
    if ((uint64_t)skip + length > ENGRAM_MAX_CHUNK_BYTES) {
        return "reaches past the end of any chunk";
    }
    return NULL;
}

static bool check_entries(EngramMap *map, uint64_t offset, GError **errp)
{
    uint64_t start = 0;

    for (uint32_t i = 0; i < map->n; i++) {
        const char *fault = entry_fault(map, i);

        if (fault) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                        "map at offset 0x%" PRIx64 ": entry %" PRIu32 " %s", offset, i, fault);
            return false;
        }
        map->starts[i] = start;
        start += le32_get(map->lengths[i]);
        if (start > UINT64_C(1) << ENGRAM_MAX_SEGMENT_BITS) {
            g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                        "map at offset 0x%" PRIx64 ": entry %" PRIu32
                        " ends past any segment", offset, i);
            return false;
        }
    }
    map->starts[map->n] = start;
    map->bytes = start;
    return true;
}

EngramMap *engram_map_parse(uint8_t *raw, const EngramRef *ref, uint64_t end, size_t *cost,
                            GError **errp)
{
    g_autoptr(EngramMap) map = g_new0(EngramMap, 1);
    uint64_t offset = le64_get(ref->offset);
    uint32_t size = le32_get(ref->raw);
    ByteReader r;

    map->raw = raw;
    byte_reader_init(&r, raw, size);
    map->n = byte_reader_le32(&r);
    map->n_frames = byte_reader_le32(&r);
    map->frames = byte_reader_take(&r, (size_t)map->n_frames * sizeof(EngramMapFrame));
    map->kinds = byte_reader_take(&r, map->n);
    map->lengths = byte_reader_take(&r, (size_t)map->n * sizeof(le32_t));
    map->frame_indexes = byte_reader_take(&r, (size_t)map->n * sizeof(le16_t));
    map->positions = byte_reader_take(&r, (size_t)map->n * sizeof(le32_t));
    map->skips = byte_reader_take(&r, (size_t)map->n * sizeof(le32_t));
    if (r.bad || byte_reader_left(&r) || !map->n || map->n_frames > MAX_FRAMES) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "map at offset 0x%" PRIx64 " has %" PRIu32 " bytes for %" PRIu32
                    " entries and %" PRIu32 " frames",
                    offset, size, map->n, map->n_frames);
        return NULL;
    }
    map->starts = g_new(uint32_t, (size_t)map->n + 1);
    if (cost) {
        *cost += sizeof(*map) + ((size_t)map->n + 1) * sizeof(*map->starts);
    }
    if (!check_frames(map, offset, end, errp) || !check_entries(map, offset, errp)) {
        return NULL;
    }
    return g_steal_pointer(&map);
}

void engram_map_free(EngramMap *map)
{
    if (!map) {
        return;
    }
    g_free(map->starts);
    g_free(map->raw);
    g_free(map);
}

uint32_t engram_map_find(const EngramMap *map, uint32_t pos)
{
    uint32_t low = 0, high = map->n;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (map->starts[middle] <= pos) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

bool coroutine_fn engram_map_top_co_load(EngramMapTop *top, EngramFile *f,
                                         const EngramImage *image, GError **errp)
{
    uint32_t size = le32_get(image->map_root.raw);
    uint64_t offset = le64_get(image->map_root.offset);
    const char *filename = bdrv_filename(f->file);
    g_autofree uint8_t *raw =
        engram_file_co_load(f, &image->map_root, ENGRAM_OBJECT_MAP_ROOT, NULL, errp);
    EngramMapRoot root;

    memset(top, 0, sizeof(*top));
    if (!raw) {
        return false;
    }
    if (size < sizeof(root)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: map root at offset 0x%" PRIx64 " has %" PRIu32
                    " bytes, expected at least %zu", filename, offset, size, sizeof(root));
        return false;
    }
    memcpy(&root, raw, sizeof(root));
    uint64_t virtual_size = le64_get(root.virtual_size);
    uint32_t bits = le32_get(root.segment_bits);
    uint32_t pages = le32_get(root.pages);

    if (virtual_size != image->virtual_size) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: map root at offset 0x%" PRIx64 " is of a disk of 0x%" PRIx64
                    " bytes, its image record says 0x%" PRIx64,
                    filename, offset, virtual_size, image->virtual_size);
        return false;
    }
    if (bits < ENGRAM_MIN_SEGMENT_BITS || bits > ENGRAM_MAX_SEGMENT_BITS) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: map root at offset 0x%" PRIx64 " has segments of 2^%" PRIu32
                    " bytes, expected 2^%d to 2^%d",
                    filename, offset, bits, ENGRAM_MIN_SEGMENT_BITS, ENGRAM_MAX_SEGMENT_BITS);
        return false;
    }
    uint64_t n_segments = div_round_up(virtual_size, UINT64_C(1) << bits);
    uint64_t expected = div_round_up(n_segments, ENGRAM_SEGMENTS_PER_PAGE);
    if (pages != expected || size != sizeof(root) + expected * sizeof(EngramRef)) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                    "%s: map root at offset 0x%" PRIx64 " has %" PRIu32 " pages in %" PRIu32
                    " bytes, expected %" PRIu64 " pages",
                    filename, offset, pages, size, expected);
        return false;
    }
    *top = (EngramMapTop){
        .virtual_size = virtual_size,
        .segment_bits = bits,
        .n_segments = n_segments,
        .n_pages = pages,
        .pages = g_memdup2(raw + sizeof(root), (size_t)pages * sizeof(EngramRef)),
    };
    return true;
}

void engram_map_top_clear(EngramMapTop *top)
{
    g_clear_pointer(&top->pages, g_free);
}
