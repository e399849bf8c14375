/*
 * From volumes and files to units.
 */
#include "engram/sink-plan.h"

#include "engram/sink-metadata.h"
#include "engram/sink-read.h"
#include "engram/sink-status.h"
#include "fs/ino-set.h"
#include "qapi/qapi-visit.h"
#include "util/error.h"
#include "util/units.h"

enum {
    SORT_BYTES = 24 << 20,
    EXTENTS_AT_ONCE = 256,
    HEAD_BYTES = 4096,        /* that tell a file's kind */
    READ_BYTES_MAX = 1 << 20, /* of a file without extents that is read nevertheless */
    UNWRAP_BYTES_LEAST = 1 << 30, /* of streams that may be read on any disk */
    WARNINGS_MAX = 20,        /* for each volume */
    SHARED_CLAIMS = 16,       /* disks full of blocks that files share */
};

/* A part of a file's unit that lies in one piece on the device. */
typedef struct ExtentRecord {
    uint64_t key;                   /* device offset of the unit's first extent */
    uint64_t device_offset;
    uint64_t address;               /* of the unit */
    uint32_t file;
    uint32_t offset;                /* in the unit */
    uint32_t length;
    uint32_t size;                  /* of the unit */
    uint8_t profile;
    uint8_t whole;
    uint8_t reserved[6];
} ExtentRecord;

struct SinkPlan {
    SinkPlanOptions opt;
    VolumeTable *table;
    GPtrArray *filesystems;         /* of Filesystem * */
    SinkGaps *gaps;                 /* NULL: files only */
    RecordSorter *extents;          /* of ExtentRecord */
    uint64_t data_bytes;
    uint64_t damages;
    uint64_t claims_left;           /* bytes that files may still claim to be theirs */
    uint64_t shared_claims_left;    /* the same, of what is said to be shared */
    SinkReader reader;
    SinkStatus status;
    /* The merge. */
    ExtentRecord next;
    bool has_next;
    SinkUnit gap;
    bool has_gap;
};

/* The walk of one volume. */
typedef struct VolumeWalk {
    SinkPlan *plan;
    Volume *volume;
    Filesystem *fs;
    InoSet linked;                  /* files that were met, and may be met again */
    GArray *extents;                /* of FsExtent */
    GArray *reads;                  /* of SinkReadFile */
    unsigned warnings;
    bool failed;                    /* by what is no matter of the filesystem */
} VolumeWalk;

/* A file while its extents are added. */
typedef struct FileWalk {
    uint32_t number;
    uint64_t size;
    uint8_t profile;
    bool whole;
    uint64_t unit_address;          /* of the unit being added to; UINT64_MAX: none */
    uint64_t key;
    uint64_t end;                   /* of the extents so far, in the file */
    bool has_extents;
    bool encoded;
} FileWalk;

static int compare_extents(const void *a, const void *b)
{
    const ExtentRecord *ea = a, *eb = b;

    if (ea->key != eb->key) {
        return ea->key > eb->key ? 1 : -1;
    }
    if (ea->file != eb->file) {
        return ea->file > eb->file ? 1 : -1;
    }
    if (ea->address != eb->address) {
        return ea->address > eb->address ? 1 : -1;
    }
    return (ea->offset > eb->offset) - (ea->offset < eb->offset);
}

static void plan_warn(SinkPlan *p, const char *text)
{
    progress_interrupt(p->opt.progress);
    g_warning("%s", text);
}

static void G_GNUC_PRINTF(2, 3) warn(VolumeWalk *v, const char *format, ...)
{
    va_list args;

    if (v->warnings++ < WARNINGS_MAX) {
        va_start(args, format);
        g_autofree char *text = g_strdup_vprintf(format, args);
        va_end(args);
        plan_warn(v->plan, text);
    }
}

/* The path of an entry for messages. */
static char *display_path(const VolumeWalk *v, const char *path)
{
    const char *folder = v->volume->info->path;
    g_autofree char *text =
        g_strdup_printf("%s/%s", folder[1] ? folder : "", path);

    return g_strescape(text, "\"\\'");
}

