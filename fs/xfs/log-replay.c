/* What the items of the log make of the filesystem's sectors, in memory. */
#include "log.h"

enum {
    FLUSH_COUNT_MAX = 0xffff,
    NO_INODE = 0xffffffff, /* in lists of inodes without a name */
};

/* Where blocks of version 5 tell in which record they were last logged. */
static const struct {
    uint32_t magic;
    uint16_t magic_at, magic_bytes, lsn_at, uuid_at;
} places[] = {
    {XFS_MAGIC('A', 'B', '3', 'B'), 0, 4, 24, 32},
    {XFS_MAGIC('A', 'B', '3', 'C'), 0, 4, 24, 32},
    {XFS_MAGIC('I', 'A', 'B', '3'), 0, 4, 24, 32},
    {XFS_MAGIC('F', 'I', 'B', '3'), 0, 4, 24, 32},
    {XFS_MAGIC('R', 'M', 'B', '3'), 0, 4, 24, 32},
    {XFS_MAGIC('R', '3', 'F', 'C'), 0, 4, 24, 32},
    {XFS_MAGIC('B', 'M', 'A', '3'), 0, 4, 32, 40},
    {XFS_MAGIC('X', 'D', 'B', '3'), 0, 4, 16, 24},
    {XFS_MAGIC('X', 'D', 'D', '3'), 0, 4, 16, 24},
    {XFS_MAGIC('X', 'D', 'F', '3'), 0, 4, 16, 24},
    {XFS_MAGIC('X', 'S', 'L', 'M'), 0, 4, 48, 16},
    {XFS_MAGIC('X', 'A', 'F', 'L'), 0, 4, 24, 8},
    {XFS_MAGIC('X', 'A', 'G', 'I'), 0, 4, 320, 296},
    {XFS_AGF_MAGIC, 0, 4, offsetof(XfsAgf, lsn), offsetof(XfsAgf, uuid)},
    {XFS_DA3_NODE_MAGIC, 8, 2, 24, 32},
    {XFS_ATTR3_LEAF_MAGIC, 8, 2, 24, 32},
    {XFS_DIR3_LEAF1_MAGIC, 8, 2, 24, 32},
    {XFS_DIR3_LEAFN_MAGIC, 8, 2, 24, 32},
};

void xfs_log_replay_init(XfsLogReplay *replay, XfsState *s)
{
    *replay = (XfsLogReplay){.s = s, .overlay = xfs_overlay_new()};
    replay->cancelled =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    replay->unfinished =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
}

void xfs_log_replay_clear(XfsLogReplay *replay)
{
    g_clear_pointer(&replay->overlay, xfs_overlay_free);
    g_clear_pointer(&replay->cancelled, g_hash_table_unref);
    g_clear_pointer(&replay->unfinished, g_hash_table_unref);
}

static bool G_GNUC_PRINTF(3, 4)
    refuse(const XfsLogReplay *r, GError **errp, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    xfs_error(r->s, errp, EMBR_ERROR_CORRUPT, 0, "log: %s", text);
    return false;
}

/* A region's bytes; NULL if it has fewer. */
static const uint8_t *region(const XfsLogItem *item, unsigned i, size_t least,
                             uint32_t *bytes)
{
    const GByteArray *array =
        i < item->regions->len ? g_ptr_array_index(item->regions, i) : NULL;

    if (!array || array->len < least) {
        return NULL;
    }
    if (bytes) {
        *bytes = array->len;
    }
    return array->data;
}

/* Sectors as they are by now. */
static bool coroutine_fn co_load(XfsLogReplay *r, uint64_t sector, uint32_t count,
                                 uint8_t *data, GError **errp)
{
    if (sector > (uint64_t)INT64_MAX >> XFS_DADDR_BITS ||
        !xfs_device_co_read(r->s, sector << XFS_DADDR_BITS, count << XFS_DADDR_BITS,
                            data, "what was logged", errp)) {
        return sector <= (uint64_t)INT64_MAX >> XFS_DADDR_BITS
                   ? false
                   : refuse(r, errp, "sector 0x%" PRIx64 " is on no disk", sector);
    }
    xfs_overlay_apply(r->overlay, sector, data, count);
    return true;
}

