/* embr-img diff */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "engram/diff.h"
#include "file-entry.h"
#include "options.h"
#include "report.h"
#include "tree.h"
#include "util/text.h"

enum { OUT_BYTES = 64 * 1024 };

/* Exit status, as diff(1) has them */
enum {
    DIFF_SAME = 0,
    DIFF_DIFFERENT = 1,
    DIFF_TROUBLE = 2,
};

typedef struct DiffSide {
    const char *name; /* IMAGE or IMAGE:/PATH */
    ImageOptions image;
    char *snapshot;
    BlockBackend *disk;
    char *path; /* as shown; NULL: all of it */
    EngramCatalog *catalog;
} DiffSide;

typedef struct Diff {
    DiffSide side[2];
    EngramDiffOptions options;
    gboolean stat;
    gboolean progress;
    gboolean quiet;
    bool json;
    bool terminal; /* what is printed is for a person's eyes */
    Progress *meter;
    GString *out;
    uint64_t printed;
    ImageChangeTotals totals[ENGRAM_DIFF_KINDS];
} Diff;

static const struct {
    char letter;
    ImageChangeKind kind;
    const char *text; /* of --stat */
} kinds[ENGRAM_DIFF_KINDS] = {
    [ENGRAM_DIFF_ADDED] = {'A', IMAGE_CHANGE_KIND_ADDED, "added"},
    [ENGRAM_DIFF_REMOVED] = {'D', IMAGE_CHANGE_KIND_REMOVED, "removed"},
    [ENGRAM_DIFF_MODIFIED] = {'M', IMAGE_CHANGE_KIND_MODIFIED, "modified"},
    [ENGRAM_DIFF_METADATA] = {'m', IMAGE_CHANGE_KIND_METADATA, "metadata only"},
    [ENGRAM_DIFF_TYPE] = {'T', IMAGE_CHANGE_KIND_TYPE, "other type"},
    [ENGRAM_DIFF_RENAMED] = {'R', IMAGE_CHANGE_KIND_RENAMED, "renamed"},
    [ENGRAM_DIFF_UNKNOWN] = {'?', IMAGE_CHANGE_KIND_UNKNOWN, "not known"},
};

static const struct {
    unsigned bit;
    ImageChangeAspect aspect;
    const char *text;
} aspects[] = {
    {ENGRAM_DIFF_CONTENT, IMAGE_CHANGE_ASPECT_CONTENT, "content"},
    {ENGRAM_DIFF_TARGET, IMAGE_CHANGE_ASPECT_TARGET, "target"},
    {ENGRAM_DIFF_DEVICE, IMAGE_CHANGE_ASPECT_DEVICE, "device"},
    {ENGRAM_DIFF_MODE, IMAGE_CHANGE_ASPECT_MODE, "mode"},
    {ENGRAM_DIFF_OWNER, IMAGE_CHANGE_ASPECT_OWNER, "owner"},
    {ENGRAM_DIFF_GROUP, IMAGE_CHANGE_ASPECT_GROUP, "group"},
    {ENGRAM_DIFF_MTIME, IMAGE_CHANGE_ASPECT_MTIME, "mtime"},
    {ENGRAM_DIFF_ATTRIBUTES, IMAGE_CHANGE_ASPECT_XATTRS, "xattrs"},
    {ENGRAM_DIFF_LINKS, IMAGE_CHANGE_ASPECT_LINKS, "links"},
    {ENGRAM_DIFF_FILESYSTEM, IMAGE_CHANGE_ASPECT_FILESYSTEM, "filesystem"},
};

static bool flush_out(Diff *o, GError **errp)
{
    size_t len = o->out->len;

    progress_interrupt(o->meter);
    if (fwrite(o->out->str, 1, len, stdout) != len) {
        error_set_errno(errp, errno, "cannot write to standard output");
        return false;
    }
    g_string_truncate(o->out, 0);
    return true;
}

static void append_path(Diff *o, const char *path)
{
    text_append(o->out, path, o->terminal ? TEXT_MASKED : TEXT_ESCAPED);
}

/* " (mode, mtime)", without what the letter says */
static void append_aspects(Diff *o, const EngramDiffChange *change)
{
    unsigned shown = change->aspects;
    const char *separator = " (";

    if (change->kind == ENGRAM_DIFF_MODIFIED) {
        shown &= ~(unsigned)ENGRAM_DIFF_CONTENT;
    } else if (change->kind == ENGRAM_DIFF_RENAMED && change->has_similarity) {
        shown &= ~(unsigned)ENGRAM_DIFF_CONTENT;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(aspects); i++) {
        if (shown & aspects[i].bit) {
            g_string_append_printf(o->out, "%s%s", separator, aspects[i].text);
            separator = ", ";
        }
    }
    if (*separator == ',') {
        g_string_append_c(o->out, ')');
    }
}

