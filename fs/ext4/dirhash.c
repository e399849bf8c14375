/*
 * Hashed directories: the hashes of names, and the way through the index.
 *
 * The hashes are the TEA cipher and the first half of MD4's rounds (RFC 1320), run over
 * the name in pieces; the oldest is ext3's own.  Names count as signed or unsigned
 * characters, depending on the machine that made the filesystem.
 */
#include "ext4.h"

enum {
    HASH_LEGACY = 0,
    HASH_HALF_MD4 = 1,
    HASH_TEA = 2,
    HASH_UNSIGNED = 3, /* added to those above */
    DX_MAX_LEVELS = 3,
    DX_MAX_LEAVES = 4096,
    DX_MAX_NODES = 4096,
};

static int char_at(const char *name, size_t i, bool is_unsigned)
{
    return is_unsigned ? (int)(unsigned char)name[i] : (int)(signed char)name[i];
}

static uint32_t rotate(uint32_t value, unsigned bits)
{
    return value << bits | value >> (32 - bits);
}

static uint32_t hash_legacy(const char *name, size_t len, bool is_unsigned)
{
    uint32_t previous = 0x37abe8f9, hash = 0x12a3fe2d;

    for (size_t i = 0; i < len; i++) {
        uint32_t c = char_at(name, i, is_unsigned);
        uint32_t next = previous + (hash ^ (c * 7152373));

        if (next & 0x80000000) {
            next -= 0x7fffffff;
        }
        previous = hash;
        hash = next;
    }
    return hash << 1;
}

/* The name as words, the first character in the highest byte; what is missing is filled
 * with the length. */
static void name_to_words(const char *name, size_t len, bool is_unsigned,
                          uint32_t *words, unsigned count)
{
    uint32_t fill = (len | len << 8) & 0xffff;

    fill |= len << 16 | len << 24;
    len = MIN(len, count * 4);
    for (unsigned w = 0; w < count; w++) {
        words[w] = fill;
        for (size_t i = w * 4; i < MIN(len, w * 4 + 4); i++) {
            words[w] = (uint32_t)char_at(name, i, is_unsigned) + (words[w] << 8);
        }
    }
}

static void half_md4(uint32_t state[4], const uint32_t in[8])
{
    static const uint8_t order[3][8] = {
        {0, 1, 2, 3, 4, 5, 6, 7},
        {1, 3, 5, 7, 0, 2, 4, 6},
        {3, 7, 2, 6, 1, 5, 0, 4},
    };
    static const uint8_t shift[3][4] = {{3, 7, 11, 19}, {3, 5, 9, 13}, {3, 9, 11, 15}};
    static const uint32_t constant[3] = {0, 0x5a827999, 0x6ed9eba1};
    uint32_t v[4] = {state[0], state[1], state[2], state[3]};

    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 8; i++) {
            /* The word to change goes 0, 3, 2, 1, 0, ... */
            uint32_t *a = &v[(4 - i % 4) % 4];
            uint32_t b = v[(5 - i % 4) % 4], c = v[(6 - i % 4) % 4],
                     d = v[(7 - i % 4) % 4];
            uint32_t f = round == 0   ? (b & c) | (~b & d)
                         : round == 1 ? (b & c) | (b & d) | (c & d)
                                      : b ^ c ^ d;

            *a = rotate(*a + f + in[order[round][i]] + constant[round],
                        shift[round][i % 4]);
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        state[i] += v[i];
    }
}

static void tea(uint32_t state[4], const uint32_t key[4])
{
    uint32_t sum = 0, x = state[0], y = state[1];

    for (unsigned round = 0; round < 16; round++) {
        sum += 0x9e3779b9;
        x += ((y << 4) + key[0]) ^ (y + sum) ^ ((y >> 5) + key[1]);
        y += ((x << 4) + key[2]) ^ (x + sum) ^ ((x >> 5) + key[3]);
    }
    state[0] += x;
    state[1] += y;
}

