#include "engram-builder.h"

#include <hypervec/hypervec.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include "util/units.h"

typedef struct BuiltFrame {
    GByteArray *data;
    GArray *lengths;            /* uint32_t */
    GByteArray *digests;
    EngramRef ref, chunks;      /* once written */
    bool written;
} BuiltFrame;

typedef struct BuiltChunk {
    uint8_t digest[ENGRAM_DIGEST_BYTES];
    uint32_t frame;
    uint32_t position;
    uint32_t length;
} BuiltChunk;

typedef struct BuiltEntry {
    EngramMapKind kind;
    uint32_t length;
    const BuiltChunk *chunk;
} BuiltEntry;

static void sha256(const void *data, size_t len, uint8_t *digest)
{
    EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL);
}

static guint digest_hash(gconstpointer p)
{
    return le32_load(p);
}

static gboolean digest_equal(gconstpointer a, gconstpointer b)
{
    return memcmp(a, b, ENGRAM_DIGEST_BYTES) == 0;
}

static void built_frame_free(void *p)
{
    BuiltFrame *frame = p;

    g_byte_array_unref(frame->data);
    g_array_unref(frame->lengths);
    g_byte_array_unref(frame->digests);
    g_free(frame);
}

EngramBuilder *engram_builder_new(int level, uint32_t chunk_bytes, uint32_t frame_bytes,
                                  unsigned segment_bits)
{
    EngramBuilder *b = g_new0(EngramBuilder, 1);

    b->out = g_byte_array_new();
    g_byte_array_set_size(b->out, ENGRAM_OBJECTS_START);
    memset(b->out->data, 0, b->out->len);
    b->level = level;
    b->chunk_bytes = chunk_bytes;
    b->frame_bytes = frame_bytes;
    b->segment_bits = segment_bits;
    b->chunks = g_hash_table_new_full(digest_hash, digest_equal, NULL, g_free);
    b->frames = g_ptr_array_new_with_free_func(built_frame_free);
    b->images = g_array_new(FALSE, FALSE, sizeof(EngramCommitImage));
    return b;
}

void engram_builder_free(EngramBuilder *b)
{
    g_byte_array_unref(b->out);
    g_hash_table_destroy(b->chunks);
    g_ptr_array_unref(b->frames);
    g_array_unref(b->images);
    g_free(b);
}

static EngramRef append(EngramBuilder *b, EngramObjectType type, const void *raw, size_t len)
{
    return engram_object_append(b->out, 0, type, 0, b->level, raw, len);
}

static void write_frame(EngramBuilder *b, BuiltFrame *frame)
{
    g_autoptr(GByteArray) list = g_byte_array_new();
    EngramChunkList head = { .count = le32_make(frame->lengths->len) };

    frame->ref = append(b, ENGRAM_OBJECT_FRAME, frame->data->data, frame->data->len);
    head.frame = frame->ref;
    g_byte_array_append(list, (uint8_t *)&head, sizeof(head));
    for (guint i = 0; i < frame->lengths->len; i++) {
        le32_t length = le32_make(g_array_index(frame->lengths, uint32_t, i));
        g_byte_array_append(list, (uint8_t *)&length, sizeof(length));
    }
    g_byte_array_append(list, frame->digests->data, frame->digests->len);
    frame->chunks = append(b, ENGRAM_OBJECT_CHUNKS, list->data, list->len);
    frame->written = true;
}

static BuiltFrame *open_frame(EngramBuilder *b)
{
    BuiltFrame *frame =
        b->frames->len ? g_ptr_array_index(b->frames, b->frames->len - 1) : NULL;

    if (frame && !frame->written && frame->data->len < b->frame_bytes) {
        return frame;
    }
    if (frame && !frame->written) {
        write_frame(b, frame);
    }
    frame = g_new0(BuiltFrame, 1);
    frame->data = g_byte_array_new();
    frame->lengths = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    frame->digests = g_byte_array_new();
    g_ptr_array_add(b->frames, frame);
    return frame;
}