static bool store(XfsLogReplay *r, uint64_t sector, uint32_t count, const uint8_t *data,
                  GError **errp)
{
    if (!xfs_overlay_put(r->overlay, sector, data, count)) {
        xfs_error(r->s, errp, EMBR_ERROR_LIMIT, 0,
                  "log: it changes more than can be kept in memory");
        return false;
    }
    return true;
}

/* Buffers that were freed */

static uint64_t buffer_key(uint64_t sector, uint32_t count)
{
    return sector << 16 | (count & 0xffff);
}

static guint cancelled_count(const XfsLogReplay *r, uint64_t key)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(r->cancelled, &key));
}

static void set_cancelled(XfsLogReplay *r, uint64_t key, guint count)
{
    if (count) {
        g_hash_table_insert(r->cancelled, g_memdup2(&key, sizeof(key)),
                            GUINT_TO_POINTER(count));
    } else {
        g_hash_table_remove(r->cancelled, &key);
    }
}

bool coroutine_fn xfs_log_replay_co_note(const XfsLogItem *item,
                                         uint64_t lsn G_GNUC_UNUSED, void *opaque,
                                         GError **errp)
{
    XfsLogReplay *r = opaque;
    const XfsLogBuffer *buffer =
        (const XfsLogBuffer *)region(item, 0, sizeof(*buffer), NULL);

    if (item->type != XFS_LOG_BUFFER) {
        return true;
    }
    if (!buffer) {
        return refuse(r, errp, "a buffer's description is too short");
    }
    if (le16_get(buffer->flags) & XFS_LOG_BUFFER_CANCEL) {
        uint64_t key = buffer_key(le64_get(buffer->sector), le16_get(buffer->sectors));

        set_cancelled(r, key, cancelled_count(r, key) + 1);
    }
    return true;
}

unsigned xfs_log_replay_rank(const XfsLogItem *item)
{
    const XfsLogBuffer *buffer =
        (const XfsLogBuffer *)region(item, 0, sizeof(*buffer), NULL);
    uint16_t flags =
        item->type == XFS_LOG_BUFFER && buffer ? le16_get(buffer->flags) : 0;

    if (flags & XFS_LOG_BUFFER_CANCEL) {
        return 3;
    }
    if (flags & XFS_LOG_BUFFER_INODES) {
        return 2;
    }
    return item->type == XFS_LOG_BUFFER || item->type == XFS_LOG_ICREATE ? 0 : 1;
}

/* Buffers */

/* When a block was last logged, if it can tell; 0: what is logged of it counts. */
static uint64_t block_lsn(const XfsLogReplay *r, const uint8_t *data, uint32_t bytes)
{
    const XfsGeometry *geo = &r->s->geo;

    if (geo->version < 5) {
        return 0;
    }
    if (be32_load(data) == XFS_SUPER_MAGIC) {
        return be64_get(((const XfsSuper *)data)->lsn);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        const uint8_t *at = data + places[i].magic_at;
        uint32_t magic = places[i].magic_bytes == 4 ? be32_load(at) : be16_load(at);

        if (magic == places[i].magic && bytes >= XFS_LOG_BLOCK_BYTES &&
            !memcmp(data + places[i].uuid_at, geo->meta_uuid, XFS_UUID_BYTES)) {
            return be64_load(data + places[i].lsn_at);
        }
    }
    return 0;
}

/* The one that never was is not older than any. */
static bool is_logged_before(uint64_t on_disk, uint64_t lsn)
{
    return !on_disk || on_disk == UINT64_MAX || on_disk < lsn;
}

static bool map_bit(const uint8_t *map, unsigned i)
{
    return le32_load(map + i / 32 * 4) >> i % 32 & 1;
}

