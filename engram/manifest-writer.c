/*
 * Manifests: entries and content into temporary files, from there into pages.
 */
#include "engram/manifest-writer.h"

#include "engram/tree-digests.h"
#include "engram/tree-vectors.h"
#include "qapi/qapi-types.h"
#include "engram/vector-index-writer.h"
#include "util/error.h"
#include "util/spool.h"
#include "util/units.h"

enum {
    FILES_PAGE_BYTES   = 32 << 10,
    /* A page and one vector more is still decoded without a thread. */
    VECTORS_PAGE_BYTES = (16 << 10) - sizeof(EngramVectorEntry) - VECTOR_PACKED_BYTES_MAX,
    PAGE_LEVEL         = 5,
};

/* A page of entries in the spool; digests are not there yet. */
typedef struct SpooledPage {
    uint64_t offset;
    uint32_t bytes;
    uint32_t entries;
    uint64_t first;
} SpooledPage;

/* What is known of a file's content, at its number times the size of this. */
typedef struct ContentRecord {
    uint8_t known;                  /* 0: nothing was recorded */
    uint8_t has_digest;
    uint8_t profile;
    uint8_t reserved;
    uint32_t vector_bytes;
    uint64_t below;                 /* entries below a directory */
    uint8_t digest[ENGRAM_DIGEST_BYTES];
    uint8_t vector[VECTOR_PACKED_BYTES_MAX];
} ContentRecord;

struct ManifestWriter {
    Spool *entries;
    Spool *content;
    GArray *pages;                  /* of SpooledPage */
    GArray *volumes;                /* of EngramManifestVolume */
    GPtrArray *folders;             /* of char *: where each is in paths, "p3"; "" if bare */
    bool has_names;                 /* one is not of that form */
    GByteArray *page;               /* being filled */
    uint64_t page_first;
    uint64_t count;
    GString *path;                  /* of the entry before in the page */
    /* While finishing. */
    ObjectWriter *out;
    GArray *file_pages, *vector_pages;      /* of EngramManifestPage */
    GByteArray *vectors;            /* the page being filled */
    uint64_t n_vectors, vectors_first;
    VectorIndexWriter *index;
    uint8_t image_vector[VECTOR_PACKED_BYTES_MAX];
    size_t image_vector_bytes;
};

ManifestWriter *manifest_writer_new(const char *spool_dir, GError **errp)
{
    g_autoptr(ManifestWriter) m = g_new0(ManifestWriter, 1);

    m->pages = g_array_new(FALSE, FALSE, sizeof(SpooledPage));
    m->volumes = g_array_new(FALSE, FALSE, sizeof(EngramManifestVolume));
    m->folders = g_ptr_array_new_with_free_func(g_free);
    m->page = g_byte_array_new();
    m->path = g_string_new(NULL);
    m->file_pages = g_array_new(FALSE, FALSE, sizeof(EngramManifestPage));
    m->vector_pages = g_array_new(FALSE, FALSE, sizeof(EngramManifestPage));
    m->vectors = g_byte_array_new();
    m->entries = spool_new(spool_dir, errp);
    m->content = m->entries ? spool_new(spool_dir, errp) : NULL;
    m->index = m->content ? vector_index_writer_new(spool_dir, errp) : NULL;
    return m->index ? g_steal_pointer(&m) : NULL;
}

void manifest_writer_free(ManifestWriter *m)
{
    if (!m) {
        return;
    }
    spool_free(m->entries);
    spool_free(m->content);
    vector_index_writer_free(m->index);
    g_array_unref(m->pages);
    g_array_unref(m->volumes);
    g_ptr_array_unref(m->folders);
    g_byte_array_unref(m->page);
    g_string_free(m->path, TRUE);
    g_array_unref(m->file_pages);
    g_array_unref(m->vector_pages);
    g_byte_array_unref(m->vectors);
    g_free(m);
}

void manifest_writer_begin_volume(ManifestWriter *m, const VolumeInfo *info,
                                  const char *fs_type)
{
    const char *folder = info->path + 1;
    EngramManifestVolume volume = {
        .first = le64_make(m->count),
        .offset = le64_make(info->offset),
        .size = le64_make(info->size),
        .number = le32_make(info->number),
    };

    m->has_names |= *folder && !info->number;
    g_ptr_array_add(m->folders, g_strdup(folder));

    memcpy(volume.fs_type, fs_type, MIN(strlen(fs_type), sizeof(volume.fs_type)));
    g_array_append_val(m->volumes, volume);
}

