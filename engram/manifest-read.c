/*
 * Reading manifests.
 */
#include "engram/manifest.h"

#include <sys/stat.h>

#include "util/byte-reader.h"
#include "util/error.h"
#include "util/units.h"

enum { MAX_PATH_BYTES = 65535 };

static void G_GNUC_PRINTF(4, 5) set_corrupt(GError **errp, const EngramManifestReader *m,
                                            uint64_t offset, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    g_autofree char *text = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_set_error(errp, EMBR_ERROR, EMBR_ERROR_CORRUPT, "%s: manifest object at offset 0x%" PRIx64
                ": %s", bdrv_filename(m->file->file), offset, text);
}

static bool check_pages(EngramManifestReader *m, const EngramManifestPage *pages, uint32_t n,
                        uint64_t expected, const char *what, GError **errp)
{
    uint64_t next = 0;

    for (uint32_t i = 0; i < n; i++) {
        uint32_t entries = le32_get(pages[i].entries);

        if (le64_get(pages[i].first) != next || !entries) {
            set_corrupt(errp, m, m->offset,
                        "page %" PRIu32 " of %s has %" PRIu32 " entries from number %" PRIu64
                        " on, expected some from number %" PRIu64 " on",
                        i, what, entries, le64_get(pages[i].first), next);
            return false;
        }
        next += entries;
    }
    if (next != expected) {
        set_corrupt(errp, m, m->offset,
                    "%" PRIu64 " entries in the pages of %s, expected %" PRIu64, next, what,
                    expected);
        return false;
    }
    return true;
}

static bool check_volumes(EngramManifestReader *m, GError **errp)
{
    uint64_t next = 0;

    for (uint32_t i = 0; i < m->n_volumes; i++) {
        uint64_t first = le64_get(m->volumes[i].first);
        uint64_t entries = le64_get(m->volumes[i].entries);

        if (first != next || entries > m->n_entries - next) {
            set_corrupt(errp, m, m->offset,
                        "volume %" PRIu32 " has %" PRIu64 " entries from number %" PRIu64
                        " on, expected at most %" PRIu64 " from number %" PRIu64 " on",
                        i, entries, first, m->n_entries - next, next);
            return false;
        }
        next += entries;
    }
    if (next != m->n_entries) {
        set_corrupt(errp, m, m->offset,
                    "%" PRIu64 " entries in its volumes, expected %" PRIu64, next,
                    m->n_entries);
        return false;
    }
    return true;
}

/* Folders that follow from the volumes' numbers. */
static bool make_folders(EngramManifestReader *m)
{
    m->folders = g_ptr_array_new_with_free_func(g_free);
    for (uint32_t i = 0; i < m->n_volumes; i++) {
        uint32_t number = le32_get(m->volumes[i].number);

        g_ptr_array_add(m->folders, number ? g_strdup_printf("p%" PRIu32, number)
                                           : g_strdup(""));
    }
    return true;
}

/* Whether paths with that name in them lead to where they seem to. */
static bool is_folder(const char *name)
{
    g_auto(GStrv) parts = g_strsplit(name, "/", -1);

    for (char **part = parts; *part; part++) {
        if (!**part || !strcmp(*part, ".") || !strcmp(*part, "..")) {
            return false;
        }
    }
    return true;
}

static bool read_folders(EngramManifestReader *m, ByteReader *r, GError **errp)
{
    m->folders = g_ptr_array_new_with_free_func(g_free);
    for (uint32_t i = 0; i < m->n_volumes; i++) {
        size_t left = byte_reader_left(r);
        const char *name = byte_reader_take(r, 0);
        const char *end = left ? memchr(name, 0, left) : NULL;

        if (!end || !is_folder(name)) {
            set_corrupt(errp, m, m->offset, "volume %" PRIu32 " has no name for its folder",
                        i);
            return false;
        }
        g_ptr_array_add(m->folders, g_strdup(name));
        byte_reader_take(r, end - name + 1);
    }
    if (byte_reader_left(r)) {
        set_corrupt(errp, m, m->offset, "%zu bytes behind the names of volumes",
                    byte_reader_left(r));
        return false;
    }
    return true;
}