static bool copy_regions(XfsLogReplay *r, const XfsLogItem *item, const uint8_t *map,
                         unsigned bits, uint8_t *data, GError **errp)
{
    unsigned bit = 0;

    for (unsigned i = 1; i < item->total; i++) {
        unsigned run = 0;
        uint32_t bytes;
        const uint8_t *from = region(item, i, XFS_LOG_BUFFER_PIECE, &bytes);

        while (bit < bits && !map_bit(map, bit)) {
            bit++;
        }
        while (bit + run < bits && map_bit(map, bit + run)) {
            run++;
        }
        if (!from || !run) {
            return refuse(r, errp,
                          "part %u of a buffer is too short, or none was to be there",
                          i);
        }
        run = MIN(run, bytes / XFS_LOG_BUFFER_PIECE);
        memcpy(data + bit * XFS_LOG_BUFFER_PIECE, from, run * XFS_LOG_BUFFER_PIECE);
        bit += run;
    }
    return true;
}

static bool coroutine_fn co_apply_buffer(XfsLogReplay *r, const XfsLogItem *item,
                                         uint64_t lsn, GError **errp)
{
    uint32_t head_bytes;
    const uint8_t *head = region(item, 0, sizeof(XfsLogBuffer), &head_bytes);
    const XfsLogBuffer *buffer = (const XfsLogBuffer *)head;

    if (!buffer) {
        return refuse(r, errp, "a buffer's description is too short");
    }

    uint64_t sector = le64_get(buffer->sector);
    uint32_t count = le16_get(buffer->sectors), words = le32_get(buffer->map_words);
    uint16_t flags = le16_get(buffer->flags);
    uint64_t key = buffer_key(sector, count);
    guint cancelled = cancelled_count(r, key);

    if (flags & XFS_LOG_BUFFER_CANCEL) {
        set_cancelled(r, key, cancelled - MIN(cancelled, 1));
        return true;
    }
    if (cancelled || (flags & (XFS_LOG_BUFFER_QUOTA | XFS_LOG_BUFFER_INODES))) {
        return true;
    }
    if (words > XFS_LOG_BUFFER_WORDS_MAX || head_bytes < sizeof(*buffer) + words * 4 ||
        !count || count * XFS_LOG_BLOCK_BYTES > words * 32 * XFS_LOG_BUFFER_PIECE) {
        return refuse(r, errp,
                      "a buffer of %u sectors has a map of %u words in %u bytes", count,
                      words, head_bytes);
    }

    uint32_t bytes = count * XFS_LOG_BLOCK_BYTES;
    g_autofree uint8_t *data = g_malloc(bytes);

    if (!co_load(r, sector, count, data, errp)) {
        return false;
    }
    if (!is_logged_before(block_lsn(r, data, bytes), lsn)) {
        return true;
    }
    return copy_regions(r, item, head + sizeof(*buffer), bytes / XFS_LOG_BUFFER_PIECE,
                        data, errp) &&
           store(r, sector, count, data, errp);
}

/* Inodes */

/* Numbers of an inode's core: the log has them in its machine's order. */
static const struct {
    uint8_t at, bytes;
} core_fields[] = {
    {offsetof(XfsInodeDisk, magic), 2},     {offsetof(XfsInodeDisk, mode), 2},
    {offsetof(XfsInodeDisk, uid), 4},       {offsetof(XfsInodeDisk, gid), 4},
    {offsetof(XfsInodeDisk, nlink), 4},     {offsetof(XfsInodeDisk, projid_lo), 2},
    {offsetof(XfsInodeDisk, projid_hi), 2}, {offsetof(XfsInodeDisk, size), 8},
    {offsetof(XfsInodeDisk, nblocks), 8},   {offsetof(XfsInodeDisk, extsize), 4},
    {offsetof(XfsInodeDisk, nextents), 4},  {offsetof(XfsInodeDisk, anextents), 2},
    {offsetof(XfsInodeDisk, dmevmask), 4},  {offsetof(XfsInodeDisk, dmstate), 2},
    {offsetof(XfsInodeDisk, flags), 2},     {offsetof(XfsInodeDisk, gen), 4},
};

static const struct {
    uint8_t at, bytes;
} core_fields_v3[] = {
    {offsetof(XfsInodeDisk, big_nextents), 8}, {offsetof(XfsInodeDisk, changecount), 8},
    {offsetof(XfsInodeDisk, flags2), 8},       {offsetof(XfsInodeDisk, cowextsize), 4},
    {offsetof(XfsInodeDisk, ino), 8},
};