static bool end_files_page(ManifestWriter *m, GError **errp)
{
    SpooledPage page = {
        .bytes = m->page->len,
        .entries = m->count - m->page_first,
        .first = m->page_first,
    };

    if (!page.entries) {
        return true;
    }
    if (!spool_append(m->entries, m->page->data, m->page->len, &page.offset, errp)) {
        return false;
    }
    g_array_append_val(m->pages, page);
    g_byte_array_set_size(m->page, 0);
    g_string_truncate(m->path, 0);
    m->page_first = m->count;
    return true;
}

static size_t shared_bytes(const char *a, const char *b)
{
    size_t n = 0;

    while (a[n] && a[n] == b[n]) {
        n++;
    }
    return n;
}

bool manifest_writer_add(ManifestWriter *m, const FsWalkEntry *entry, uint8_t flags,
                         const uint8_t *attributes, uint64_t *number, GError **errp)
{
    size_t path_bytes = strlen(entry->path);
    EngramManifestVolume *volume =
        &g_array_index(m->volumes, EngramManifestVolume, m->volumes->len - 1);

    g_assert(path_bytes <= MANIFEST_PATH_BYTES_MAX);
    if (m->page->len >= FILES_PAGE_BYTES && !end_files_page(m, errp)) {
        return false;
    }
    size_t shared = shared_bytes(m->path->str, entry->path);
    EngramFileEntry disk = {
        .ino = le64_make(entry->stat.ino),
        .size = le64_make(entry->stat.size),
        .mtime_sec = le64_make(entry->stat.mtime.sec),
        .mtime_nsec = le32_make(entry->stat.mtime.nsec),
        .mode = le32_make(entry->stat.mode),
        .uid = le32_make(entry->stat.uid),
        .gid = le32_make(entry->stat.gid),
        .shared = le16_make(shared),
        .suffix = le16_make(path_bytes - shared),
        .flags = flags | (attributes ? ENGRAM_FILE_HAS_ATTRIBUTES : 0),
    };

    g_byte_array_append(m->page, (const uint8_t *)&disk, sizeof(disk));
    g_byte_array_append(m->page, (const uint8_t *)entry->path + shared,
                        path_bytes - shared);
    if (attributes) {
        g_byte_array_append(m->page, attributes, ENGRAM_DIGEST_BYTES);
    }
    g_string_assign(m->path, entry->path);
    volume->entries = le64_make(le64_get(volume->entries) + 1);
    *number = m->count++;
    return true;
}

bool manifest_writer_set_content(ManifestWriter *m, uint64_t number, uint8_t profile,
                                 const uint8_t digest[ENGRAM_DIGEST_BYTES],
                                 const void *vector, size_t vector_bytes, GError **errp)
{
    ContentRecord record = {
        .known = 1,
        .has_digest = digest != NULL,
        .profile = profile,
        .vector_bytes = vector_bytes,
    };

    g_assert(vector_bytes <= sizeof(record.vector));
    if (digest) {
        memcpy(record.digest, digest, sizeof(record.digest));
    }
    if (vector_bytes) {
        memcpy(record.vector, vector, vector_bytes);
    }
    return spool_write(m->content, number * sizeof(record), &record,
                       G_STRUCT_OFFSET(ContentRecord, vector) + vector_bytes, errp);
}

uint64_t manifest_writer_count(const ManifestWriter *m)
{
    return m->count;
}

/* The entries of a page as they were spooled. */
static uint8_t *load_page(ManifestWriter *m, const SpooledPage *page, GError **errp)
{
    g_autofree uint8_t *data = g_malloc(page->bytes);

    return spool_read(m->entries, page->offset, data, page->bytes, errp)
               ? g_steal_pointer(&data) : NULL;
}

/* An entry of a spooled page. */
typedef struct SpooledEntry {
    const EngramFileEntry *file;
    const char *suffix;
    const uint8_t *attributes;      /* NULL: not known */
} SpooledEntry;

