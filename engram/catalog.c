/*
 * The manifest that an image has, or one that is made for the moment.
 */
#include "engram/catalog.h"

#include "engram/reader.h"
#include "engram/sink-run.h"
#include "fs/tree.h"
#include "util/error.h"

enum { CHUNKER_NUMBER = 1 };

/* An image being gone through. */
typedef struct Making {
    BlockBackend *disk;
    const SinkStart *start;
    Progress *progress;
    OutFile *file;
    ObjectWriter out;
    ManifestWriter *manifest;
    SinkPlan *plan;
    SinkEncoder e;
    Chunker chunker;
    ProfileSet *profiles;
} Making;

void engram_catalog_free(EngramCatalog *c)
{
    if (!c) {
        return;
    }
    engram_manifest_free(c->manifest);
    if (c->owns_file) {
        engram_file_free(c->file);
    }
    g_free(c->image);
    g_free(c->base);
    g_free(c);
}

const char *engram_catalog_folder(const EngramCatalog *c, uint32_t volume)
{
    return g_ptr_array_index(c->manifest->folders, volume);
}

void engram_catalog_append_path(const EngramCatalog *c, const EngramFileInfo *info,
                                GString *out)
{
    const char *folder = engram_catalog_folder(c, info->volume);
    const char *path = info->path + c->base_bytes;

    g_string_append(out, c->base);
    if (!c->is_part && *folder) {
        g_string_append_c(out, '/');
        g_string_append(out, folder);
    }
    if (*path && *path != '/') {
        g_string_append_c(out, '/');
    }
    g_string_append(out, path);
    if (!out->len) {
        g_string_append_c(out, '/');
    }
}

char *engram_catalog_why_unlike(const EngramCatalog *c)
{
    const EngramManifestReader *m = c->manifest;

    if (!m->n_vectors || (m->hypervector_dimension == VECTOR_DIMENSION &&
                          m->hypervector_encoding == HYPERVEC_ENCODING)) {
        return NULL;
    }
    return g_strdup_printf("%s has hypervectors of %" PRIu32 " trits in encoding %" PRIu32
                           ", which do not compare with those of %d trits in encoding %d",
                           c->image, m->hypervector_dimension, m->hypervector_encoding,
                           VECTOR_DIMENSION, HYPERVEC_ENCODING);
}

static void get_params(const EngramFile *f, ChunkerParams *params)
{
    *params = (ChunkerParams){
        .min_bytes = le32_get(f->commit.chunk_min),
        .average_bytes = le32_get(f->commit.chunk_avg),
        .max_bytes = le32_get(f->commit.chunk_max),
    };
}

/* Whether the manifest says all there is to be compared: that of an early version does
 * not. */
static bool coroutine_fn co_has_attributes(EngramManifestReader *m, bool *has,
                                           GError **errp)
{
    g_auto(EngramFileIter) it;
    EngramFileInfo info;

    engram_file_iter_init(&it, m, 0, 1);
    int ret = engram_file_iter_co_next(&it, &info, errp);
    *has = ret == 0 || (ret > 0 && info.attributes);
    return ret >= 0;
}

/* The manifest of an engram.  False: an error; *manifest NULL: there is none that will
 * do. */
static bool coroutine_fn co_own_manifest(BlockBackend *disk, const EngramReader *reader,
                                         EngramFile *f, EngramManifestReader **manifest,
                                         GError **errp)
{
    const EngramImage *image = engram_reader_image(reader);
    ChunkerParams params;
    bool enough;

    *manifest = NULL;
    get_params(f, &params);
    if (engram_ref_is_none(&image->manifest) ||
        le32_get(f->commit.chunker) != CHUNKER_NUMBER ||
        !chunker_params_check(&params, NULL)) {
        return true;
    }
    g_autoptr(EngramManifestReader) m = engram_manifest_co_open(f, image, errp);
    if (!m || !co_has_attributes(m, &enough, errp)) {
        return false;
    }
    *manifest = enough ? g_steal_pointer(&m) : NULL;
    return true;
}