/* 1.000 stands for the same content, and for nothing else. */
static void append_similarity(Diff *o, const EngramDiffChange *change)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];
    double shown = change->similarity;

    if (!change->has_similarity) {
        g_string_append(o->out, "      ");
        return;
    }
    if (change->aspects & ENGRAM_DIFF_CONTENT) {
        shown = MIN(shown, 0.999);
    }
    g_ascii_formatd(text, sizeof(text), "%.3f", shown);
    g_string_append_printf(o->out, " %s", text);
}

static void append_line(Diff *o, const EngramDiffChange *change)
{
    g_string_append_c(o->out, kinds[change->kind].letter);
    append_similarity(o, change);
    g_string_append_c(o->out, ' ');
    if (change->before) {
        append_path(o, change->before->path);
    }
    if (change->kind == ENGRAM_DIFF_RENAMED) {
        g_string_append(o->out, " -> ");
    }
    if (change->after && (!change->before || change->kind == ENGRAM_DIFF_RENAMED)) {
        append_path(o, change->after->path);
    }
    if (change->kind == ENGRAM_DIFF_TYPE) {
        g_string_append_printf(o->out, " (%s -> %s)", file_type_name(change->before->mode),
                               file_type_name(change->after->mode));
    } else {
        append_aspects(o, change);
    }
    g_string_append_c(o->out, '\n');
}

static ImageChangeFile *change_file_new(const EngramDiffFile *file)
{
    const FsStat stat = {
        .mode = file->mode,
        .mtime = {file->mtime_sec, file->mtime_nsec},
    };
    g_autoptr(FileEntry) entry = file_entry_from_stat(file->path, &stat, NULL);
    ImageChangeFile *f = image_change_file_new0();

    f->path = g_steal_pointer(&entry->path);
    f->path_bytes = g_steal_pointer(&entry->path_bytes);
    f->type = entry->type;
    f->mode = entry->mode;
    f->uid = file->uid;
    f->gid = file->gid;
    f->size = file->size;
    f->mtime = g_steal_pointer(&entry->mtime);
    return f;
}

static void append_json(Diff *o, const EngramDiffChange *change)
{
    g_autoptr(ImageChange) c = image_change_new0();

    c->kind = kinds[change->kind].kind;
    if (change->aspects) {
        c->changed = g_array_new(FALSE, FALSE, sizeof(ImageChangeAspect));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(aspects); i++) {
        if (change->aspects & aspects[i].bit) {
            g_array_append_val(c->changed, aspects[i].aspect);
        }
    }
    c->before = change->before ? change_file_new(change->before) : NULL;
    c->after = change->after ? change_file_new(change->after) : NULL;
    c->has_similarity = change->has_similarity;
    c->similarity = change->similarity;
    g_string_append(o->out, o->printed ? ",\n    " : "\n    ");
    qapi_object_print(&qapi_type_image_change, c, true, 1, o->out);
}

static bool take_change(const EngramDiffChange *change, void *opaque, GError **errp)
{
    Diff *o = opaque;
    const EngramDiffFile *file = change->after ? change->after : change->before;

    o->totals[change->kind].files++;
    if (S_ISREG(file->mode)) {
        o->totals[change->kind].bytes += file->size;
    }
    if (o->stat || o->quiet) {
        return true;
    }
    if (o->json) {
        append_json(o, change);
    } else {
        append_line(o, change);
    }
    o->printed++;
    return o->out->len < OUT_BYTES || flush_out(o, errp);
}

static void print_stat_json(const Diff *o)
{
    g_autoptr(ImageChangeStat) stat = image_change_stat_new0();
    ImageChangeTotals **const places[ENGRAM_DIFF_KINDS] = {
        [ENGRAM_DIFF_ADDED] = &stat->added,       [ENGRAM_DIFF_REMOVED] = &stat->removed,
        [ENGRAM_DIFF_MODIFIED] = &stat->modified, [ENGRAM_DIFF_METADATA] = &stat->metadata,
        [ENGRAM_DIFF_TYPE] = &stat->type,         [ENGRAM_DIFF_RENAMED] = &stat->renamed,
        [ENGRAM_DIFF_UNKNOWN] = &stat->unknown,
    };

    for (unsigned i = 0; i < ENGRAM_DIFF_KINDS; i++) {
        *places[i] = image_change_totals_new0();
        **places[i] = o->totals[i];
    }
    report_json(&qapi_type_image_change_stat, stat);
}