static SpooledEntry next_entry(const uint8_t **at)
{
    const EngramFileEntry *file = (const EngramFileEntry *)*at;
    SpooledEntry entry = { file, (const char *)(file + 1), NULL };

    *at += sizeof(*file) + le16_get(file->suffix);
    if (file->flags & ENGRAM_FILE_HAS_ATTRIBUTES) {
        entry.attributes = *at;
        *at += ENGRAM_DIGEST_BYTES;
    }
    return entry;
}

/* The path before the entry becomes its own. */
static void move_path(GString *path, const SpooledEntry *entry)
{
    g_string_truncate(path, le16_get(entry->file->shared));
    g_string_append_len(path, entry->suffix, le16_get(entry->file->suffix));
}

/* The page that holds an entry; NULL if it is the one being filled. */
static const SpooledPage *find_page(const ManifestWriter *m, uint64_t number)
{
    guint low = 0, high = m->pages->len;

    if (number >= m->page_first) {
        return NULL;
    }
    while (high - low > 1) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(m->pages, SpooledPage, middle).first <= number) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &g_array_index(m->pages, SpooledPage, low);
}

/* The folder of the volume that an entry is of. */
static const char *find_folder(const ManifestWriter *m, uint64_t number)
{
    guint i = m->volumes->len;

    while (i > 1 &&
           le64_get(g_array_index(m->volumes, EngramManifestVolume, i - 1).first) >
               number) {
        i--;
    }
    return g_ptr_array_index(m->folders, i - 1);
}

char *manifest_writer_path(ManifestWriter *m, uint64_t number)
{
    const SpooledPage *page = number < m->count ? find_page(m, number) : NULL;
    g_autofree uint8_t *data = page ? load_page(m, page, NULL) : NULL;
    const uint8_t *at = data;

    if (!data) {
        return NULL;
    }
    g_autoptr(GString) path = g_string_new(NULL);
    for (uint64_t i = page->first; i <= number; i++) {
        SpooledEntry entry = next_entry(&at);

        move_path(path, &entry);
    }
    const char *folder = find_folder(m, number);
    return g_strdup_printf("%s%s/%s", *folder ? "/" : "", folder, path->str);
}

static bool coroutine_fn co_end_vectors_page(ManifestWriter *m, GError **errp)
{
    EngramManifestPage page = {
        .first = le64_make(m->vectors_first),
        .entries = le32_make(m->n_vectors - m->vectors_first),
    };

    if (m->n_vectors == m->vectors_first) {
        return true;
    }
    if (!object_writer_co_append(m->out, ENGRAM_OBJECT_VECTORS, ENGRAM_LEVEL_STORE,
                                 m->vectors->data, m->vectors->len, &page.ref, errp)) {
        return false;
    }
    g_array_append_val(m->vector_pages, page);
    g_byte_array_set_size(m->vectors, 0);
    m->vectors_first = m->n_vectors;
    return true;
}

static bool coroutine_fn co_add_vector(ManifestWriter *m, uint64_t number,
                                       const void *vector, uint32_t bytes,
                                       GError **errp)
{
    EngramVectorEntry entry = { .entry = le64_make(number), .bytes = le32_make(bytes) };

    g_byte_array_append(m->vectors, (const uint8_t *)&entry, sizeof(entry));
    g_byte_array_append(m->vectors, vector, bytes);
    m->n_vectors++;
    return m->vectors->len < VECTORS_PAGE_BYTES || co_end_vectors_page(m, errp);
}

/* Content records of a page's entries; those behind the last one recorded are empty. */
static ContentRecord *load_content(ManifestWriter *m, const SpooledPage *page,
                                   GError **errp)
{
    g_autofree ContentRecord *records = g_new0(ContentRecord, page->entries);
    uint64_t offset = page->first * sizeof(*records);
    uint64_t size = spool_size(m->content);
    uint64_t bytes = page->entries * sizeof(*records);

    bytes = offset < size ? MIN(bytes, size - offset) : 0;
    if (bytes && !spool_read(m->content, offset, records, bytes, errp)) {
        return NULL;
    }
    return g_steal_pointer(&records);
}