EngramManifestReader *coroutine_fn engram_manifest_co_open(EngramFile *f,
                                                           const EngramImage *image,
                                                           GError **errp)
{
    g_autoptr(EngramManifestReader) m = g_new0(EngramManifestReader, 1);
    EngramManifestRoot root = { 0 };
    uint32_t size = le32_get(image->manifest.raw);
    ByteReader r;

    m->file = f;
    m->offset = le64_get(image->manifest.offset);
    m->raw = engram_file_co_load(f, &image->manifest, ENGRAM_OBJECT_MANIFEST, NULL, errp);
    if (!m->raw) {
        return NULL;
    }
    byte_reader_init(&r, m->raw, size);
    const void *head = byte_reader_take(&r, sizeof(root));
    if (head) {
        memcpy(&root, head, sizeof(root));
    }
    m->n_entries = le64_get(root.entries);
    m->n_vectors = le64_get(root.vectors);
    m->hypervector_dimension = le32_get(root.hypervector_dimension);
    m->hypervector_encoding = le32_get(root.hypervector_encoding);
    m->n_file_pages = le32_get(root.file_pages);
    m->n_vector_pages = le32_get(root.vector_pages);
    m->n_volumes = le32_get(root.volumes);
    m->file_pages = byte_reader_take(&r, (size_t)m->n_file_pages * sizeof(*m->file_pages));
    m->vector_pages =
        byte_reader_take(&r, (size_t)m->n_vector_pages * sizeof(*m->vector_pages));
    m->volumes = byte_reader_take(&r, (size_t)m->n_volumes * sizeof(*m->volumes));
    bool has_names = le32_get(root.has_names);
    if (r.bad || (!has_names && byte_reader_left(&r))) {
        set_corrupt(errp, m, m->offset,
                    "%" PRIu32 " bytes for %" PRIu32 " pages of files, %" PRIu32
                    " of vectors and %" PRIu32 " volumes",
                    size, m->n_file_pages, m->n_vector_pages, m->n_volumes);
        return NULL;
    }
    if (!check_pages(m, m->file_pages, m->n_file_pages, m->n_entries, "files", errp) ||
        !check_pages(m, m->vector_pages, m->n_vector_pages, m->n_vectors, "vectors", errp) ||
        !check_volumes(m, errp) ||
        !(has_names ? read_folders(m, &r, errp) : make_folders(m))) {
        return NULL;
    }
    return g_steal_pointer(&m);
}

void engram_manifest_free(EngramManifestReader *m)
{
    if (!m) {
        return;
    }
    g_clear_pointer(&m->folders, g_ptr_array_unref);
    g_free(m->raw);
    g_free(m);
}

void engram_file_iter_init(EngramFileIter *it, EngramManifestReader *m, uint64_t first,
                           uint64_t count)
{
    memset(it, 0, sizeof(*it));
    it->m = m;
    it->next = MIN(first, m->n_entries);
    it->end = it->next + MIN(count, m->n_entries - it->next);
    it->path = g_byte_array_new();
}

void engram_file_iter_clear(EngramFileIter *it)
{
    g_clear_pointer(&it->data, g_free);
    g_clear_pointer(&it->path, g_byte_array_unref);
}

static uint64_t iter_offset(const EngramFileIter *it)
{
    return le64_get(it->m->file_pages[it->page].ref.offset);
}

