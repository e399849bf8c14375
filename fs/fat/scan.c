/* The entries of a directory, one after the other, wherever its clusters are. */
#include "fat.h"

enum { READ_BYTES = 64 * 1024 };

/* A part of a directory that lies in one piece on the volume. */
typedef struct Part {
    uint64_t offset; /* on the volume */
    uint32_t bytes;  /* 0: the directory has ended */
} Part;

void fat_scan_clear(FatScan *scan)
{
    g_clear_pointer(&scan->buf, g_free);
}

static bool coroutine_fn co_find_part(FatState *s, FatNode *dir, uint64_t pos,
                                      Part *part, GError **errp)
{
    const FatLayout *geo = &s->geo;
    uint64_t bytes;
    FatRun run;

    if (dir->is_fixed) {
        bytes = geo->root_bytes - MIN(pos, geo->root_bytes);
        *part = (Part){geo->root_offset + pos, MIN(bytes, READ_BYTES)};
        return true;
    }

    uint32_t within = pos % geo->cluster_bytes;

    if (!fat_node_co_map(s, dir, pos / geo->cluster_bytes, &run, errp)) {
        return false;
    }
    if (!run.count) {
        *part = (Part){0};
        return true;
    }
    bytes = (uint64_t)run.count * geo->cluster_bytes - within;
    *part = (Part){fat_cluster_offset(s, run.cluster) + within, MIN(bytes, READ_BYTES)};
    return true;
}

/* What of a part can be read; at least a sector. */
static bool coroutine_fn co_read_part(FatState *s, Part *part, uint8_t *buf,
                                      GError **errp)
{
    uint64_t volume = blk_length(s->fs->blk);

    if (part->offset < volume) {
        part->bytes = MIN(part->bytes, volume - part->offset);
    }
    for (uint32_t done = 0; done < part->bytes;) {
        uint32_t count = 0;
        const uint8_t *bytes =
            part->offset < volume
                ? fat_pieces_co_get(s->pieces, part->offset + done, &count, NULL)
                : NULL;

        if (bytes) {
            count = MIN(count, part->bytes - done);
            memcpy(buf + done, bytes, count);
        } else if (done) {
            part->bytes = done;
        } else {
            /* Without what lies around it. */
            count = part->bytes = MIN(part->bytes, s->geo.sector_bytes);
            if (!blk_co_read(s->fs->blk, part->offset, count, buf, "directory", errp)) {
                return false;
            }
        }
        done += count;
    }
    return true;
}

bool coroutine_fn fat_scan_co_part(FatScan *scan, GError **errp)
{
    FatState *s = scan->s;
    Part part;

    scan->buf = scan->buf ? scan->buf : g_malloc(READ_BYTES);
    if (!co_find_part(s, scan->dir, scan->pos, &part, errp)) {
        return false;
    }
    if (!part.bytes) {
        scan->ended = true;
        return true;
    }
    if (!co_read_part(s, &part, scan->buf, errp)) {
        if (errp) {
            g_prefix_error(errp,
                           "directory (inode %" PRIu64 ") at byte 0x%" PRIx64 ": ",
                           scan->dir->ino, scan->pos);
        }
        scan->pos += part.bytes;
        return false;
    }
    for (uint32_t at = 0; at + FAT_ENTRY_BYTES <= part.bytes; at += FAT_ENTRY_BYTES) {
        const uint8_t *entry = scan->buf + at;

        if (entry[0] == FAT_NAME_END) {
            scan->ended = true;
            scan->pos += at;
            return true;
        }

        FatScanNext next = scan->found(entry, part.offset + at, scan->opaque);

        if (next != FAT_SCAN_GO_ON) {
            scan->stopped = true;
            scan->pos += at + (next == FAT_SCAN_STOP_BEHIND ? FAT_ENTRY_BYTES : 0);
            return true;
        }
    }
    scan->pos += part.bytes;
    return true;
}

typedef struct Counting {
    const FatKind *kind;
    uint32_t subdirs;
} Counting;

static FatScanNext count_entry(const uint8_t *entry, uint64_t offset G_GNUC_UNUSED,
                               void *opaque)
{
    Counting *counting = opaque;

    counting->subdirs += counting->kind->is_subdir(entry);
    return FAT_SCAN_GO_ON;
}

void coroutine_fn fat_scan_co_count(FatState *s, FatNode *dir, uint32_t *subdirs,
                                    uint64_t *size)
{
    Counting counting = {s->kind, 0};
    g_auto(FatScan)
        scan = {.s = s, .dir = dir, .found = count_entry, .opaque = &counting};
    uint32_t clusters = 0;
    FatRun run = {0};

    while (!scan.ended) {
        uint64_t from = scan.pos;

        if (!fat_scan_co_part(&scan, NULL) && scan.pos == from) {
            break;
        }
    }
    *subdirs = counting.subdirs;
    *size = s->geo.root_bytes;
    if (!dir->is_fixed) {
        while (fat_node_co_map(s, dir, clusters, &run, NULL) && run.count) {
            clusters += run.count;
        }
        *size = (uint64_t)clusters * s->geo.cluster_bytes;
    }
}