/* An entry with what is known of its content. */
static void complete_entry(GByteArray *out, const SpooledEntry *spooled,
                           const ContentRecord *content)
{
    EngramFileEntry entry = *spooled->file;
    bool directory = S_ISDIR(le32_get(entry.mode));

    if (content->has_digest) {
        entry.flags |= ENGRAM_FILE_HAS_DIGEST;
    } else if (entry.flags & ENGRAM_FILE_HAS_DIGEST) {
        entry.flags = (entry.flags & ~ENGRAM_FILE_HAS_DIGEST) | ENGRAM_FILE_DAMAGED;
    }
    entry.profile = content->profile;
    g_byte_array_append(out, (const uint8_t *)&entry, sizeof(entry));
    g_byte_array_append(out, (const uint8_t *)spooled->suffix, le16_get(entry.suffix));
    if (content->has_digest) {
        le64_t below = le64_make(content->below);

        g_byte_array_append(out, content->digest, sizeof(content->digest));
        g_byte_array_append(out, (const uint8_t *)&below, directory ? sizeof(below) : 0);
    }
    if (spooled->attributes) {
        g_byte_array_append(out, spooled->attributes, ENGRAM_DIGEST_BYTES);
    }
}

static bool record_vector(uint64_t number, const uint8_t *packed, size_t bytes,
                          void *opaque, GError **errp)
{
    return manifest_writer_set_content(opaque, number, 0, NULL, packed, bytes, errp);
}

/* Beside its vector, which is recorded first. */
static bool record_digest(uint64_t number, const uint8_t *digest, uint64_t below,
                          void *opaque, GError **errp)
{
    ManifestWriter *m = opaque;
    const size_t head = G_STRUCT_OFFSET(ContentRecord, vector);
    uint64_t offset = number * sizeof(ContentRecord);
    ContentRecord record = { .known = 1 };

    if (!digest) {
        return true;
    }
    if (range_fits(offset, head, spool_size(m->content)) &&
        !spool_read(m->content, offset, &record, head, errp)) {
        return false;
    }
    record.has_digest = 1;
    record.below = below;
    memcpy(record.digest, digest, sizeof(record.digest));
    return spool_write(m->content, offset, &record, head, errp);
}

/* What is summed up over all entries. */
typedef struct TreeSums {
    TreeVectors *vectors;
    TreeDigests *digests;
    guint volume;                   /* the next one to begin */
} TreeSums;

/* Volumes that begin at or before the entry. */
static bool begin_volumes(ManifestWriter *m, TreeSums *sums, uint64_t number,
                          GError **errp)
{
    for (; sums->volume < m->volumes->len; sums->volume++) {
        const EngramManifestVolume *next =
            &g_array_index(m->volumes, EngramManifestVolume, sums->volume);

        if (le64_get(next->first) > number) {
            break;
        }
        if (!tree_vectors_begin_volume(
                sums->vectors, g_ptr_array_index(m->folders, sums->volume), errp) ||
            !tree_digests_end_volume(sums->digests, errp)) {
            return false;
        }
    }
    return true;
}

static bool add_page_to_tree(ManifestWriter *m, const SpooledPage *page, TreeSums *sums,
                             GError **errp)
{
    g_autofree uint8_t *data = load_page(m, page, errp);
    g_autofree ContentRecord *content = data ? load_content(m, page, errp) : NULL;
    g_autoptr(GString) path = g_string_new(NULL);
    const uint8_t *at = data;

    if (!content) {
        return false;
    }
    for (uint32_t i = 0; i < page->entries; i++) {
        SpooledEntry entry = next_entry(&at);
        TreeDigestsEntry digested = {
            .number = page->first + i,
            .file = entry.file,
            .digest = content[i].has_digest ? content[i].digest : NULL,
            .attributes = entry.attributes,
        };

        move_path(path, &entry);
        digested.path = path->str;
        if (!begin_volumes(m, sums, digested.number, errp) ||
            !tree_vectors_add(sums->vectors, digested.number, path->str,
                              S_ISDIR(le32_get(entry.file->mode)), content[i].vector,
                              content[i].vector_bytes, errp) ||
            !tree_digests_add(sums->digests, &digested, errp)) {
            return false;
        }
    }
    return true;
}

/* Vectors and digests of directories, and the image's vector, once all files are known. */
static bool sum_up_tree(ManifestWriter *m, GError **errp)
{
    g_autoptr(TreeVectors) vectors = tree_vectors_new(record_vector, m);
    g_autoptr(TreeDigests) digests = tree_digests_new(record_digest, m);
    TreeSums sums = { .vectors = vectors, .digests = digests };

    for (guint i = 0; i < m->pages->len; i++) {
        if (!add_page_to_tree(m, &g_array_index(m->pages, SpooledPage, i), &sums,
                              errp)) {
            return false;
        }
    }
    return tree_vectors_finish(vectors, m->image_vector, &m->image_vector_bytes,
                               errp) &&
           tree_digests_end_volume(digests, errp);
}