static const BuiltChunk *add_chunk(EngramBuilder *b, const uint8_t *data, uint32_t len)
{
    uint8_t digest[ENGRAM_DIGEST_BYTES];

    sha256(data, len, digest);
    BuiltChunk *chunk = g_hash_table_lookup(b->chunks, digest);
    if (chunk) {
        return chunk;
    }
    BuiltFrame *frame = open_frame(b);
    chunk = g_new0(BuiltChunk, 1);
    memcpy(chunk->digest, digest, sizeof(digest));
    chunk->frame = b->frames->len - 1;
    chunk->position = frame->data->len;
    chunk->length = len;
    g_byte_array_append(frame->data, data, len);
    g_array_append_val(frame->lengths, len);
    g_byte_array_append(frame->digests, digest, sizeof(digest));
    g_hash_table_insert(b->chunks, chunk->digest, chunk);
    return chunk;
}

static bool all_bytes(const uint8_t *data, size_t len, uint8_t value)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != value) {
            return false;
        }
    }
    return true;
}

static void add_entry(GArray *entries, EngramMapKind kind, uint32_t length,
                      const BuiltChunk *chunk)
{
    BuiltEntry *last =
        entries->len ? &g_array_index(entries, BuiltEntry, entries->len - 1) : NULL;
    BuiltEntry entry = { kind, length, chunk };

    if (last && last->kind == kind && kind != ENGRAM_MAP_CHUNK) {
        last->length += length;
        return;
    }
    g_array_append_val(entries, entry);
}

static GArray *make_entries(EngramBuilder *b, const uint8_t *data, uint64_t size)
{
    GArray *entries = g_array_new(FALSE, FALSE, sizeof(BuiltEntry));

    for (uint64_t pos = 0; pos < size;) {
        uint32_t n = MIN(b->chunk_bytes, size - pos);

        if (all_bytes(data + pos, n, 0)) {
            add_entry(entries, ENGRAM_MAP_ZERO, n, NULL);
        } else if (all_bytes(data + pos, n, 0xdd)) {
            add_entry(entries, ENGRAM_MAP_DROPPED, n, NULL);
        } else {
            add_entry(entries, ENGRAM_MAP_CHUNK, n, add_chunk(b, data + pos, n));
        }
        pos += n;
    }
    return entries;
}

static void digest_entries(const GArray *entries, uint8_t *digest)
{
    g_autoptr(GByteArray) text = g_byte_array_new();

    for (guint i = 0; i < entries->len; i++) {
        const BuiltEntry *e = &g_array_index(entries, BuiltEntry, i);
        uint8_t kind = e->kind == ENGRAM_MAP_CHUNK;
        uint64_t bytes = e->length;

        while (!kind && i + 1 < entries->len && !e[1].chunk) {
            bytes += (++e)->length;
            i++;
        }
        le64_t length = le64_make(bytes), skip = le64_make(0);
        g_byte_array_append(text, &kind, 1);
        g_byte_array_append(text, (uint8_t *)&length, 8);
        if (kind) {
            g_byte_array_append(text, (uint8_t *)&skip, 8);
            g_byte_array_append(text, e->chunk->digest, ENGRAM_DIGEST_BYTES);
        }
    }
    sha256(text->data, text->len, digest);
}