bool ext4_dirhash(const Ext4Geometry *geo, uint8_t version, const char *name,
                  size_t len, Ext4Hash *hash)
{
    static const uint32_t no_seed[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    bool seeded = geo->hash_seed[0] || geo->hash_seed[1] || geo->hash_seed[2] ||
                  geo->hash_seed[3];
    bool is_unsigned = version >= HASH_UNSIGNED;
    uint32_t state[4], words[8];

    memcpy(state, seeded ? geo->hash_seed : no_seed, sizeof(state));
    switch (is_unsigned ? version - HASH_UNSIGNED : version) {
    case HASH_LEGACY:
        *hash = (Ext4Hash){hash_legacy(name, len, is_unsigned), 0};
        break;
    case HASH_HALF_MD4:
        for (size_t at = 0; at < len; at += 32) {
            name_to_words(name + at, len - at, is_unsigned, words, 8);
            half_md4(state, words);
        }
        *hash = (Ext4Hash){state[1], state[2]};
        break;
    case HASH_TEA:
        for (size_t at = 0; at < len; at += 16) {
            name_to_words(name + at, len - at, is_unsigned, words, 4);
            tea(state, words);
        }
        *hash = (Ext4Hash){state[0], state[1]};
        break;
    default:
        return false;
    }
    hash->major &= ~1u;
    if (hash->major == 0xfffffffe) {
        /* The highest means the end of a directory. */
        hash->major = 0xfffffffc;
    }
    return true;
}

uint8_t ext4_hash_version(const Ext4Geometry *geo, uint8_t version)
{
    return geo->hash_unsigned && version < HASH_UNSIGNED ? version + HASH_UNSIGNED
                                                         : version;
}

typedef struct DxSearch {
    Ext4State *s;
    Ext4Inode *dir;
    uint64_t dir_blocks;
    uint32_t hash;
    unsigned nodes;
    GArray *leaves;
} DxSearch;

static FsBuffer *coroutine_fn read_index_block(DxSearch *search, uint64_t number)
{
    Ext4Run run;

    if (number >= search->dir_blocks || search->nodes++ > DX_MAX_NODES ||
        !ext4_map_co(search->s, search->dir, number, 1, &run, NULL) || !run.physical ||
        run.unwritten) {
        return NULL;
    }

    g_autoptr(FsBuffer) buffer =
        ext4_cache_co_block(search->s, run.physical, "directory index", NULL);
    Ext4DirBlock block = {.dir = search->dir, .number = number};

    if (!buffer) {
        return NULL;
    }
    block.data = buffer->data;
    block.bytes = buffer->bytes;
    block.offset = buffer->offset;
    return ext4_dir_block_check(search->s, &block, NULL) ? g_steal_pointer(&buffer)
                                                         : NULL;
}

/* An entry covers hashes from its own to the next entry's, and that one, too, if its
 * lowest bit says that names of the same hash began in the block before. */
static bool covers(const Ext4DxEntry *entries, unsigned i, unsigned count,
                   uint32_t hash)
{
    if (i && (le32_get(entries[i].hash) & ~1u) > hash) {
        return false;
    }
    if (i + 1 == count) {
        return true;
    }

    uint32_t next = le32_get(entries[i + 1].hash);

    return hash < (next & ~1u) || next == (hash | 1);
}

static bool coroutine_fn search_node(DxSearch *search, const FsBuffer *buffer,
                                     uint32_t at, unsigned levels)
{
    const Ext4DxEntry *entries = (const Ext4DxEntry *)(buffer->data + at);
    const Ext4DxCountLimit *head = (const Ext4DxCountLimit *)entries;
    unsigned count = le16_get(head->count);

    if (!count || count > le16_get(head->limit) ||
        count > (buffer->bytes - at) / sizeof(Ext4DxEntry)) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        uint32_t number = le32_get(entries[i].block) & 0x0fffffff;

        if (!covers(entries, i, count, search->hash)) {
            continue;
        }
        if (!levels) {
            if (search->leaves->len >= DX_MAX_LEAVES || number >= search->dir_blocks) {
                return false;
            }
            g_array_append_val(search->leaves, number);
            continue;
        }

        g_autoptr(FsBuffer) child = read_index_block(search, number);

        if (!child ||
            !search_node(search, child, EXT4_DX_NODE_ENTRIES_OFFSET, levels - 1)) {
            return false;
        }
    }
    return true;
}

static const Ext4DxRootInfo *root_info(const FsBuffer *root)
{
    const Ext4DxRootInfo *info =
        (const Ext4DxRootInfo *)(root->data + EXT4_DX_ROOT_INFO_OFFSET);

    return !le32_get(info->reserved) && info->info_length == sizeof(*info) ? info
                                                                           : NULL;
}

static void search_init(DxSearch *search, Ext4State *s, Ext4Inode *dir, GArray *leaves)
{
    *search = (DxSearch){
        .s = s,
        .dir = dir,
        .dir_blocks = div_round_up(dir->stat.size, s->geo.block_bytes),
        .leaves = leaves,
    };
}

bool coroutine_fn ext4_dx_co_find(Ext4State *s, Ext4Inode *dir, const char *name,
                                  size_t len, GArray *leaves)
{
    DxSearch search;
    Ext4Hash hash;

    search_init(&search, s, dir, leaves);

    g_autoptr(FsBuffer) root = read_index_block(&search, 0);
    const Ext4DxRootInfo *info = root ? root_info(root) : NULL;

    if (!info || info->indirect_levels >= DX_MAX_LEVELS ||
        !ext4_dirhash(&s->geo, ext4_hash_version(&s->geo, info->hash_version), name,
                      len, &hash)) {
        return false;
    }
    search.hash = hash.major;
    return search_node(&search, root, EXT4_DX_ROOT_ENTRIES_OFFSET,
                       info->indirect_levels);
}

uint8_t coroutine_fn ext4_dir_co_hash_version(Ext4State *s, Ext4Inode *dir)
{
    DxSearch search;
    uint8_t version = s->geo.hash_version;

    if (dir->flags & EXT4_INDEX_FL) {
        search_init(&search, s, dir, NULL);

        g_autoptr(FsBuffer) root = read_index_block(&search, 0);
        const Ext4DxRootInfo *info = root ? root_info(root) : NULL;

        version = info ? info->hash_version : version;
    }
    return ext4_hash_version(&s->geo, version);
}