static void print_stat_lines(const Diff *o)
{
    for (unsigned i = 0; i < ENGRAM_DIFF_KINDS; i++) {
        if (i == ENGRAM_DIFF_UNKNOWN && !o->totals[i].files) {
            continue;
        }
        g_autofree char *size = report_size(o->totals[i].bytes);
        printf("%-14s %10" PRIu64 " files %12s\n", kinds[i].text, o->totals[i].files, size);
    }
}

static bool finish_output(Diff *o, GError **errp)
{
    if (o->quiet) {
        return true;
    }
    if (o->stat && o->json) {
        print_stat_json(o);
    } else if (o->stat) {
        print_stat_lines(o);
    } else if (o->json) {
        g_string_append(o->out, o->printed ? "\n]\n" : "]\n");
    }
    return flush_out(o, errp);
}

/* A file of that whole name comes first, whatever is in it. */
static bool coroutine_fn co_open_side(DiffSide *side)
{
    const char *colon = strstr(side->name, ":/");
    g_autofree char *image = NULL;

    if (colon && !side->image.image_opts && access(side->name, F_OK) != 0) {
        image = g_strndup(side->name, colon - side->name);
        side->path = tree_show_path(colon + 1);
        if (!*side->path) {
            g_clear_pointer(&side->path, g_free);
        }
    }
    side->disk = image_co_open_disk(image ? image : side->name, &side->image,
                                    side->snapshot);
    return side->disk != NULL;
}

/* Images of one format that have digests of all that is on them. */
static bool are_identical(const Diff *o)
{
    BlockDriverState *a = blk_bs(o->side[0].disk), *b = blk_bs(o->side[1].disk);
    uint8_t digests[2][BDRV_DIGEST_BYTES];

    return !o->side[0].path && !o->side[1].path &&
           strcmp(bdrv_format_name(a), bdrv_format_name(b)) == 0 &&
           bdrv_content_digest(a, digests[0]) && bdrv_content_digest(b, digests[1]) &&
           memcmp(digests[0], digests[1], BDRV_DIGEST_BYTES) == 0;
}

/* What is on a volume may differ without being seen. */
static bool coroutine_fn co_warn_of_volumes(const DiffSide *side, GError **errp)
{
    g_autoptr(VolumeTable) table = volume_table_co_open(side->disk, errp);

    for (guint i = 0; table && i < table->volumes->len; i++) {
        const Volume *volume = g_ptr_array_index(table->volumes, i);

        if (!volume->holds_others && volume->fs_driver && !volume->fs_driver->fs_co_open &&
            g_strcmp0(volume->info->filesystem, "swap") != 0) {
            report_warning("%s: volume %s is left out: %s is not read by this version",
                           side->name, volume->info->path, volume->info->filesystem);
        }
    }
    return table != NULL;
}