static EngramRef write_map(EngramBuilder *b, const GArray *entries)
{
    g_autoptr(GByteArray) map = g_byte_array_new();
    GByteArray *columns[5];
    g_autoptr(GArray) used = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    EngramMapHeader head = { .entries = le32_make(entries->len) };

    for (int i = 0; i < 5; i++) {
        columns[i] = g_byte_array_new();
    }
    for (guint i = 0; i < entries->len; i++) {
        const BuiltEntry *e = &g_array_index(entries, BuiltEntry, i);
        uint8_t kind = e->kind;
        le32_t length = le32_make(e->length);
        le32_t position = le32_make(e->chunk ? e->chunk->position : 0);
        le32_t skip = le32_make(0);
        guint at = 0;

        while (e->chunk && at < used->len && g_array_index(used, uint32_t, at) != e->chunk->frame) {
            at++;
        }
        if (e->chunk && at == used->len) {
            g_array_append_val(used, e->chunk->frame);
        }
        le16_t frame = le16_make(at);
        g_byte_array_append(columns[0], &kind, 1);
        g_byte_array_append(columns[1], (uint8_t *)&length, 4);
        g_byte_array_append(columns[2], (uint8_t *)&frame, 2);
        g_byte_array_append(columns[3], (uint8_t *)&position, 4);
        g_byte_array_append(columns[4], (uint8_t *)&skip, 4);
    }
    head.frames = le32_make(used->len);
    g_byte_array_append(map, (uint8_t *)&head, sizeof(head));
    for (guint i = 0; i < used->len; i++) {
        const BuiltFrame *frame =
            g_ptr_array_index(b->frames, g_array_index(used, uint32_t, i));
        EngramMapFrame entry = { .frame = frame->ref };

        g_byte_array_append(map, (uint8_t *)&entry, sizeof(entry));
    }
    for (int i = 0; i < 5; i++) {
        g_byte_array_append(map, columns[i]->data, columns[i]->len);
        g_byte_array_unref(columns[i]);
    }
    return append(b, ENGRAM_OBJECT_MAP, map->data, map->len);
}

static EngramRef write_device_map(EngramBuilder *b, GPtrArray *segments, uint64_t size,
                                  uint8_t *root_digest)
{
    g_autoptr(GByteArray) text = g_byte_array_new();
    g_autoptr(GByteArray) root = g_byte_array_new();
    le64_t numbers[2] = { le64_make(size), le64_make(b->segment_bits) };
    EngramMapRoot head = {
        .virtual_size = le64_make(size),
        .segment_bits = le32_make(b->segment_bits),
        .pages = le32_make(div_round_up(segments->len, ENGRAM_SEGMENTS_PER_PAGE)),
    };

    g_byte_array_append(text, (const uint8_t *)"embr device map", 16);
    g_byte_array_append(text, (uint8_t *)numbers, sizeof(numbers));
    g_byte_array_append(root, (uint8_t *)&head, sizeof(head));
    for (guint i = 0; i < segments->len; i += ENGRAM_SEGMENTS_PER_PAGE) {
        g_autoptr(GByteArray) page = g_byte_array_new();
        g_autoptr(GByteArray) digests = g_byte_array_new();
        uint8_t digest[ENGRAM_DIGEST_BYTES];
        bool any = false;

        for (guint j = i; j < MIN(i + ENGRAM_SEGMENTS_PER_PAGE, segments->len); j++) {
            const GArray *entries = g_ptr_array_index(segments, j);
            EngramSegment segment = { 0 };

            if (entries->len > 1 || g_array_index(entries, BuiltEntry, 0).kind) {
                segment.map = write_map(b, entries);
                any = true;
            }
            digest_entries(entries, segment.digest);
            g_byte_array_append(page, (uint8_t *)&segment, sizeof(segment));
            g_byte_array_append(digests, segment.digest, sizeof(segment.digest));
        }
        sha256(digests->data, digests->len, digest);
        g_byte_array_append(text, digest, sizeof(digest));
        EngramRef ref = any ? append(b, ENGRAM_OBJECT_SEGMENTS, page->data, page->len)
                            : engram_ref_make(0, 0, 0);
        g_byte_array_append(root, (uint8_t *)&ref, sizeof(ref));
    }
    sha256(text->data, text->len, root_digest);
    return append(b, ENGRAM_OBJECT_MAP_ROOT, root->data, root->len);
}