static bool coroutine_fn damaged(const char *path, const GError *error, void *opaque)
{
    VolumeWalk *v = opaque;
    g_autofree char *text = display_path(v, path);

    v->plan->damages++;
    warn(v,
         v->plan->gaps ? "%s is stored as raw ranges, as far as it cannot be read: %s"
                       : "%s cannot be read in full: %s",
         text, error->message);
    return true;
}

static unsigned coroutine_fn co_profile(VolumeWalk *v, const FsWalkEntry *entry)
{
    const SinkPlanOptions *opt = &v->plan->opt;
    int profile = profile_for_path(opt->profiles, entry->path);
    uint8_t head[HEAD_BYTES];

    if (profile >= 0) {
        return profile;
    }
    if (entry->stat.size <= SINK_SEGMENT_BYTES) {
        return SINK_PROFILE_BY_MAGIC;
    }
    if (fs_co_read(v->fs, entry->stat.ino, 0, sizeof(head), head, NULL)) {
        profile = profile_for_magic(opt->profiles, head, sizeof(head));
    }
    return profile >= 0 ? (unsigned)profile
                        : profile_for_content(opt->profiles, PROFILE_CONTENT_UNKNOWN);
}

/* Adds a piece of an extent that is in one unit. */
static bool add_piece(VolumeWalk *v, FileWalk *f, uint64_t file_offset,
                      uint64_t device_offset, uint32_t length, GError **errp)
{
    SinkPlan *p = v->plan;
    uint64_t address = round_down_pow2(file_offset, SINK_SEGMENT_BYTES);

    if (address != f->unit_address) {
        f->unit_address = address;
        f->key = device_offset;
        if (!f->whole) {
            sink_contents_expect(p->opt.contents, f->number, f->size);
        }
    }
    ExtentRecord record = {
        .key = f->key,
        .device_offset = device_offset,
        .address = address,
        .file = f->number,
        .offset = file_offset - address,
        .length = length,
        .size = MIN(f->size - address, SINK_SEGMENT_BYTES),
        .profile = f->profile,
        .whole = f->whole,
    };
    if (!p->gaps) {
        p->data_bytes += length;
    }
    return record_sorter_add(p->extents, &record, errp) &&
           (!p->gaps || sink_gaps_cover(p->gaps, device_offset, length, errp));
}

/* Where the next bytes of an extent are on the disk, and how many of them; 0: they are
 * not on it. */
static uint64_t find_on_disk(const VolumeWalk *v, uint64_t offset, uint64_t bytes,
                             uint64_t *disk_offset)
{
    uint64_t n = volume_find(v->volume, offset, bytes, disk_offset);

    return range_fits(*disk_offset, n, blk_length(v->plan->opt.disk)) ? n : 0;
}

/* Adds an extent of content. False: *errp is set if that is the end of it all; else the
 * extent is not where it could be read. */
static bool add_extent(VolumeWalk *v, FileWalk *f, const FsExtent *extent,
                       GError **errp)
{
    SinkPlan *p = v->plan;
    uint64_t offset = extent->file_offset, left = extent->length;
    uint64_t in_volume = extent->device_offset;
    uint64_t *claims_left = extent->flags & FS_EXTENT_SHARED ? &p->shared_claims_left
                                                             : &p->claims_left;

    if (offset >= f->size) {
        return true;
    }
    left = MIN(left, f->size - offset);
    if (offset < f->end || left > *claims_left ||
        !range_fits(in_volume, left, v->volume->info->size)) {
        return false;
    }
    *claims_left -= left;
    f->end = offset + left;
    while (left) {
        uint64_t n = MIN(left, SINK_SEGMENT_BYTES - offset % SINK_SEGMENT_BYTES);
        uint64_t device_offset = 0;

        n = find_on_disk(v, in_volume, n, &device_offset);
        if (!n || !add_piece(v, f, offset, device_offset, n, errp)) {
            return false;
        }
        offset += n;
        in_volume += n;
        left -= n;
    }
    return true;
}

/* All extents of a file.  *error is set if they cannot be told; false: the end of it
 * all. */