bool coroutine_fn engram_catalog_co_chunker(BlockBackend *disk, ChunkerParams *params,
                                            bool *found, GError **errp)
{
    EngramReader *reader = engram_reader_of_node(blk_bs(disk));
    EngramManifestReader *manifest = NULL;

    *found = false;
    if (!reader) {
        return true;
    }
    EngramFile *f = engram_reader_file(reader);
    if (!co_own_manifest(disk, reader, f, &manifest, errp)) {
        return false;
    }
    *found = manifest != NULL;
    if (manifest) {
        get_params(f, params);
    }
    engram_manifest_free(manifest);
    return true;
}

/* A temporary file, for as long as it is open. */
static OutFile *new_file(GError **errp)
{
    g_autofree char *name = g_strdup_printf("embr-catalog.%08x", g_random_int());
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), name, NULL);

    return out_file_new(path, errp);
}

static bool coroutine_fn co_plan(Making *k, GError **errp)
{
    k->manifest = manifest_writer_new(NULL, errp);
    if (!k->manifest) {
        return false;
    }
    k->e.contents = sink_contents_new(k->manifest, NULL);
    SinkPlanOptions options = {
        .disk = k->disk,
        .profiles = k->profiles,
        .chunker = &k->chunker,
        .files_only = true,
        .start = k->start,
        .manifest = k->manifest,
        .contents = k->e.contents,
        .progress = k->progress,
    };
    progress_phase(k->progress, "reading directories", 0);
    k->plan = sink_plan_co_new(&options, errp);
    return k->plan != NULL;
}

/* Reads all files; *ref is the manifest in k->file then. */
static bool coroutine_fn co_make(Making *k, EngramRef *ref, GError **errp)
{
    EngramRef vector_index;             /* nobody looks for these files by it */

    k->profiles = profile_set_load(NULL, errp);
    k->file = k->profiles ? new_file(errp) : NULL;
    if (!k->file) {
        return false;
    }
    object_writer_init(&k->out, k->file, ENGRAM_OBJECTS_START);
    k->e.disk = k->disk;
    k->e.profiles = k->profiles;
    k->e.chunker = &k->chunker;
    if (!co_plan(k, errp)) {
        return false;
    }
    SinkRun run = {
        .e = &k->e,
        .plan = k->plan,
        .manifest = k->manifest,
        .progress = k->progress,
    };
    progress_phase(k->progress, "reading files", sink_plan_bytes(k->plan));
    if (!sink_run_co_all(&run, errp)) {
        return false;
    }
    progress_finish(k->progress);
    return manifest_writer_co_finish(k->manifest, &k->out, ref, &vector_index, errp) &&
           object_writer_co_flush(&k->out, errp);
}

static void making_clear(Making *k)
{
    sink_plan_free(k->plan);
    if (k->e.contents) {
        sink_contents_free(k->e.contents);
    }
    manifest_writer_free(k->manifest);
    object_writer_clear(&k->out);
    out_file_free(k->file);
    profile_set_free(k->profiles);
}

/* What was written as a file that manifests are read from. */
static EngramFile *coroutine_fn co_reopen(const Making *k, GError **errp)
{
    EngramFile *f;
    BlockDriverState *bs = bdrv_co_open_image(out_file_open_path(k->file), NULL,
                                              BDRV_O_PROTOCOL, errp);

    if (!bs) {
        return NULL;
    }
    f = g_new0(EngramFile, 1);
    f->file = bs;
    f->end = k->out.end;
    return f;
}

static bool coroutine_fn co_make_manifest(EngramCatalog *c, BlockBackend *disk,
                                          const SinkStart *start, Progress *progress,
                                          GError **errp)
{
    Making k = { .disk = disk, .start = start, .progress = progress };
    EngramImage image = { 0 };

    bool ok = chunker_init(&k.chunker, &c->chunker, errp) &&
              co_make(&k, &image.manifest, errp);
    if (ok) {
        c->damages = sink_plan_damages(k.plan);
        c->file = co_reopen(&k, errp);
        c->owns_file = true;
    }
    c->manifest = c->file ? engram_manifest_co_open(c->file, &image, errp) : NULL;
    making_clear(&k);
    return c->manifest != NULL;
}