/* Takes the entry at it->pos: its path is in it->path after this. */
static bool take_entry(EngramFileIter *it, EngramFileInfo *info, GError **errp)
{
    EngramFileEntry entry = { 0 };
    ByteReader r;

    byte_reader_init(&r, it->data, it->size);
    byte_reader_seek(&r, it->pos);
    const void *head = byte_reader_take(&r, sizeof(entry));
    if (head) {
        memcpy(&entry, head, sizeof(entry));
    }
    uint16_t shared = le16_get(entry.shared);
    uint16_t suffix_bytes = le16_get(entry.suffix);
    const void *suffix = byte_reader_take(&r, suffix_bytes);
    const void *digest = entry.flags & ENGRAM_FILE_HAS_DIGEST
                             ? byte_reader_take(&r, ENGRAM_DIGEST_BYTES)
                             : NULL;
    uint64_t below =
        digest && S_ISDIR(le32_get(entry.mode)) ? byte_reader_le64(&r) : 0;
    const void *attributes = entry.flags & ENGRAM_FILE_HAS_ATTRIBUTES
                                 ? byte_reader_take(&r, ENGRAM_DIGEST_BYTES)
                                 : NULL;
    guint before = it->path->len ? it->path->len - 1 : 0;      /* without its NUL */

    if (r.bad || shared > before || shared + suffix_bytes > MAX_PATH_BYTES ||
        memchr(suffix, '\0', suffix_bytes)) {
        set_corrupt(errp, it->m, iter_offset(it),
                    "file entry at byte %zu of %zu is cut off or has a bad path (%d bytes of "
                    "the %u before it, then %d)",
                    it->pos, it->size, shared, before, suffix_bytes);
        return false;
    }
    if (le32_get(entry.mtime_nsec) >= 1000000000) {
        set_corrupt(errp, it->m, iter_offset(it),
                    "file entry at byte %zu has %" PRIu32 " nanoseconds in its time",
                    it->pos, le32_get(entry.mtime_nsec));
        return false;
    }
    g_byte_array_set_size(it->path, shared);
    g_byte_array_append(it->path, suffix, suffix_bytes);
    g_byte_array_append(it->path, (const uint8_t *)"", 1);
    it->pos = r.pos;
    *info = (EngramFileInfo){
        .path_bytes = it->path->len - 1,
        .path = (const char *)it->path->data,
        .ino = le64_get(entry.ino),
        .size = le64_get(entry.size),
        .mtime_sec = (int64_t)le64_get(entry.mtime_sec),
        .mtime_nsec = le32_get(entry.mtime_nsec),
        .mode = le32_get(entry.mode),
        .uid = le32_get(entry.uid),
        .gid = le32_get(entry.gid),
        .flags = entry.flags,
        .profile = entry.profile,
        .digest = digest,
        .below = below,
        .attributes = attributes,
    };
    return true;
}

/* Loads the page that holds entry it->next and goes to that entry. */
static bool coroutine_fn co_load_file_page(EngramFileIter *it, GError **errp)
{
    EngramManifestReader *m = it->m;
    uint32_t low = it->page, high = m->n_file_pages;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (le64_get(m->file_pages[middle].first) <= it->next) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const EngramManifestPage *page = &m->file_pages[low];
    it->page = low;
    g_free(it->data);
    it->data = engram_file_co_load(m->file, &page->ref, ENGRAM_OBJECT_FILES, NULL, errp);
    if (!it->data) {
        return false;
    }
    it->size = le32_get(page->ref.raw);
    it->pos = 0;
    it->page_end = le64_get(page->first) + le32_get(page->entries);
    g_byte_array_set_size(it->path, 0);
    for (uint64_t n = le64_get(page->first); n < it->next; n++) {
        EngramFileInfo skipped;

        if (!take_entry(it, &skipped, errp)) {
            return false;
        }
    }
    return true;
}