/* Digests have to be made in the same way: as one of the images has them. */
static bool coroutine_fn co_open_catalogs(Diff *o, GError **errp)
{
    ChunkerParams params;
    bool found = false;

    for (unsigned i = 0; i < 2 && !found; i++) {
        if (!engram_catalog_co_chunker(o->side[i].disk, &params, &found, errp)) {
            return false;
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        if (!o->side[i].path && !co_warn_of_volumes(&o->side[i], errp)) {
            return false;
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        const EngramCatalogOptions options = {
            .path = o->side[i].path,
            .chunker = found ? &params : NULL,
        };
        o->side[i].catalog =
            engram_catalog_co_open(o->side[i].disk, &options, o->meter, errp);
        if (!o->side[i].catalog) {
            return false;
        }
    }
    return true;
}

static bool coroutine_fn co_compare(Diff *o, EngramDiffResult *result, GError **errp)
{
    if (o->json && !o->stat) {
        g_string_append_c(o->out, '[');
    }
    if (!are_identical(o) &&
        !(co_open_catalogs(o, errp) &&
          engram_diff_co_run(o->side[0].catalog, o->side[1].catalog, &o->options,
                             take_change, o, result, errp))) {
        return false;
    }
    return finish_output(o, errp);
}

static int status_of(const Diff *o, const EngramDiffResult *result)
{
    uint64_t different = 0;

    for (unsigned i = 0; i < ENGRAM_DIFF_KINDS; i++) {
        different += result->files[i];
    }
    if (result->files[ENGRAM_DIFF_UNKNOWN]) {
        report_error("%" PRIu64 " files cannot be compared, since not all of them could be "
                     "read",
                     result->files[ENGRAM_DIFF_UNKNOWN]);
        return DIFF_TROUBLE;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (o->side[i].catalog && o->side[i].catalog->damages) {
            report_error("%s could not be read in full", o->side[i].name);
            return DIFF_TROUBLE;
        }
    }
    return different ? DIFF_DIFFERENT : DIFF_SAME;
}

static int coroutine_fn co_diff(void *opaque)
{
    Diff *o = opaque;
    g_autoptr(Progress) progress = image_progress_new(o->progress && !o->quiet);
    g_auto(EngramDiffResult) result = {0};
    GError *error = NULL;

    o->meter = progress;
    o->out = g_string_new(NULL);
    int status = DIFF_TROUBLE;
    if (co_open_side(&o->side[0]) && co_open_side(&o->side[1])) {
        if (!co_compare(o, &result, &error)) {
            progress_interrupt(progress);
            report_gerror(error);
        } else {
            status = status_of(o, &result);
        }
    }
    if (result.no_likeness) {
        report_warning("likeness is left out: %s", result.no_likeness);
    }
    if (result.no_renames) {
        report_warning("not all renames are known: %s", result.no_renames);
    }
    for (unsigned i = 0; i < 2; i++) {
        engram_catalog_free(o->side[i].catalog);
        blk_unref(o->side[i].disk);
        g_free(o->side[i].path);
    }
    g_string_free(o->out, TRUE);
    return status;
}

static bool check_options(const Diff *o)
{
    double least = o->options.min_similarity;

    if (!(least >= 0 && least <= 1)) {
        report_error("--min-similarity: %g is not between 0 and 1", least);
        return false;
    }
    return image_options_check(&o->side[0].image) &&
           image_options_check(&o->side[1].image);
}

int img_diff(int argc, char **argv)
{
    g_auto(ImageOptions) first = {0}, second = {0};
    g_auto(GStrv) names = NULL;
    g_autofree char *output = NULL, *snapshot = NULL, *second_snapshot = NULL;
    gboolean no_renames = FALSE;
    Diff o = {.options.min_similarity = ENGRAM_DIFF_SIMILARITY_DEFAULT};
    const GOptionEntry entries[] = {
        IMAGE_OPTION_ENTRIES(&first),
        IMAGE_FAT_OPTION_ENTRY(&first),
        {"second-format", 'F', 0, G_OPTION_ARG_STRING, &second.format,
         "Format of the second image", "FMT"},
        IMAGE_CACHE_OPTION_ENTRY(&first),
        SNAPSHOT_OPTION_ENTRY('l', &snapshot),
        {"second-snapshot", 'L', 0, G_OPTION_ARG_STRING, &second_snapshot,
         "The same of the second image", "ID_OR_NAME"},
        {"stat", 0, 0, G_OPTION_ARG_NONE, &o.stat,
         "Only how many files differ in which way", NULL},
        {"no-renames", 0, 0, G_OPTION_ARG_NONE, &no_renames,
         "Do not look for files that have another path", NULL},
        {"min-similarity", 0, 0, G_OPTION_ARG_DOUBLE, &o.options.min_similarity,
         "Least similarity of renames, times the ratio of sizes; 0.7 by default", "X"},
        {"progress", 'p', 0, G_OPTION_ARG_NONE, &o.progress, "Show progress", NULL},
        {"quiet", 'q', 0, G_OPTION_ARG_NONE, &o.quiet, "Print errors only", NULL},
        OUTPUT_OPTION_ENTRY(&output),
        {NULL},
    };
    const CommandSyntax syntax = {
        .summary =
            "Compares the files of two images, or of what is at a path in them. Exits "
            "with 0 if they are\nthe same, 1 if they differ, and 2 if not all could be "
            "compared.\nShows A (added), D (removed), M (modified), m (metadata only), T "
            "(other type),\nR (renamed) or ? (not known), how alike the contents are, "
            "and what else differs.",
        .parameters = "IMAGE1[:/PATH] IMAGE2[:/PATH]",
        .entries = entries,
        .min_names = 2,
        .max_names = 2,
        .names_expected = "Expecting two image file names",
        .misuse_status = DIFF_TROUBLE,
    };
    int status;

    if (!options_parse(&syntax, argc, argv, &names, &status)) {
        return status;
    }
    second.cache = g_strdup(first.cache);
    second.image_opts = first.image_opts;
    o.options.no_renames = no_renames;
    o.side[0] = (DiffSide){.name = names[0], .image = first, .snapshot = snapshot};
    o.side[1] = (DiffSide){.name = names[1], .image = second, .snapshot = second_snapshot};
    if (!options_output_format(output, &o.json) || !check_options(&o)) {
        return DIFF_TROUBLE;
    }
    o.terminal = isatty(STDOUT_FILENO);
    return image_run(co_diff, &o, DIFF_TROUBLE);
}
