#include "engram/codebook.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * The digest's first bits pick a shard, those after them a bucket of that shard's
 * table.  A table is sorted by digest: an entry stands in its bucket's slot or behind
 * it, with no gap between.  So a search goes forward from the bucket until it meets
 * something larger or a gap, and a table grows in place, in two passes.
 *
 * Tables lie in pages of their own, since what malloc() keeps between ever growing
 * blocks would come to more than the bound on memory.  A large one grows by a quarter
 * when nine tenths of it are in use, each shard at another time: together they take
 * 30 bytes for each chunk.
 */
enum {
    SHARD_BITS = 6,
    SHARDS = 1 << SHARD_BITS,
    SMALL_PAGES = 16,           /* up to here, a table grows by a page */
};

/* All zero: a gap. */
typedef struct Entry {
    uint64_t high, low;         /* the digest's first 16 bytes, big-endian */
    uint32_t frame;
    uint32_t position : 31;
    uint32_t used : 1;
} Entry;
G_STATIC_ASSERT(sizeof(Entry) == 24);

typedef struct Shard {
    Entry *slots;
    size_t mapped;              /* pages of them */
    size_t n_slots;             /* more than buckets; the last one is always a gap */
    size_t buckets;
    size_t pages;               /* that the buckets were made for */
    size_t count;
} Shard;

struct Codebook {
    uint64_t count;
    Shard shards[SHARDS];
};

typedef struct Key {
    uint64_t high, low;
} Key;

static size_t page_bytes(void)
{
    return sysconf(_SC_PAGESIZE);
}

Codebook *codebook_new(void)
{
    return g_new0(Codebook, 1);
}

void codebook_free(Codebook *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        if (c->shards[i].slots) {
            munmap(c->shards[i].slots, c->shards[i].mapped * page_bytes());
        }
    }
    g_free(c);
}

uint64_t codebook_count(const Codebook *c)
{
    return c->count;
}

size_t codebook_memory(const Codebook *c)
{
    size_t bytes = sizeof(*c);

    for (size_t i = 0; i < SHARDS; i++) {
        bytes += c->shards[i].mapped * page_bytes();
    }
    return bytes;
}

static Key key_of(const uint8_t *digest)
{
    return (Key){ .high = be64_load(digest), .low = be64_load(digest + 8) };
}

static size_t shard_of(Key key)
{
    return key.high >> (64 - SHARD_BITS);
}

/* Does not fall when the key rises. */
static size_t bucket_of(uint64_t high, size_t buckets)
{
    return ((high << SHARD_BITS >> 32) * buckets) >> 32;
}

static bool is_below(const Entry *entry, Key key)
{
    return entry->high < key.high || (entry->high == key.high && entry->low < key.low);
}

/* The slot of key, or the one where it should be. */
static Entry *search(const Shard *shard, Key key)
{
    Entry *entry = shard->slots + bucket_of(key.high, shard->buckets);

    while (entry->used && is_below(entry, key)) {
        entry++;
    }
    return entry;
}

static bool is_at(const Entry *entry, Key key)
{
    return entry->used && entry->high == key.high && entry->low == key.low;
}

/* New slots are gaps. */
static void map_slots(Shard *shard, size_t pages)
{
    size_t bytes = pages * page_bytes();
    void *slots = shard->slots
                      ? mremap(shard->slots, shard->mapped * page_bytes(), bytes,
                               MREMAP_MAYMOVE)
                      : mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (slots == MAP_FAILED) {
        g_error("codebook: cannot allocate %zu bytes: %s", bytes, g_strerror(errno));
    }
    shard->slots = slots;
    shard->mapped = pages;
    shard->n_slots = bytes / sizeof(Entry);
}

/*
 * Moves the entries of the first old_slots to the end of the table.  *needed: slots it
 * takes to spread them over the buckets.  Returns the slot of the first.  Both passes
 * do without branches on what is in a slot, which nobody can predict.
 */