/* No file has extended attributes. */
static void add_file_entry(GByteArray *page, EngramFileEntry entry, const char *path,
                      const uint8_t *digest)
{
    le64_t below = le64_make(1);
    uint8_t attributes[ENGRAM_DIGEST_BYTES];

    entry.mtime_sec = le64_make(-5);
    entry.mtime_nsec = le32_make(999999999);
    entry.suffix = le16_make(strlen(path));
    entry.flags = ENGRAM_FILE_HAS_ATTRIBUTES | (digest ? ENGRAM_FILE_HAS_DIGEST : 0);
    g_byte_array_append(page, (uint8_t *)&entry, sizeof(entry));
    g_byte_array_append(page, (const uint8_t *)path, strlen(path));
    if (digest) {
        g_byte_array_append(page, digest, ENGRAM_DIGEST_BYTES);
        g_byte_array_append(page, (uint8_t *)&below,
                            S_ISDIR(le32_get(entry.mode)) ? sizeof(below) : 0);
    }
    sha256("", 0, attributes);
    g_byte_array_append(page, attributes, sizeof(attributes));
}

enum {
    DIMENSION = HYPERVEC_DIMENSION_DEFAULT,
    WORDS = HYPERVEC_WORDS(DIMENSION),
    SHORT_WORDS = HYPERVEC_WORDS(ENGRAM_SHORT_DIMENSION),
    INDEXED = 3,
};

/* Of file "a", "a/b" and "etc"; the last one is like the first. */
static const struct {
    uint64_t entry;
    const char *content;
} indexed[INDEXED] = { { 1, "a" }, { 2, "a/b" }, { 4, "a" } };

static void make_vector(const HypervecSpace *space, const char *content, uint64_t *v)
{
    g_autofree int32_t *counts = g_new0(int32_t, DIMENSION);

    hypervec_encode(space, counts, content, strlen(content));
    hypervec_threshold(space, v, counts, hypervec_active_default(space));
}

static void append_vector(GByteArray *page, const HypervecSpace *space, uint64_t entry,
                          const uint64_t *v)
{
    uint8_t packed[HYPERVEC_PACKED_BYTES_MAX(DIMENSION)];
    size_t bytes = hypervec_pack(space, packed, v);
    EngramVectorEntry head = { .entry = le64_make(entry), .bytes = le32_make(bytes) };

    g_byte_array_append(page, (uint8_t *)&head, sizeof(head));
    g_byte_array_append(page, packed, bytes);
}

static void append_member(GByteArray *page, uint32_t number, const uint64_t *v)
{
    uint8_t packed[HYPERVEC_PACKED_BYTES_MAX(ENGRAM_SHORT_DIMENSION)];
    uint64_t small[SHORT_WORDS];
    HypervecSpace space;

    hypervec_space_init(&space, ENGRAM_SHORT_DIMENSION);
    memcpy(small, v, sizeof(small) / 2);
    memcpy(small + SHORT_WORDS / 2, v + WORDS / 2, sizeof(small) / 2);
    EngramMember head = { le32_make(number), hypervec_pack(&space, packed, small) };

    g_byte_array_append(page, (uint8_t *)&head, sizeof(head));
    g_byte_array_append(page, packed, head.bytes);
}