static void turn(const uint8_t *from, uint8_t *to, unsigned at, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        to[at + i] = from[at + bytes - 1 - i];
    }
}

/* A number of nanoseconds; or seconds and nanoseconds. */
static void turn_time(const uint8_t *from, uint8_t *to, unsigned at, bool is_big)
{
    if (is_big) {
        turn(from, to, at, 8);
    } else {
        turn(from, to, at, 4);
        turn(from, to, at + 4, 4);
    }
}

static void copy_core(const uint8_t *from, uint64_t lsn, uint8_t *raw)
{
    const uint8_t version = from[offsetof(XfsInodeDisk, version)];
    XfsInodeDisk *disk = (XfsInodeDisk *)raw;
    bool is_big = version == 3 && (le64_load(from + offsetof(XfsInodeDisk, flags2)) &
                                   XFS_INODE2_BIGTIME);

    for (unsigned i = 0; i < G_N_ELEMENTS(core_fields); i++) {
        turn(from, raw, core_fields[i].at, core_fields[i].bytes);
    }
    disk->version = version;
    disk->format = from[offsetof(XfsInodeDisk, format)];
    disk->onlink = be16_make(0);
    disk->forkoff = from[offsetof(XfsInodeDisk, forkoff)];
    disk->aformat = from[offsetof(XfsInodeDisk, aformat)];
    turn_time(from, raw, offsetof(XfsInodeDisk, atime), is_big);
    turn_time(from, raw, offsetof(XfsInodeDisk, mtime), is_big);
    turn_time(from, raw, offsetof(XfsInodeDisk, ctime), is_big);
    if (version < 3) {
        disk->big_nextents = be64_make(0); /* and how often it was flushed */
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(core_fields_v3); i++) {
        turn(from, raw, core_fields_v3[i].at, core_fields_v3[i].bytes);
    }
    turn_time(from, raw, offsetof(XfsInodeDisk, crtime), is_big);
    memcpy(disk->pad, from + offsetof(XfsInodeDisk, pad), sizeof(disk->pad));
    memcpy(disk->uuid, from + offsetof(XfsInodeDisk, uuid), XFS_UUID_BYTES);
    disk->lsn = be64_make(lsn);
}

/* The root of a tree of extents: in memory it has a block's head, and room for as many
 * pairs of keys and pointers as fill it. */
static bool copy_root(const XfsState *s, const uint8_t *from, uint32_t bytes,
                      uint8_t *to, uint32_t room)
{
    const uint32_t pair = XFS_EXTENT_KEY_BYTES + 8;
    uint32_t head = s->geo.version == 5 ? 72 : 24;
    XfsBtreeRoot *root = (XfsBtreeRoot *)to;

    if (bytes < head || room < sizeof(*root)) {
        return false;
    }

    const XfsBtreeHead *block = (const XfsBtreeHead *)from;
    uint32_t count = be16_get(block->numrecs);
    uint32_t had = (bytes - head) / pair, has = (room - sizeof(*root)) / pair;

    if (count > had || count > has) {
        return false;
    }
    root->level = block->level;
    root->numrecs = block->numrecs;
    memcpy(to + sizeof(*root), from + head, count * XFS_EXTENT_KEY_BYTES);
    memcpy(to + sizeof(*root) + has * XFS_EXTENT_KEY_BYTES,
           from + head + had * XFS_EXTENT_KEY_BYTES, count * 8);
    return true;
}

typedef struct InodeItem {
    uint64_t ino, sector;
    uint32_t fields, sectors, offset, device;
} InodeItem;