static bool coroutine_fn co_add_extents(VolumeWalk *v, FileWalk *f, FsIno ino,
                                        GError **error, GError **errp)
{
    uint64_t next = 0;

    while (next < f->size) {
        g_array_set_size(v->extents, 0);
        if (!fs_co_extents(v->fs, ino, next, EXTENTS_AT_ONCE, v->extents, error)) {
            return true;
        }
        if (!v->extents->len) {
            return true;
        }
        for (guint i = 0; i < v->extents->len; i++) {
            const FsExtent *extent = &g_array_index(v->extents, FsExtent, i);
            GError *fatal = NULL;

            f->has_extents = true;
            f->encoded |= extent->flags & FS_EXTENT_ENCODED;
            if (!(extent->flags & (FS_EXTENT_UNWRITTEN | FS_EXTENT_ENCODED)) &&
                !add_extent(v, f, extent, &fatal)) {
                if (fatal) {
                    g_propagate_error(errp, fatal);
                    return false;
                }
                g_set_error(error, EMBR_ERROR, EMBR_ERROR_CORRUPT,
                            "byte 0x%" PRIx64 " of the file, %" PRIu64
                            " bytes at 0x%" PRIx64
                            " of the volume: out of order, not on the disk, or in more "
                            "files than the disk has room for",
                            extent->file_offset, extent->length, extent->device_offset);
                return true;
            }
            next = MAX(next + 1, extent->file_offset + extent->length);
        }
    }
    return true;
}

/* A file whose content the device does not hold as it is, or has something inside. */
static void read_later(VolumeWalk *v, const FileWalk *f, FsIno ino, bool inside_only)
{
    SinkReadFile read = { ino, f->size, f->number, f->profile, inside_only };

    g_array_append_val(v->reads, read);
}

static bool record_empty(VolumeWalk *v, const FileWalk *f, GError **errp)
{
    const SinkPlanOptions *opt = &v->plan->opt;
    unsigned profile = f->profile == SINK_PROFILE_BY_MAGIC
                           ? profile_for_content(opt->profiles, PROFILE_CONTENT_UNKNOWN)
                           : f->profile;
    g_autoptr(GByteArray) no_digests = g_byte_array_new();
    uint8_t digest[ENGRAM_DIGEST_BYTES];

    sink_content_digest(no_digests, f->size, digest);
    return manifest_writer_set_content(opt->manifest, f->number, profile, digest, NULL,
                                       0, errp);
}

static bool coroutine_fn co_add_file(VolumeWalk *v, FileWalk *f, FsIno ino,
                                     const char *path, GError **errp)
{
    g_autoptr(GError) error = NULL;

    if (!co_add_extents(v, f, ino, &error, errp)) {
        return false;
    }
    if (error) {
        sink_contents_distrust(v->plan->opt.contents, f->number);
        damaged(path, error, v);
        return true;
    }
    if (f->encoded) {
        sink_contents_distrust(v->plan->opt.contents, f->number);
        read_later(v, f, ino, false);
    } else if (!f->has_extents && f->size && f->size <= READ_BYTES_MAX) {
        read_later(v, f, ino, false);
    } else if (f->unit_address == UINT64_MAX) {
        return record_empty(v, f, errp);
    } else if (!f->whole && sink_co_is_wrapped(v->fs, ino)) {
        read_later(v, f, ino, true);
    }
    return true;
}

/* Whether the file was met under another name.  Links that are not counted cost as much
 * as files, and any number of names of one file fits on a disk: the count is only
 * believed where a set of all files would take too much memory. */
static bool is_linked(VolumeWalk *v, const FsStat *st)
{
    return (st->nlink > 1 || v->fs->max_ino) && !ino_set_add(&v->linked, st->ino);
}

/* What there is beside metadata to be known of an entry that is no regular file. */
static bool coroutine_fn co_add_special(VolumeWalk *v, const FsWalkEntry *entry,
                                        uint64_t number, GError **errp)
{
    g_autoptr(GError) error = NULL;
    uint8_t digest[ENGRAM_DIGEST_BYTES];
    bool has_digest;

    if (!sink_co_special_digest(v->fs, &entry->stat, &has_digest, digest, &error)) {
        damaged(entry->path, error, v);
        return true;
    }
    return !has_digest || manifest_writer_set_content(v->plan->opt.manifest, number, 0,
                                                      digest, NULL, 0, errp);
}