/* Clusters: "a" and "etc", in two pages; "a/b"; of directories, one without members. */
static EngramRef write_index(EngramBuilder *b, uint64_t vectors[INDEXED][WORDS])
{
    g_autoptr(GByteArray) page = g_byte_array_new();
    g_autoptr(GByteArray) root = g_byte_array_new();
    EngramManifestPage pages[2] = {
        { .entries = le32_make(1) },
        { .first = le64_make(1), .entries = le32_make(2) },
    };
    const le32_t members[3] = { le32_make(2), le32_make(1), le32_make(0) };
    EngramVectorIndexRoot head = {
        .vectors = le64_make(INDEXED),
        .dimension = le32_make(DIMENSION),
        .short_dimension = le32_make(ENGRAM_SHORT_DIMENSION),
        .clusters = le32_make(3),
        .file_clusters = le32_make(2),
        .pages = le32_make(2),
    };

    append_member(page, 0, vectors[0]);
    pages[0].ref = append(b, ENGRAM_OBJECT_MEMBERS, page->data, page->len);
    g_byte_array_set_size(page, 0);
    append_member(page, 2, vectors[2]);
    append_member(page, 1, vectors[1]);
    pages[1].ref = append(b, ENGRAM_OBJECT_MEMBERS, page->data, page->len);
    g_byte_array_append(root, (uint8_t *)&head, sizeof(head));
    g_byte_array_append(root, (uint8_t *)pages, sizeof(pages));
    g_byte_array_append(root, (const uint8_t *)members, sizeof(members));
    for (int cluster = 0; cluster < 3; cluster++) {
        for (int w = 0; w < WORDS; w++) {
            le64_t word = le64_make(vectors[cluster][w]);
            g_byte_array_append(root, (uint8_t *)&word, sizeof(word));
        }
    }
    return append(b, ENGRAM_OBJECT_VECTOR_INDEX, root->data, root->len);
}

/* The vectors of files, and of the image. */
static void append_vectors(EngramBuilder *b, GByteArray *page, EngramRef *index)
{
    uint64_t vectors[INDEXED][WORDS];
    HypervecSpace space;

    hypervec_space_init(&space, DIMENSION);
    for (int i = 0; i < INDEXED; i++) {
        make_vector(&space, indexed[i].content, vectors[i]);
        append_vector(page, &space, indexed[i].entry, vectors[i]);
    }
    append_vector(page, &space, ENGRAM_VECTOR_OF_IMAGE, vectors[0]);
    *index = write_index(b, vectors);
}

static void add_file(GByteArray *page, const char *path, bool has_digest)
{
    uint8_t digest[ENGRAM_DIGEST_BYTES];
    EngramFileEntry entry = {
        .ino = le64_make(page->len + 2),
        .size = le64_make(1000 + page->len),
        .mode = le32_make(0100644),
    };

    sha256(path, strlen(path), digest);
    add_file_entry(page, entry, path, has_digest ? digest : NULL);
}

void engram_builder_directory_digest(uint8_t digest[ENGRAM_DIGEST_BYTES])
{
    g_autoptr(GByteArray) text = g_byte_array_new();
    const struct {
        le32_t mode, uid, gid;
        le64_t sec;
        le32_t nsec;
    } __attribute__((packed)) metadata = {
        .mode = le32_make(0100644),
        .sec = le64_make(-5),
        .nsec = le32_make(999999999),
    };
    uint8_t sum[ENGRAM_DIGEST_BYTES];

    g_byte_array_append(text, (const uint8_t *)"etc", sizeof("etc"));
    g_byte_array_append(text, (const uint8_t *)&metadata, sizeof(metadata));
    sha256("etc", 3, sum);
    g_byte_array_append(text, sum, sizeof(sum));
    sha256("", 0, sum);
    g_byte_array_append(text, sum, sizeof(sum));
    sha256(text->data, text->len, digest);
}

static void add_directory(GByteArray *page)
{
    uint8_t digest[ENGRAM_DIGEST_BYTES];
    EngramFileEntry entry = {
        .ino = le64_make(2),
        .size = le64_make(4096),
        .mode = le32_make(0040755),
    };

    engram_builder_directory_digest(digest);
    add_file_entry(page, entry, "", digest);
}

/* Files "", "a", "a/b" (p1), "etc" in a directory "" (p2); two pages; a vector of the
 * image. */