static bool parse_inode_item(XfsLogReplay *r, const XfsLogItem *item, InodeItem *inode,
                             GError **errp)
{
    uint32_t bytes;
    const uint8_t *head = region(item, 0, sizeof(XfsLogInode32), &bytes);

    if (!head) {
        return refuse(r, errp, "an inode's description is too short");
    }
    if (bytes >= sizeof(XfsLogInode)) {
        const XfsLogInode *i = (const XfsLogInode *)head;

        *inode = (InodeItem){le64_get(i->ino),    le64_get(i->sector),
                             le32_get(i->fields), le32_get(i->sectors),
                             le32_get(i->offset), le32_load(i->device)};
    } else {
        const XfsLogInode32 *i = (const XfsLogInode32 *)head;

        *inode = (InodeItem){le64_get(i->ino),    le64_get(i->sector),
                             le32_get(i->fields), le32_get(i->sectors),
                             le32_get(i->offset), le32_load(i->device)};
    }
    if (inode->offset % r->s->geo.inode_bytes ||
        !range_fits(inode->offset, r->s->geo.inode_bytes,
                    (uint64_t)inode->sectors << XFS_DADDR_BITS)) {
        return refuse(r, errp,
                      "inode %" PRIu64 " is at byte %u of a buffer of %u sectors",
                      inode->ino, inode->offset, inode->sectors);
    }
    return true;
}

/* A fork's part, if there is one; it is item region *next. */
static bool copy_fork(XfsLogReplay *r, const XfsLogItem *item, const InodeItem *inode,
                      bool is_attr, unsigned *next, uint8_t *raw, GError **errp)
{
    const XfsInodeDisk *disk = (const XfsInodeDisk *)raw;
    uint32_t core = disk->version == 3 ? XFS_INODE_V3_BYTES : XFS_INODE_V2_BYTES;
    uint32_t literal = r->s->geo.inode_bytes - core;
    uint32_t at = is_attr ? disk->forkoff * UINT32_C(8) : 0;
    uint32_t room = !is_attr && disk->forkoff ? disk->forkoff * UINT32_C(8) : literal;
    uint32_t plain = is_attr ? XFS_LOG_INODE_ATTR_DATA | XFS_LOG_INODE_ATTR_EXTENTS
                             : XFS_LOG_INODE_DATA | XFS_LOG_INODE_EXTENTS;
    uint32_t tree = is_attr ? XFS_LOG_INODE_ATTR_ROOT : XFS_LOG_INODE_ROOT;
    uint32_t bytes = 0;

    if (!(inode->fields & (plain | tree))) {
        return true;
    }

    const uint8_t *from = region(item, (*next)++, 0, &bytes);
    bool ok = from && at < literal && room <= literal;

    if (is_attr) {
        room = literal - at;
    }
    if (ok && (inode->fields & plain)) {
        ok = bytes <= round_up_pow2(room, 4);
        memcpy(raw + core + at, from, ok ? MIN(bytes, room) : 0);
    } else if (ok) {
        ok = copy_root(r->s, from, bytes, raw + core + at, room);
    }
    return ok || refuse(r, errp,
                        "inode %" PRIu64 ": %u bytes of its %s fork, which has room "
                        "for %u",
                        inode->ino, bytes, is_attr ? "attribute" : "data", room);
}

/* Version 4 has no LSN, but counts how often an inode was written, and may begin anew.
 */
static bool is_inode_newer(const XfsLogReplay *r, const uint8_t *core,
                           const uint8_t *raw, uint64_t lsn)
{
    const unsigned count_at = offsetof(XfsInodeDisk, big_nextents) + 6;

    if (r->s->geo.version == 5) {
        uint64_t on_disk = be64_get(((const XfsInodeDisk *)raw)->lsn);

        return on_disk && on_disk != UINT64_MAX && on_disk > lsn;
    }

    uint16_t logged = le16_load(core + count_at), found = be16_load(raw + count_at);

    return logged < found &&
           !(found == FLUSH_COUNT_MAX && logged < FLUSH_COUNT_MAX >> 1);
}

static bool fill_inode(XfsLogReplay *r, const XfsLogItem *item, const InodeItem *inode,
                       const uint8_t *core, uint64_t lsn, uint8_t *raw, GError **errp)
{
    unsigned next = 2;
    const XfsInodeDisk *disk = (const XfsInodeDisk *)raw;

    copy_core(core, lsn, raw);
    if (inode->fields & XFS_LOG_INODE_DEVICE) {
        be32_store(raw + (disk->version == 3 ? XFS_INODE_V3_BYTES : XFS_INODE_V2_BYTES),
                   inode->device);
    }
    return copy_fork(r, item, inode, false, &next, raw, errp) &&
           copy_fork(r, item, inode, true, &next, raw, errp);
}