/* NULL: they could not be read. */
static const uint8_t *coroutine_fn co_attributes(VolumeWalk *v, const FsWalkEntry *entry,
                                                 uint8_t digest[ENGRAM_DIGEST_BYTES])
{
    g_autoptr(GError) error = NULL;

    if (sink_co_attributes_digest(v->fs, entry->stat.ino, digest, &error)) {
        return digest;
    }
    damaged(entry->path, error, v);
    return NULL;
}

static bool coroutine_fn co_add_entry(VolumeWalk *v, const FsWalkEntry *entry,
                                      GError **errp)
{
    uint8_t attributes[ENGRAM_DIGEST_BYTES];
    SinkPlan *p = v->plan;
    const FsStat *st = &entry->stat;
    bool content = S_ISREG(st->mode) && !(st->flags & FS_FILE_ENCRYPTED);
    uint8_t flags = 0;
    uint64_t number;

    if (strlen(entry->path) > MANIFEST_PATH_BYTES_MAX) {
        p->damages++;
        warn(v, "%s: a path of more than %d bytes is left out of the manifest",
             blk_name(v->volume->blk), MANIFEST_PATH_BYTES_MAX);
        return true;
    }
    if (content && is_linked(v, st)) {
        flags = ENGRAM_FILE_HARD_LINK;
        content = false;
    } else if (content) {
        flags = ENGRAM_FILE_HAS_DIGEST;
    }
    if (!manifest_writer_add(p->opt.manifest, entry, flags,
                             co_attributes(v, entry, attributes), &number, errp)) {
        return false;
    }
    if (number >= SINK_NO_FILE) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT, "more than %" PRIu32 " files",
                    SINK_NO_FILE - 1);
        return false;
    }
    progress_set_path(p->opt.progress, entry->path);
    if (!S_ISREG(st->mode)) {
        return co_add_special(v, entry, number, errp);
    }
    if (!content) {
        return true;
    }
    FileWalk f = {
        .number = number,
        .size = st->size,
        .profile = co_profile(v, entry),
        .whole = st->size <= SINK_SEGMENT_BYTES,
        .unit_address = UINT64_MAX,
    };
    return co_add_file(v, &f, st->ino, entry->path, errp);
}

static bool coroutine_fn co_visit(const FsWalkEntry *entry, void *opaque, GError **errp)
{
    VolumeWalk *v = opaque;

    v->failed = !co_add_entry(v, entry, errp);
    return !v->failed;
}

static bool coroutine_fn co_read_files(VolumeWalk *v, GError **errp)
{
    for (guint i = 0; i < v->reads->len; i++) {
        const SinkReadFile *read = &g_array_index(v->reads, SinkReadFile, i);
        g_autoptr(GError) damage = NULL;

        if (read->inside_only) {
            sink_co_unwrap_file(&v->plan->reader, v->fs, read, v->plan->opt.contents,
                                &damage);
        } else if (!sink_co_read_file(&v->plan->reader, v->fs, read, &damage, errp)) {
            return false;
        }
        if (damage) {
            v->plan->damages++;
            warn(v, "%s", damage->message);
        }
    }
    return true;
}

static bool coroutine_fn co_walk_volume(SinkPlan *p, Volume *volume, Filesystem *fs,
                                        GError **errp)
{
    static const FsWalkOps ops = { .entry = co_visit, .damaged = damaged };
    const VolumeInfo *info = volume->info;
    GError *error = NULL;
    VolumeWalk v = {
        .plan = p,
        .volume = volume,
        .fs = fs,
        .extents = g_array_new(FALSE, FALSE, sizeof(FsExtent)),
        .reads = g_array_new(FALSE, FALSE, sizeof(SinkReadFile)),
    };

    ino_set_init(&v.linked, fs->max_ino);
    manifest_writer_begin_volume(p->opt.manifest, info, fs->ident.type);
    bool ok = fs_co_walk(fs, p->opt.start ? p->opt.start->ino : fs->root,
                         FS_WALK_SORTED, &ops, &v, &error);
    if (v.failed) {
        g_propagate_error(errp, error);
    } else if (!ok) {
        damaged("", error, &v);
        g_error_free(error);
    }
    v.failed = v.failed || !co_read_files(&v, errp);
    if (v.warnings > WARNINGS_MAX) {
        g_warning("%s: %u more warnings", blk_name(volume->blk),
                  v.warnings - WARNINGS_MAX);
    }
    for (guint i = 0; i < fs->warnings->len; i++) {
        plan_warn(p, g_ptr_array_index(fs->warnings, i));
    }
    g_array_unref(v.extents);
    g_array_unref(v.reads);
    ino_set_clear(&v.linked);
    return !v.failed;
}