static EngramRef write_manifest(EngramBuilder *b, uint64_t size, EngramRef *index)
{
    g_autoptr(GByteArray) page = g_byte_array_new();
    g_autoptr(GByteArray) root = g_byte_array_new();
    EngramManifestPage pages[3] = {
        { .entries = le32_make(2) },
        { .first = le64_make(2), .entries = le32_make(3) },
        { .entries = le32_make(1) },
    };
    EngramManifestVolume volumes[2] = {
        { .entries = le64_make(3), .size = le64_make(size / 2), .number = le32_make(1),
          .fs_type = "ext4" },
        { .first = le64_make(3), .entries = le64_make(2), .offset = le64_make(size / 2),
          .size = le64_make(size / 2), .number = le32_make(2), .fs_type = "vfat" },
    };
    EngramManifestRoot head = {
        .entries = le64_make(5),
        .vectors = le64_make(1),
        .file_pages = le32_make(2),
        .vector_pages = le32_make(1),
        .hypervector_dimension = le32_make(0),
        .hypervector_encoding = le32_make(HYPERVEC_ENCODING),
        .volumes = le32_make(2),
    };
    EngramVectorEntry vector = { .entry = le64_make(ENGRAM_VECTOR_OF_IMAGE),
                                 .bytes = le32_make(5) };

    add_file(page, "", false);
    add_file(page, "a", true);
    pages[0].ref = append(b, ENGRAM_OBJECT_FILES, page->data, page->len);
    g_byte_array_set_size(page, 0);
    add_file(page, "a/b", true);
    add_directory(page);
    add_file(page, "etc", true);
    pages[1].ref = append(b, ENGRAM_OBJECT_FILES, page->data, page->len);
    g_byte_array_set_size(page, 0);
    if (b->with_index) {
        append_vectors(b, page, index);
        head.vectors = le64_make(INDEXED + 1);
        pages[2].entries = le32_make(INDEXED + 1);
        head.hypervector_dimension = le32_make(DIMENSION);
        head.hypervector_encoding = le32_make(HYPERVEC_ENCODING);
    } else {
        g_byte_array_append(page, (uint8_t *)&vector, sizeof(vector));
        g_byte_array_append(page, (const uint8_t *)"01234", 5);
    }
    pages[2].ref = append(b, ENGRAM_OBJECT_VECTORS, page->data, page->len);
    g_byte_array_append(root, (uint8_t *)&head, sizeof(head));
    g_byte_array_append(root, (uint8_t *)pages, sizeof(pages));
    g_byte_array_append(root, (uint8_t *)volumes, sizeof(volumes));
    return append(b, ENGRAM_OBJECT_MANIFEST, root->data, root->len);
}

void engram_builder_add_image(EngramBuilder *b, const char *name, const uint8_t *disk,
                              uint64_t size, bool with_manifest)
{
    g_autoptr(GPtrArray) segments =
        g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
    g_autoptr(GByteArray) text = g_byte_array_new();
    EngramImageRecord record = {
        .virtual_size = le64_make(size),
        .created_ns = le64_make(UINT64_C(1700000000123456789)),
        .name_bytes = le32_make(strlen(name)),
    };
    EngramCommitImage entry = {
        .name_hash = le64_make(engram_checksum(name, strlen(name))),
        .virtual_size = le64_make(size),
    };

    for (uint64_t pos = 0; pos < size; pos += UINT64_C(1) << b->segment_bits) {
        uint64_t n = MIN(UINT64_C(1) << b->segment_bits, size - pos);
        g_ptr_array_add(segments, make_entries(b, disk + pos, n));
    }
    if (b->frames->len) {
        BuiltFrame *last = g_ptr_array_index(b->frames, b->frames->len - 1);
        if (!last->written) {
            write_frame(b, last);
        }
    }
    record.map_root = write_device_map(b, segments, size, record.root_digest);
    if (with_manifest) {
        record.manifest = write_manifest(b, size, &record.vector_index);
    }
    g_byte_array_append(text, (uint8_t *)&record, sizeof(record));
    g_byte_array_append(text, (const uint8_t *)name, strlen(name));
    entry.record = append(b, ENGRAM_OBJECT_IMAGE, text->data, text->len);
    g_array_append_val(b->images, entry);
}