static bool coroutine_fn co_apply_inode(XfsLogReplay *r, const XfsLogItem *item,
                                        uint64_t lsn, GError **errp)
{
    uint32_t least = r->s->geo.version == 5 ? XFS_INODE_V3_BYTES
                                            : offsetof(XfsInodeDisk, next_unlinked);
    const uint8_t *core = region(item, 1, least, NULL);
    InodeItem inode;

    if (!parse_inode_item(r, item, &inode, errp)) {
        return false;
    }
    if (cancelled_count(r, buffer_key(inode.sector, inode.sectors))) {
        return true;
    }
    if (!core || le16_load(core) != XFS_INODE_MAGIC ||
        core[offsetof(XfsInodeDisk, version)] != (r->s->geo.version == 5 ? 3 : 2)) {
        return refuse(r, errp, "inode %" PRIu64 " is too short, or none", inode.ino);
    }

    uint32_t within = inode.offset % XFS_LOG_BLOCK_BYTES;
    uint64_t sector = inode.sector + inode.offset / XFS_LOG_BLOCK_BYTES;
    uint32_t count = div_round_up(within + r->s->geo.inode_bytes, XFS_LOG_BLOCK_BYTES);
    g_autofree uint8_t *data = g_malloc(count * XFS_LOG_BLOCK_BYTES);
    uint8_t *raw = data + within;

    if (!co_load(r, sector, count, data, errp)) {
        return false;
    }
    if (be16_load(raw) != XFS_INODE_MAGIC) {
        return refuse(r, errp, "inode %" PRIu64 " is logged for a place without inodes",
                      inode.ino);
    }
    if (is_inode_newer(r, core, raw, lsn)) {
        return true;
    }
    if (inode.fields & XFS_LOG_INODE_OWNERS) {
        uint64_t key = inode.ino;

        g_hash_table_insert(r->unfinished, g_memdup2(&key, sizeof(key)),
                            g_strdup_printf("extents of inode %" PRIu64
                                            " were exchanged with another's",
                                            inode.ino));
    }
    return fill_inode(r, item, &inode, core, lsn, raw, errp) &&
           store(r, sector, count, data, errp);
}

/* New inodes, none in use yet, in blocks that are not written as such. */

static bool is_any_cancelled(const XfsLogReplay *r, uint64_t sector, uint32_t count,
                             uint32_t step)
{
    for (uint32_t at = 0; at < count; at += step) {
        for (uint32_t n = step; n <= count - at; n *= 2) {
            if (cancelled_count(r, buffer_key(sector + at, n))) {
                return true;
            }
        }
    }
    return false;
}

static void make_inode(const XfsLogReplay *r, uint64_t ino, be32_t gen, uint8_t *raw)
{
    XfsInodeDisk *disk = (XfsInodeDisk *)raw;

    memset(raw, 0, r->s->geo.inode_bytes);
    disk->magic = be16_make(XFS_INODE_MAGIC);
    disk->version = 3;
    disk->gen = gen;
    disk->next_unlinked = be32_make(NO_INODE);
    disk->ino = be64_make(ino);
    memcpy(disk->uuid, r->s->geo.meta_uuid, XFS_UUID_BYTES);
}