/* What is on a volume, if a driver reads it. */
static Filesystem *coroutine_fn co_open_filesystem(SinkPlan *p, Volume *volume)
{
    g_autoptr(GError) error = NULL;

    if (!volume->fs_driver || !volume->fs_driver->fs_co_open || volume->holds_others) {
        return NULL;
    }
    Filesystem *fs = fs_co_open(volume->fs_driver, volume->blk, &error);
    if (!fs) {
        p->damages++;
        g_prefix_error(&error, p->gaps ? "the volume is stored as a raw range: "
                                       : "the volume is left out: ");
        plan_warn(p, error->message);
    }
    return fs;
}

static bool coroutine_fn co_walk(SinkPlan *p, GError **errp)
{
    for (guint i = 0; i < p->table->volumes->len; i++) {
        Volume *volume = g_ptr_array_index(p->table->volumes, i);

        if (p->opt.start && strcmp(p->opt.start->volume, volume->info->path) != 0) {
            continue;
        }
        Filesystem *fs = co_open_filesystem(p, volume);
        if (p->gaps) {
            sink_gaps_add_volume(p->gaps, volume, fs);
        }
        if (fs) {
            g_ptr_array_add(p->filesystems, fs);
            if (!co_walk_volume(p, volume, fs, errp)) {
                return false;
            }
        }
    }
    return true;
}

/* A disk whose table is damaged is one volume of unknown content. */
static VolumeTable *coroutine_fn co_open_table(SinkPlan *p)
{
    g_autoptr(GError) error = NULL;
    VolumeTable *table = volume_table_co_open(p->opt.disk, &error);

    if (!table) {
        p->damages++;
        g_prefix_error(&error, p->gaps ? "the disk is stored as a raw range: "
                                       : "the disk is left out: ");
        plan_warn(p, error->message);
        return NULL;
    }
    for (guint i = 0; i < table->warnings->len; i++) {
        plan_warn(p, g_ptr_array_index(table->warnings, i));
    }
    return table;
}

static bool load_next(SinkPlan *p, GError **errp)
{
    int ret = record_sorter_next(p->extents, &p->next, errp);

    p->has_next = ret > 0;
    return ret >= 0;
}

static bool coroutine_fn co_load_gap(SinkPlan *p, GError **errp)
{
    int ret = sink_gaps_co_next(p->gaps, &p->gap, errp);

    p->has_gap = ret > 0;
    return ret >= 0;
}

static bool coroutine_fn co_count_data(SinkPlan *p, GError **errp)
{
    uint64_t length = blk_length(p->opt.disk);

    for (uint64_t pos = 0; pos < length; pos = p->status.end) {
        if (!sink_status_co_find(&p->status, pos, errp)) {
            return false;
        }
        p->data_bytes += p->status.zero ? 0 : p->status.end - pos;
    }
    return true;
}

uint64_t sink_plan_bytes(const SinkPlan *p)
{
    return p->data_bytes;
}

uint64_t sink_plan_damages(const SinkPlan *p)
{
    return p->damages;
}

/* What lies between files, once these are known. */
static bool coroutine_fn co_start_gaps(SinkPlan *p, GError **errp)
{
    if (!p->gaps) {
        return true;
    }
    if (!p->table) {
        sink_gaps_add_unknown(p->gaps);
    }
    return co_count_data(p, errp) && sink_gaps_start(p->gaps, errp) &&
           co_load_gap(p, errp);
}