/* Where the options' path leads.  *volume is what start has a pointer to. */
static bool coroutine_fn co_find_start(BlockBackend *disk, const char *path,
                                       SinkStart *start, char **volume, GError **errp)
{
    g_autoptr(FsTree) tree = fs_tree_co_open(disk, errp);
    FsNode node;

    if (!tree || !fs_tree_co_resolve(tree, path, 0, &node, errp)) {
        return false;
    }
    if (!node.volume) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID, "%s: %s is not on a volume",
                    blk_name(disk), path);
        return false;
    }
    *volume = g_strdup(node.volume->info->path);
    *start = (SinkStart){ *volume, node.ino };
    return true;
}

static bool is_start(const EngramCatalog *c, const EngramFileInfo *info,
                     const SinkStart *start)
{
    return info->ino == start->ino &&
           strcmp(engram_catalog_folder(c, info->volume), start->volume + 1) == 0;
}

static bool is_below(const EngramCatalog *c, const EngramFileInfo *info,
                     const char *base)
{
    return !c->base_bytes || (strncmp(info->path, base, c->base_bytes) == 0 &&
                              info->path[c->base_bytes] == '/');
}

/* Counts the entries below the one that was found last. */
static bool coroutine_fn co_count_below(EngramCatalog *c, EngramFileIter *it,
                                        const EngramFileInfo *start, GError **errp)
{
    g_autofree char *base = g_strdup(start->path);
    uint32_t volume = start->volume;
    EngramFileInfo info;
    int ret = 1;

    c->first = start->number;
    c->count = 1 + start->below;
    c->base_bytes = start->path_bytes;
    if (start->digest || !S_ISDIR(start->mode)) {
        return true;
    }
    while ((ret = engram_file_iter_co_next(it, &info, errp)) > 0 &&
           info.volume == volume && is_below(c, &info, base)) {
        c->count++;
    }
    return ret >= 0;
}

/* Narrows a manifest of the whole image to what is at the start. */
static bool coroutine_fn co_narrow(EngramCatalog *c, const char *path,
                                   const SinkStart *start, GError **errp)
{
    g_auto(EngramFileIter) it;
    EngramFileInfo info;
    int ret;

    engram_file_iter_init(&it, c->manifest, 0, UINT64_MAX);
    while ((ret = engram_file_iter_co_next(&it, &info, errp)) > 0) {
        if (is_start(c, &info, start)) {
            return co_count_below(c, &it, &info, errp);
        }
    }
    if (ret == 0) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_NOT_FOUND,
                    "%s: %s is not in the manifest", c->image, path);
    }
    return false;
}

static bool has_params(const EngramFile *f, const ChunkerParams *wanted)
{
    ChunkerParams own;

    get_params(f, &own);
    return !wanted || (own.min_bytes == wanted->min_bytes &&
                       own.average_bytes == wanted->average_bytes &&
                       own.max_bytes == wanted->max_bytes);
}

EngramCatalog *coroutine_fn engram_catalog_co_open(BlockBackend *disk,
                                                   const EngramCatalogOptions *options,
                                                   Progress *progress, GError **errp)
{
    g_autoptr(EngramCatalog) c = g_new0(EngramCatalog, 1);
    EngramReader *reader = engram_reader_of_node(blk_bs(disk));
    g_autofree char *volume = NULL;
    SinkStart start;

    c->image = g_strdup(blk_name(disk));
    c->is_part = options->path != NULL;
    c->base = g_strdup(options->path ? options->path : "");
    if (options->path && !co_find_start(disk, options->path, &start, &volume, errp)) {
        return NULL;
    }
    if (reader) {
        c->file = engram_reader_file(reader);
        if (!co_own_manifest(disk, reader, c->file, &c->manifest, errp)) {
            return NULL;
        }
    }
    if (c->manifest && has_params(c->file, options->chunker)) {
        get_params(c->file, &c->chunker);
        c->count = c->manifest->n_entries;
        return !options->path || co_narrow(c, options->path, &start, errp)
                   ? g_steal_pointer(&c)
                   : NULL;
    }
    g_clear_pointer(&c->manifest, engram_manifest_free);
    c->file = NULL;
    if (options->chunker) {
        c->chunker = *options->chunker;
    } else {
        chunker_params_init(&c->chunker);
    }
    if (!co_make_manifest(c, disk, options->path ? &start : NULL, progress, errp)) {
        return NULL;
    }
    c->count = c->manifest->n_entries;
    return g_steal_pointer(&c);
}