static bool coroutine_fn co_apply_icreate(XfsLogReplay *r, const XfsLogItem *item,
                                          GError **errp)
{
    const XfsGeometry *geo = &r->s->geo;
    const XfsLogIcreate *create =
        (const XfsLogIcreate *)region(item, 0, sizeof(*create), NULL);

    if (!create) {
        return refuse(r, errp, "a description of new inodes is too short");
    }

    uint64_t ag = be32_get(create->ag), first = be32_get(create->block);
    uint32_t length = be32_get(create->length), count = be32_get(create->count);
    uint64_t block;

    if (geo->version < 5 || be32_get(create->inode_bytes) != geo->inode_bytes ||
        !length || length > 64 || count != length << geo->inodes_per_block_bits ||
        !xfs_block_locate(geo, ag << geo->ag_bits | first, length, &block) ||
        first >> geo->ag_bits) {
        return refuse(r, errp,
                      "%u new inodes in %u blocks from block %" PRIu64
                      " of group %" PRIu64 " on: there can be none",
                      count, length, first, ag);
    }

    unsigned sector_bits = geo->block_bits - XFS_DADDR_BITS;
    uint64_t ino = (ag << geo->ag_bits | first) << geo->inodes_per_block_bits;

    if (is_any_cancelled(r, block << sector_bits, length << sector_bits,
                         1 << sector_bits)) {
        return true;
    }

    g_autofree uint8_t *data = g_malloc((size_t)length << geo->block_bits);

    for (uint32_t i = 0; i < count; i++) {
        make_inode(r, ino + i, create->gen, data + (size_t)i * geo->inode_bytes);
    }
    return store(r, block << sector_bits, length << sector_bits, data, errp);
}

/* Intents: what the kernel would do at the next mount.  Space to be freed, and what is
 * known of the owners of space, change nothing of what is shown. */

static uint64_t intent_key(uint64_t id, uint16_t intent)
{
    return id ^ (uint64_t)intent << 32;
}

static bool note_intent(XfsLogReplay *r, const XfsLogItem *item, const char *what,
                        GError **errp)
{
    const XfsLogIntent *intent =
        (const XfsLogIntent *)region(item, 0, sizeof(*intent), NULL);

    if (!intent) {
        return refuse(r, errp, "an intent (type 0x%04x) is too short", item->type);
    }

    uint64_t key = intent_key(le64_get(intent->id), item->type);

    g_hash_table_insert(r->unfinished, g_memdup2(&key, sizeof(key)),
                        g_strdup_printf("%s of inode %" PRIu64 " was not finished",
                                        what, le64_get(intent->ino)));
    return true;
}

static bool note_done(XfsLogReplay *r, const XfsLogItem *item, uint16_t intent,
                      GError **errp)
{
    const XfsLogIntent *done =
        (const XfsLogIntent *)region(item, 0, offsetof(XfsLogIntent, ino), NULL);

    if (!done) {
        return refuse(r, errp, "an intent's end (type 0x%04x) is too short",
                      item->type);
    }

    uint64_t key = intent_key(le64_get(done->id), intent);

    g_hash_table_remove(r->unfinished, &key);
    return true;
}

bool coroutine_fn xfs_log_replay_co_apply(const XfsLogItem *item, uint64_t lsn,
                                          void *opaque, GError **errp)
{
    XfsLogReplay *r = opaque;

    switch (item->type) {
    case XFS_LOG_BUFFER:
        return co_apply_buffer(r, item, lsn, errp);
    case XFS_LOG_INODE:
        return co_apply_inode(r, item, lsn, errp);
    case XFS_LOG_ICREATE:
        return co_apply_icreate(r, item, errp);
    case XFS_LOG_BUI:
        return note_intent(r, item, "a change of the mapping", errp);
    case XFS_LOG_ATTRI:
        return note_intent(r, item, "a change of the attributes", errp);
    case XFS_LOG_XMI:
        return note_intent(r, item, "an exchange of the content", errp);
    case XFS_LOG_BUD:
    case XFS_LOG_ATTRD:
    case XFS_LOG_XMD:
        return note_done(r, item, item->type - 1, errp);
    case XFS_LOG_EFI:
    case XFS_LOG_EFD:
    case XFS_LOG_RUI:
    case XFS_LOG_RUD:
    case XFS_LOG_CUI:
    case XFS_LOG_CUD:
    case XFS_LOG_DQUOT:
    case XFS_LOG_QUOTAOFF:
        return true;
    default:
        if (item->type >= XFS_LOG_EFI_RT && item->type <= XFS_LOG_CUD_RT) {
            return true;
        }
        return refuse(r, errp, "an item is of type 0x%04x, which is not known",
                      item->type);
    }
}