SinkPlan *coroutine_fn sink_plan_co_new(const SinkPlanOptions *options, GError **errp)
{
    g_autoptr(SinkPlan) p = g_new0(SinkPlan, 1);

    p->opt = *options;
    p->filesystems = g_ptr_array_new_with_free_func((GDestroyNotify)fs_free);
    if (!options->files_only) {
        p->gaps = sink_gaps_new(options->disk, options->profiles,
                                options->drop_free_space, options->spool_dir);
    }
    p->extents = record_sorter_new(sizeof(ExtentRecord), compare_extents, SORT_BYTES,
                                   options->spool_dir);
    p->status.disk = options->disk;
    p->claims_left = blk_length(options->disk);
    p->shared_claims_left = p->claims_left <= UINT64_MAX / SHARED_CLAIMS
                                ? p->claims_left * SHARED_CLAIMS
                                : UINT64_MAX;
    p->reader = (SinkReader){
        .profiles = options->profiles,
        .chunker = options->chunker,
        .manifest = options->manifest,
        .bytes_left = sink_read_limit(blk_length(options->disk)),
        .wrapped_left = MAX(blk_length(options->disk), UNWRAP_BYTES_LEAST),
    };
    p->table = co_open_table(p);
    if ((p->table && !co_walk(p, errp)) || !co_start_gaps(p, errp) ||
        !record_sorter_finish(p->extents, errp) || !load_next(p, errp)) {
        return NULL;
    }
    return g_steal_pointer(&p);
}

void sink_plan_free(SinkPlan *p)
{
    if (!p) {
        return;
    }
    g_clear_pointer(&p->gaps, sink_gaps_free);
    g_ptr_array_unref(p->filesystems);
    g_clear_pointer(&p->table, volume_table_free);
    record_sorter_free(p->extents);
    g_free(p);
}

static void append_extent(GArray *extents, const ExtentRecord *record, uint32_t start,
                          uint32_t end)
{
    SinkExtent extent = { record->device_offset + (start - record->offset), start,
                          end - start };

    if (start < end) {
        g_array_append_val(extents, extent);
    }
}

/* What has to be read of a record: without the blocks that are known to be zero, which
 * would be taken out anyway. */
static bool coroutine_fn co_add_record(SinkPlan *p, const ExtentRecord *record,
                                       GArray *extents, GError **errp)
{
    uint32_t pos = record->offset, end = record->offset + record->length;
    uint32_t data = pos;            /* what may not be zero begins there */

    while (pos < end) {
        uint64_t device_pos = record->device_offset + (pos - record->offset);

        if (!sink_status_co_find(&p->status, device_pos, errp)) {
            return false;
        }
        uint32_t next = pos + MIN(p->status.end - device_pos, end - pos);
        uint32_t hole = round_up_pow2(pos, SINK_BLOCK_BYTES);
        uint32_t hole_end =
            next == record->size ? next : round_down_pow2(next, SINK_BLOCK_BYTES);
        if (p->status.zero && hole < hole_end) {
            append_extent(extents, record, data, hole);
            data = hole_end;
        }
        pos = next;
    }
    append_extent(extents, record, data, end);
    return true;
}

/* The records of the next unit of a file. */
static bool coroutine_fn co_take_file_unit(SinkPlan *p, SinkUnit *unit, GArray *extents,
                                           GError **errp)
{
    const ExtentRecord first = p->next;

    *unit = (SinkUnit){
        .address = first.address,
        .file = first.file,
        .size = first.size,
        .profile = first.profile,
        .whole = first.whole,
    };
    while (p->has_next && p->next.file == first.file &&
           p->next.address == first.address) {
        if (!co_add_record(p, &p->next, extents, errp) || !load_next(p, errp)) {
            return false;
        }
    }
    return true;
}

int coroutine_fn sink_plan_co_next(SinkPlan *p, SinkUnit *unit, GArray *extents,
                                   GError **errp)
{
    g_array_set_size(extents, 0);
    if (p->has_next && (!p->has_gap || p->next.key <= p->gap.address)) {
        return co_take_file_unit(p, unit, extents, errp) ? 1 : -1;
    }
    if (!p->has_gap) {
        return 0;
    }
    SinkExtent extent = { p->gap.address, 0, p->gap.size };
    g_array_append_val(extents, extent);
    *unit = p->gap;
    return co_load_gap(p, errp) ? 1 : -1;
}