static size_t pack(Shard *shard, size_t old_slots, size_t *needed)
{
    size_t to = shard->n_slots;

    *needed = shard->buckets;
    for (size_t from = old_slots; from-- > 0;) {
        Entry entry = shard->slots[from];
        size_t end;

        shard->slots[to - 1] = entry;
        to -= entry.used;
        end = bucket_of(entry.high, shard->buckets) + (shard->n_slots - to);
        *needed = MAX(*needed, entry.used ? end : 0);
    }
    return to;
}

/* Puts the entries from first on, packed, into their buckets or behind them. */
static void spread(Shard *shard, size_t first)
{
    size_t to = 0;

    memset(shard->slots, 0, first * sizeof(Entry));
    for (size_t from = first; from < shard->n_slots; from++) {
        Entry entry = shard->slots[from];
        size_t bucket = bucket_of(entry.high, shard->buckets);

        shard->slots[from] = (Entry){ 0 };
        to = MAX(to, bucket);
        shard->slots[to++] = entry;
    }
}

/* Moves the entries into a table of at least that many pages. */
static void rehash(Shard *shard, size_t buckets, size_t pages)
{
    size_t old_slots = shard->n_slots;
    size_t needed, first;

    shard->buckets = buckets;
    map_slots(shard, MAX(pages, shard->mapped));
    first = pack(shard, old_slots, &needed);
    while (needed >= shard->n_slots) {
        old_slots = shard->n_slots;
        map_slots(shard, shard->mapped + MAX(shard->mapped / 16, 1));
        first = pack(shard, old_slots, &needed);
    }
    spread(shard, first);
}

/* The slots behind the last bucket are for the entries that are pushed out of it. */
static void grow(Shard *shard, size_t pages)
{
    size_t slots = pages * page_bytes() / sizeof(Entry);

    shard->pages = pages;
    rehash(shard, slots - slots / 128 - 8, pages);
}

static void add_slots(Shard *shard)
{
    rehash(shard, shard->buckets, shard->mapped + MAX(shard->mapped / 16, 1));
}

static size_t next_pages(const Codebook *c, const Shard *shard)
{
    size_t number = shard - c->shards;

    if (shard->pages < SMALL_PAGES) {
        return shard->pages + 1;
    }
    if (shard->pages == SMALL_PAGES) {
        return shard->pages + 1 + SMALL_PAGES / 4 * number / SHARDS;
    }
    return shard->pages + shard->pages / 4;
}

static bool is_full(const Shard *shard)
{
    return shard->count >= shard->buckets / 10 * 9;
}

static Entry *gap_after(Entry *entry)
{
    while (entry->used) {
        entry++;
    }
    return entry;
}

static void add(Codebook *c, Shard *shard, Key key, const CodebookPlace *place)
{
    Entry *entry, *gap;

    if (is_full(shard)) {
        grow(shard, next_pages(c, shard));
    }
    entry = search(shard, key);
    gap = gap_after(entry);
    if (gap == shard->slots + shard->n_slots - 1) {
        add_slots(shard);
        entry = search(shard, key);
        gap = gap_after(entry);
    }
    memmove(entry + 1, entry, (gap - entry) * sizeof(*entry));
    *entry = (Entry){
        .high = key.high,
        .low = key.low,
        .frame = place->frame,
        .position = place->position,
        .used = 1,
    };
    shard->count++;
    c->count++;
}

static bool find(const Shard *shard, Key key, CodebookPlace *place)
{
    const Entry *entry;

    if (!shard->slots) {
        return false;
    }
    entry = search(shard, key);
    if (!is_at(entry, key)) {
        return false;
    }
    place->frame = entry->frame;
    place->position = entry->position;
    return true;
}

bool codebook_find(const Codebook *c, const uint8_t digest[ENGRAM_DIGEST_BYTES],
                   CodebookPlace *place)
{
    Key key = key_of(digest);

    return find(&c->shards[shard_of(key)], key, place);
}

bool codebook_find_or_add(Codebook *c, const uint8_t digest[ENGRAM_DIGEST_BYTES],
                          CodebookPlace *place)
{
    Key key = key_of(digest);
    Shard *shard = &c->shards[shard_of(key)];

    if (find(shard, key, place)) {
        return true;
    }
    g_assert(place->position <= INT32_MAX);
    add(c, shard, key, place);
    return false;
}