void engram_builder_commit(EngramBuilder *b)
{
    g_autoptr(GByteArray) directory = g_byte_array_new();
    g_autoptr(GByteArray) text = g_byte_array_new();
    static const char profiles[] = "{\"version\": 1, \"profiles\": []}";
    EngramCommit commit = {
        .sequence = le64_make(++b->sequence),
        .previous = b->previous,
        .profiles = append(b, ENGRAM_OBJECT_PROFILES, profiles, strlen(profiles)),
        .chunk_min = le32_make(b->chunk_bytes),
        .chunk_avg = le32_make(b->chunk_bytes),
        .chunk_max = le32_make(b->chunk_bytes),
        .chunker = le32_make(1),
        .frames = le64_make(b->frames->len),
        .chunks = le64_make(g_hash_table_size(b->chunks)),
        .images = le32_make(b->images->len),
        .frame_pages = le32_make(b->frames->len > 0),
    };

    for (guint i = 0; i < b->frames->len; i++) {
        const BuiltFrame *frame = g_ptr_array_index(b->frames, i);
        EngramFrameEntry entry = { frame->ref, frame->chunks };

        g_byte_array_append(directory, (uint8_t *)&entry, sizeof(entry));
    }
    g_byte_array_append(text, (uint8_t *)&commit, sizeof(commit));
    g_byte_array_append(text, (uint8_t *)b->images->data,
                        b->images->len * sizeof(EngramCommitImage));
    if (directory->len) {
        EngramRef page =
            append(b, ENGRAM_OBJECT_FRAME_DIR, directory->data, directory->len);
        g_byte_array_append(text, (uint8_t *)&page, sizeof(page));
    }
    b->previous = append(b, ENGRAM_OBJECT_COMMIT, text->data, text->len);

    EngramSlot *slot = (EngramSlot *)(b->out->data + (b->sequence - 1) % 2 * ENGRAM_SLOT_BYTES);
    memset(slot, 0, sizeof(*slot));
    memcpy(slot->magic, ENGRAM_MAGIC, ENGRAM_MAGIC_BYTES);
    slot->version = le32_make(ENGRAM_VERSION);
    slot->header_bytes = le32_make(88);
    memcpy(slot->uuid, "\x12\x34\x56\x78\x9a\xbc\x4e\xf0\x81\x23\x45\x67\x89\xab\xcd\xef", 16);
    slot->autoclear = le64_make(b->with_index ? ENGRAM_AUTOCLEAR_VECTOR_INDEX : 0);
    slot->sequence = le64_make(b->sequence);
    slot->commit = b->previous;
    slot->end = le64_make(b->out->len);
    slot->checksum = le64_make(engram_checksum(slot, sizeof(*slot) - 8));
}

GBytes *engram_builder_bytes(EngramBuilder *b)
{
    return g_bytes_new(b->out->data, b->out->len);
}

void engram_fix_checksums(uint8_t *data, size_t size)
{
    for (int i = 0; i < ENGRAM_SLOTS; i++) {
        if (range_fits(i * ENGRAM_SLOT_BYTES, ENGRAM_SLOT_BYTES, size)) {
            EngramSlot *slot = (EngramSlot *)(data + i * ENGRAM_SLOT_BYTES);
            slot->checksum = le64_make(engram_checksum(slot, sizeof(*slot) - 8));
        }
    }
    for (size_t at = ENGRAM_OBJECTS_START; range_fits(at, sizeof(EngramObjectHeader), size);
         at += ENGRAM_OBJECT_ALIGN) {
        EngramObjectHeader *h = (EngramObjectHeader *)(data + at);
        uint32_t stored = le32_get(h->stored);

        if (memcmp(h->magic, "EOBJ", 4) == 0 && range_fits(at + sizeof(*h), stored, size)) {
            h->payload_checksum = le64_make(engram_checksum(h + 1, stored));
            h->header_checksum = le64_make(engram_checksum(h, sizeof(*h) - 8));
        }
    }
}