static bool coroutine_fn co_write_page(ManifestWriter *m, const SpooledPage *page,
                                       GError **errp)
{
    g_autofree uint8_t *data = load_page(m, page, errp);
    g_autofree ContentRecord *content = data ? load_content(m, page, errp) : NULL;
    g_autoptr(GByteArray) raw = g_byte_array_new();
    EngramManifestPage entry = {
        .first = le64_make(page->first),
        .entries = le32_make(page->entries),
    };
    const uint8_t *at = data;

    if (!content) {
        return false;
    }
    for (uint32_t i = 0; i < page->entries; i++) {
        SpooledEntry spooled = next_entry(&at);

        complete_entry(raw, &spooled, &content[i]);
        if (content[i].vector_bytes &&
            (!co_add_vector(m, page->first + i, content[i].vector,
                            content[i].vector_bytes, errp) ||
             !vector_index_writer_add(m->index, S_ISDIR(le32_get(spooled.file->mode)),
                                      content[i].vector, content[i].vector_bytes,
                                      errp))) {
            return false;
        }
    }
    if (!object_writer_co_append(m->out, ENGRAM_OBJECT_FILES, PAGE_LEVEL, raw->data,
                                 raw->len, &entry.ref, errp)) {
        return false;
    }
    g_array_append_val(m->file_pages, entry);
    return true;
}

static bool coroutine_fn co_write_root(ManifestWriter *m, EngramRef *ref, GError **errp)
{
    g_autoptr(GByteArray) raw = g_byte_array_new();
    EngramManifestRoot root = {
        .entries = le64_make(m->count),
        .vectors = le64_make(m->n_vectors),
        .file_pages = le32_make(m->file_pages->len),
        .vector_pages = le32_make(m->vector_pages->len),
        .hypervector_dimension = le32_make(m->n_vectors ? VECTOR_DIMENSION : 0),
        .hypervector_encoding = le32_make(HYPERVEC_ENCODING),
        .volumes = le32_make(m->volumes->len),
        .has_names = le32_make(m->has_names),
    };

    g_byte_array_append(raw, (const uint8_t *)&root, sizeof(root));
    g_byte_array_append(raw, (const uint8_t *)m->file_pages->data,
                        m->file_pages->len * sizeof(EngramManifestPage));
    g_byte_array_append(raw, (const uint8_t *)m->vector_pages->data,
                        m->vector_pages->len * sizeof(EngramManifestPage));
    g_byte_array_append(raw, (const uint8_t *)m->volumes->data,
                        m->volumes->len * sizeof(EngramManifestVolume));
    for (guint i = 0; m->has_names && i < m->folders->len; i++) {
        const char *folder = g_ptr_array_index(m->folders, i);

        g_byte_array_append(raw, (const uint8_t *)folder, strlen(folder) + 1);
    }
    if (raw->len > ENGRAM_MAX_OBJECT_BYTES) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_LIMIT,
                    "%" PRIu64 " files are too many for a manifest", m->count);
        return false;
    }
    return object_writer_co_append(m->out, ENGRAM_OBJECT_MANIFEST, PAGE_LEVEL,
                                   raw->data, raw->len, ref, errp);
}

bool coroutine_fn manifest_writer_co_finish(ManifestWriter *m, ObjectWriter *out,
                                            EngramRef *ref, EngramRef *vector_index,
                                            GError **errp)
{
    m->out = out;
    if (!end_files_page(m, errp) || !sum_up_tree(m, errp)) {
        return false;
    }
    for (guint i = 0; i < m->pages->len; i++) {
        if (!co_write_page(m, &g_array_index(m->pages, SpooledPage, i), errp)) {
            return false;
        }
    }
    if (m->image_vector_bytes &&
        !co_add_vector(m, ENGRAM_VECTOR_OF_IMAGE, m->image_vector,
                       m->image_vector_bytes, errp)) {
        return false;
    }
    return co_end_vectors_page(m, errp) &&
           vector_index_writer_co_finish(m->index, out, vector_index, errp) &&
           co_write_root(m, ref, errp);
}