int coroutine_fn engram_file_iter_co_next(EngramFileIter *it, EngramFileInfo *info,
                                          GError **errp)
{
    EngramManifestReader *m = it->m;

    if (it->next >= it->end) {
        return 0;
    }
    if (it->next >= it->page_end && !co_load_file_page(it, errp)) {
        return -1;
    }
    if (!take_entry(it, info, errp)) {
        return -1;
    }
    while (it->next - le64_get(m->volumes[it->volume].first) >=
           le64_get(m->volumes[it->volume].entries)) {
        it->volume++;
    }
    const EngramManifestVolume *volume = &m->volumes[it->volume];
    uint64_t left = le64_get(volume->first) + le64_get(volume->entries) - it->next - 1;
    if (info->below > left) {
        set_corrupt(errp, m, iter_offset(it),
                    "directory of entry %" PRIu64 " has %" PRIu64
                    " entries below it, expected at most %" PRIu64,
                    it->next, info->below, left);
        return -1;
    }
    info->number = it->next++;
    info->volume = it->volume;
    if (it->next == it->page_end && it->pos != it->size) {
        set_corrupt(errp, m, iter_offset(it),
                    "%zu bytes after the last of its file entries", it->size - it->pos);
        return -1;
    }
    return 1;
}

bool engram_file_iter_skip(EngramFileIter *it, uint64_t count, GError **errp)
{
    uint64_t target = it->next + MIN(count, it->end - it->next);

    for (; it->next < MIN(target, it->page_end); it->next++) {
        EngramFileInfo skipped;

        if (!take_entry(it, &skipped, errp)) {
            return false;
        }
    }
    it->next = target;
    return true;
}

void engram_vector_iter_init(EngramVectorIter *it, EngramManifestReader *m)
{
    memset(it, 0, sizeof(*it));
    it->m = m;
}

void engram_vector_iter_clear(EngramVectorIter *it)
{
    g_clear_pointer(&it->data, g_free);
}

bool engram_manifest_take_vector(const EngramManifestReader *m, uint32_t page,
                                 const uint8_t *data, size_t size, size_t *pos,
                                 EngramVectorInfo *info, GError **errp)
{
    EngramVectorEntry entry = { 0 };
    ByteReader r;

    byte_reader_init(&r, data, size);
    byte_reader_seek(&r, *pos);
    const void *head = byte_reader_take(&r, sizeof(entry));
    if (head) {
        memcpy(&entry, head, sizeof(entry));
    }
    info->entry = le64_get(entry.entry);
    info->bytes = le32_get(entry.bytes);
    info->packed = byte_reader_take(&r, info->bytes);
    if (r.bad || (info->entry >= m->n_entries && info->entry != ENGRAM_VECTOR_OF_IMAGE)) {
        set_corrupt(errp, m, le64_get(m->vector_pages[page].ref.offset),
                    "vector entry at byte %zu of %zu has %" PRIu32
                    " bytes and belongs to file %" PRIu64 " of %" PRIu64,
                    *pos, size, info->bytes, info->entry, m->n_entries);
        return false;
    }
    *pos = r.pos;
    return true;
}

uint32_t engram_manifest_find_vector_page(const EngramManifestReader *m, uint64_t number)
{
    uint32_t low = 0, high = m->n_vector_pages;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (le64_get(m->vector_pages[middle].first) <= number) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

int coroutine_fn engram_vector_iter_co_next(EngramVectorIter *it, EngramVectorInfo *info,
                                            GError **errp)
{
    EngramManifestReader *m = it->m;

    if (it->next >= m->n_vectors) {
        return 0;
    }
    const EngramManifestPage *page = &m->vector_pages[it->page];
    if (it->next >= it->page_end) {
        page = &m->vector_pages[it->page = it->data ? it->page + 1 : 0];
        g_free(it->data);
        it->data = engram_file_co_load(m->file, &page->ref, ENGRAM_OBJECT_VECTORS, NULL, errp);
        if (!it->data) {
            return -1;
        }
        it->size = le32_get(page->ref.raw);
        it->pos = 0;
        it->page_end = le64_get(page->first) + le32_get(page->entries);
    }
    if (!engram_manifest_take_vector(m, it->page, it->data, it->size, &it->pos, info,
                                     errp)) {
        return -1;
    }
    it->next++;
    if (it->next == it->page_end && it->pos != it->size) {
        set_corrupt(errp, m, le64_get(page->ref.offset),
                    "%zu bytes after the last of its vectors", it->size - it->pos);
        return -1;
    }
    return 1;
}
