/* The superblock: which kind of filesystem this is, and its geometry. */
#include "ext4.h"

enum {
    EXT4_MAX_BLOCK_BITS = 16,
    EXT4_MAX_CLUSTER_LOG = 30,
    EXT4_MAX_DESC_BYTES = 1024,
    EXT4_CHECKSUM_CRC32C = 1,
};

static const uint32_t ext3_incompat =
    EXT4_INCOMPAT_FILETYPE | EXT4_INCOMPAT_RECOVER | EXT4_INCOMPAT_META_BG;
static const uint32_t ext3_ro_compat =
    EXT4_RO_SPARSE_SUPER | EXT4_RO_LARGE_FILE | EXT4_RO_BTREE_DIR;

/* Where copies are kept first, besides in groups that fit no rule. */
static const unsigned backup_groups[] = {1, 3, 5, 7, 9, 25, 27, 49, 81};

static const char *feature_name(uint32_t bit)
{
    switch (bit) {
    case EXT4_INCOMPAT_COMPRESSION:
        return "compression";
    case EXT4_INCOMPAT_DIRDATA:
        return "dirdata";
    default:
        return "unknown";
    }
}

static bool refuse_features(const Ext4State *s, uint32_t incompat, uint64_t offset,
                            GError **errp)
{
    uint32_t unknown = incompat & ~(uint32_t)EXT4_INCOMPAT_KNOWN;

    if (incompat & EXT4_INCOMPAT_JOURNAL_DEV) {
        ext4_error(s, errp, EMBR_ERROR_UNSUPPORTED, offset,
                   "this is an external journal of an ext3 or ext4 filesystem: "
                   "it holds no files");
        return false;
    }
    if (unknown) {
        uint32_t bit = unknown & -unknown;

        ext4_error(s, errp, EMBR_ERROR_UNSUPPORTED, offset,
                   "incompatible feature 0x%x (%s) is not supported", bit,
                   feature_name(bit));
        return false;
    }
    return true;
}

static bool check_geometry(const Ext4State *s, const Ext4Geometry *geo,
                           const Ext4Super *raw, uint64_t offset, GError **errp)
{
    uint32_t bits_per_block = geo->block_bytes * 8;

    if (!is_pow2(geo->inode_bytes) || geo->inode_bytes < EXT4_OLD_INODE_BYTES ||
        geo->inode_bytes > geo->block_bytes) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                   "inode size is %u, expected a power of two from 128 to %u",
                   geo->inode_bytes, geo->block_bytes);
        return false;
    }
    if (!is_pow2(geo->desc_bytes) || geo->desc_bytes > EXT4_MAX_DESC_BYTES ||
        geo->desc_bytes < (geo->incompat & EXT4_INCOMPAT_64BIT ? 64 : 32)) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                   "group descriptor size is %u, expected a power of two from 64 to %d",
                   geo->desc_bytes, EXT4_MAX_DESC_BYTES);
        return false;
    }
    if (!geo->clusters_per_group || geo->clusters_per_group > bits_per_block ||
        geo->blocks_per_group != (uint64_t)geo->clusters_per_group
                                     << geo->cluster_bits) {
        ext4_error(
            s, errp, EMBR_ERROR_CORRUPT, offset,
            "%u blocks and %u clusters per group, expected 1 to %u clusters of %u "
            "blocks",
            geo->blocks_per_group, geo->clusters_per_group, bits_per_block,
            1u << geo->cluster_bits);
        return false;
    }
    if (!geo->inodes_per_group || geo->inodes_per_group > bits_per_block) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                   "%u inodes per group, expected 1 to %u", geo->inodes_per_group,
                   bits_per_block);
        return false;
    }
    if (geo->blocks_count <= geo->first_data_block ||
        geo->blocks_count > (uint64_t)INT64_MAX >> geo->block_bits) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                   "%" PRIu64 " blocks of %u bytes, the first of data being %u",
                   geo->blocks_count, geo->block_bytes, geo->first_data_block);
        return false;
    }
    if (geo->group_count > UINT32_MAX ||
        geo->group_count * geo->inodes_per_group != geo->inodes_count) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                   "%u inodes, expected %u for each of %" PRIu64 " groups",
                   geo->inodes_count, geo->inodes_per_group, geo->group_count);
        return false;
    }
    if ((geo->ro_compat & EXT4_RO_METADATA_CSUM) &&
        raw->checksum_type != EXT4_CHECKSUM_CRC32C) {
        ext4_error(s, errp, EMBR_ERROR_UNSUPPORTED, offset,
                   "metadata checksum type %u, expected 1 (crc32c)",
                   raw->checksum_type);
        return false;
    }
    return true;
}

static void parse_journal_fields(Ext4Geometry *geo, const Ext4Super *raw)
{
    geo->journal_ino = le32_get(raw->journal_inum);
    geo->journal_dev = le32_get(raw->journal_dev);
    geo->jnl_backup_type = raw->jnl_backup_type;
    for (unsigned i = 0; i < G_N_ELEMENTS(geo->jnl_blocks); i++) {
        geo->jnl_blocks[i] = le32_get(raw->jnl_blocks[i]);
    }
}

static void parse_names_fields(Ext4Geometry *geo, const Ext4Super *raw)
{
    memcpy(geo->uuid, raw->uuid, sizeof(geo->uuid));
    memcpy(geo->label, raw->volume_name, sizeof(raw->volume_name));
    for (unsigned i = 0; i < G_N_ELEMENTS(geo->hash_seed); i++) {
        geo->hash_seed[i] = le32_get(raw->hash_seed[i]);
    }
    geo->hash_version = raw->def_hash_version;
    geo->hash_unsigned = le32_get(raw->flags) & EXT4_FLAGS_UNSIGNED_HASH;
}

bool ext4_super_parse(const Ext4State *s, const Ext4Super *raw, uint64_t offset,
                      Ext4Geometry *geo, GError **errp)
{
    *geo = (Ext4Geometry){0};
    if (le16_get(raw->magic) != EXT4_SUPER_MAGIC) {
        ext4_error(s, errp, EMBR_ERROR_FORMAT, offset,
                   "superblock magic is 0x%04x, expected 0x%04x", le16_get(raw->magic),
                   EXT4_SUPER_MAGIC);
        return false;
    }
    geo->compat = le32_get(raw->feature_compat);
    geo->incompat = le32_get(raw->feature_incompat);
    geo->ro_compat = le32_get(raw->feature_ro_compat);
    if ((geo->ro_compat & EXT4_RO_METADATA_CSUM) &&
        ext4_super_checksum(raw) != le32_get(raw->checksum)) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                   "superblock checksum is 0x%08x, expected 0x%08x",
                   le32_get(raw->checksum), ext4_super_checksum(raw));
        return false;
    }
    if (!refuse_features(s, geo->incompat, offset, errp)) {
        return false;
    }

    uint32_t log_block = le32_get(raw->log_block_size);
    uint32_t log_cluster = le32_get(raw->log_cluster_size);
    bool bigalloc = geo->ro_compat & EXT4_RO_BIGALLOC;

    if (log_block > EXT4_MAX_BLOCK_BITS - 10 ||
        (bigalloc &&
         (log_cluster < log_block || log_cluster > EXT4_MAX_CLUSTER_LOG - 10))) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, offset,
                   "block size is 1 KiB << %u and cluster size 1 KiB << %u, expected a "
                   "block of at most 64 KiB and a cluster of at least a block",
                   log_block, log_cluster);
        return false;
    }
    geo->rev = le32_get(raw->rev_level);
    geo->creator_os = le32_get(raw->creator_os);
    geo->state = le16_get(raw->state);
    geo->block_bits = 10 + log_block;
    geo->block_bytes = 1u << geo->block_bits;
    geo->cluster_bits = bigalloc ? log_cluster - log_block : 0;
    geo->blocks_count = le32_get(raw->blocks_count_lo);
    geo->first_data_block = le32_get(raw->first_data_block);
    geo->blocks_per_group = le32_get(raw->blocks_per_group);
    geo->clusters_per_group =
        bigalloc ? le32_get(raw->clusters_per_group) : geo->blocks_per_group;
    geo->inodes_per_group = le32_get(raw->inodes_per_group);
    geo->inodes_count = le32_get(raw->inodes_count);
    geo->inode_bytes = geo->rev ? le16_get(raw->inode_size) : EXT4_OLD_INODE_BYTES;
    geo->desc_bytes = EXT4_MIN_DESC_BYTES;
    if (geo->incompat & EXT4_INCOMPAT_64BIT) {
        geo->blocks_count |= (uint64_t)le32_get(raw->blocks_count_hi) << 32;
        geo->desc_bytes = le16_get(raw->desc_size);
    }
    if (geo->blocks_per_group && geo->blocks_count > geo->first_data_block) {
        geo->group_count = div_round_up(geo->blocks_count - geo->first_data_block,
                                        geo->blocks_per_group);
    }
    geo->first_meta_bg = geo->incompat & EXT4_INCOMPAT_META_BG
                             ? le32_get(raw->first_meta_bg)
                             : UINT32_MAX;
    geo->reserved_gdt_blocks = le16_get(raw->reserved_gdt_blocks);
    geo->backup_groups[0] = le32_get(raw->backup_bgs[0]);
    geo->backup_groups[1] = le32_get(raw->backup_bgs[1]);
    geo->log_groups_per_flex =
        geo->incompat & EXT4_INCOMPAT_FLEX_BG ? MIN(raw->log_groups_per_flex, 31) : 0;
    geo->checksum_seed = geo->incompat & EXT4_INCOMPAT_CSUM_SEED
                             ? le32_get(raw->checksum_seed)
                             : ext4_crc32c(UINT32_MAX, raw->uuid, sizeof(raw->uuid));
    parse_journal_fields(geo, raw);
    parse_names_fields(geo, raw);
    return check_geometry(s, geo, raw, offset, errp);
}

static void use_geometry(Ext4State *s, const Ext4Geometry *geo)
{
    s->geo = *geo;
    s->has_checksums = geo->ro_compat & EXT4_RO_METADATA_CSUM;
    s->has_gdt_checksums = !s->has_checksums && (geo->ro_compat & EXT4_RO_GDT_CSUM);
    s->fs->block_size = geo->block_bytes;
    s->fs->max_ino = geo->inodes_count;
    s->fs->root = EXT4_ROOT_INO;
}

static bool coroutine_fn read_raw(BlockBackend *blk, uint64_t offset, Ext4Super *raw)
{
    return range_fits(offset, sizeof(*raw), blk_length(blk)) &&
           blk_co_pread(blk, offset, sizeof(*raw), raw) >= 0;
}

/* A copy must be what this place says it is: its group, its block size. */
static bool copy_belongs(const Ext4Super *raw, unsigned block_bits, unsigned group)
{
    return le16_get(raw->magic) == EXT4_SUPER_MAGIC &&
           le32_get(raw->log_block_size) == block_bits - 10 &&
           le16_get(raw->block_group_nr) == group;
}

typedef bool BackupFound(const Ext4Super *raw, uint64_t offset, unsigned group,
                         void *opaque);

/* Asks found() about every copy that lies where mke2fs puts them (or, with
 * blocks_per_group not 0, where that says) until it says yes. */
static bool coroutine_fn search_backups(BlockBackend *blk, uint32_t blocks_per_group,
                                        BackupFound *found, void *opaque)
{
    for (unsigned bits = 10; bits <= EXT4_MAX_BLOCK_BITS; bits++) {
        uint64_t per_group = blocks_per_group ? blocks_per_group : UINT64_C(8) << bits;
        uint64_t first = bits == 10;

        for (unsigned i = 0; i < G_N_ELEMENTS(backup_groups); i++) {
            uint64_t offset = (first + backup_groups[i] * per_group) << bits;
            Ext4Super raw;

            if (!read_raw(blk, offset, &raw)) {
                break;
            }
            if (copy_belongs(&raw, bits, backup_groups[i]) &&
                found(&raw, offset, backup_groups[i], opaque)) {
                return true;
            }
        }
    }
    return false;
}

static bool use_backup(const Ext4Super *raw, uint64_t offset, unsigned group,
                       void *opaque)
{
    Ext4State *s = opaque;
    Ext4Geometry geo;

    if (!ext4_super_parse(s, raw, offset, &geo, NULL)) {
        return false;
    }
    use_geometry(s, &geo);
    s->super_group = group;
    return true;
}

static bool coroutine_fn load_backup(Ext4State *s, const Ext4Super *primary,
                                     GError *error, GError **errp)
{
    uint32_t per_group = le32_get(primary->blocks_per_group);

    if (!search_backups(s->fs->blk, 0, use_backup, s) &&
        !(per_group && search_backups(s->fs->blk, per_group, use_backup, s))) {
        g_propagate_prefixed_error(errp, error,
                                   "no good copy of the superblock found; ");
        return false;
    }
    fs_warn(s->fs, "%s; the copy in group %" PRIu64 " is used", error->message,
            s->super_group);
    g_error_free(error);
    return true;
}

bool coroutine_fn ext4_super_co_load(Ext4State *s, GError **errp)
{
    Ext4Super raw;
    Ext4Geometry geo;
    GError *error = NULL;

    if (!blk_co_read(s->fs->blk, EXT4_SUPER_OFFSET_BYTES, sizeof(raw), &raw,
                     "ext4 superblock", &error)) {
        memset(&raw, 0, sizeof(raw));
        return load_backup(s, &raw, error, errp);
    }
    if (ext4_super_parse(s, &raw, EXT4_SUPER_OFFSET_BYTES, &geo, &error)) {
        use_geometry(s, &geo);
        return true;
    }
    if (g_error_matches(error, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED)) {
        g_propagate_error(errp, error);
        return false;
    }
    return load_backup(s, &raw, error, errp);
}

bool coroutine_fn ext4_super_co_reload(Ext4State *s, GError **errp)
{
    Ext4Super raw;
    Ext4Geometry geo;
    g_autoptr(GError) error = NULL;

    if (!ext4_device_co_read(s, EXT4_SUPER_OFFSET_BYTES, sizeof(raw), &raw,
                             "ext4 superblock", errp)) {
        return s->super_group != 0;
    }
    if (ext4_super_parse(s, &raw, EXT4_SUPER_OFFSET_BYTES, &geo, &error) &&
        geo.block_bits == s->geo.block_bits) {
        use_geometry(s, &geo);
        s->super_group = 0;
    } else if (!s->super_group) {
        ext4_warn(s, EXT4_SUPER_OFFSET_BYTES,
                  "the journal's superblock is damaged; the one on the device is used");
    }
    return true;
}

static bool is_power_of(uint64_t n, unsigned base)
{
    while (n % base == 0) {
        n /= base;
    }
    return n == 1;
}

bool ext4_group_has_super(const Ext4Geometry *geo, uint64_t group)
{
    if (group == 0) {
        return true;
    }
    if (geo->compat & EXT4_COMPAT_SPARSE_SUPER2) {
        return group == geo->backup_groups[0] || group == geo->backup_groups[1];
    }
    if (group == 1 || !(geo->ro_compat & EXT4_RO_SPARSE_SUPER)) {
        return true;
    }
    return is_power_of(group, 3) || is_power_of(group, 5) || is_power_of(group, 7);
}

/* blkid's names: the oldest that has all the features. */
static const char *type_name(const Ext4Super *raw)
{
    uint32_t incompat = le32_get(raw->feature_incompat);
    uint32_t ro_compat = le32_get(raw->feature_ro_compat);

    if (incompat & EXT4_INCOMPAT_JOURNAL_DEV) {
        return "jbd";
    }
    if ((incompat & ~ext3_incompat) || (ro_compat & ~ext3_ro_compat)) {
        return "ext4";
    }
    return le32_get(raw->feature_compat) & EXT4_COMPAT_HAS_JOURNAL ? "ext3" : "ext2";
}

static void fill_ident(const Ext4Super *raw, FsIdent *ident)
{
    g_autofree char *label = g_strndup(raw->volume_name, sizeof(raw->volume_name));
    uint32_t log_block = MIN(le32_get(raw->log_block_size), EXT4_MAX_BLOCK_BITS - 10);
    uint64_t blocks = le32_get(raw->blocks_count_lo);
    const uint8_t *u = raw->uuid;

    if (le32_get(raw->feature_incompat) & EXT4_INCOMPAT_64BIT) {
        blocks |= (uint64_t)le32_get(raw->blocks_count_hi) << 32;
    }
    ident->type = type_name(raw);
    ident->label = *label ? g_utf8_make_valid(label, -1) : NULL;
    if (!buffer_is_zero(u, sizeof(raw->uuid))) {
        ident->uuid =
            g_strdup_printf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
                            "%02x%02x%02x%02x%02x%02x",
                            u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9],
                            u[10], u[11], u[12], u[13], u[14], u[15]);
    }
    if (blocks <= (uint64_t)INT64_MAX >> (10 + log_block)) {
        ident->size = blocks << (10 + log_block);
    }
}

bool coroutine_fn ext4_co_probe(BlockBackend *blk, FsIdent *ident)
{
    Ext4Super raw;

    if (!read_raw(blk, EXT4_SUPER_OFFSET_BYTES, &raw) ||
        le16_get(raw.magic) != EXT4_SUPER_MAGIC) {
        return false;
    }
    fill_ident(&raw, ident);
    return true;
}

static bool is_constant(const void *data, size_t len)
{
    const uint8_t *bytes = data;

    return len < 2 || !memcmp(bytes, bytes + 1, len - 1);
}

static bool probe_found(const Ext4Super *raw, G_GNUC_UNUSED uint64_t offset,
                        G_GNUC_UNUSED unsigned group, void *opaque)
{
    Ext4Super *found = opaque;

    if ((le32_get(raw->feature_ro_compat) & EXT4_RO_METADATA_CSUM) &&
        ext4_super_checksum(raw) != le32_get(raw->checksum)) {
        return false;
    }
    *found = *raw;
    return true;
}

/*
 * The superblock is gone: wiped, or without its magic.  A copy further on counts only
 * if it can be told that nothing else was put here since.
 */
bool coroutine_fn ext4_co_probe_backup(BlockBackend *blk, FsIdent *ident)
{
    Ext4Super primary, copy;

    if (!read_raw(blk, EXT4_SUPER_OFFSET_BYTES, &primary) ||
        !search_backups(blk, 0, probe_found, &copy) ||
        (!is_constant(&primary, sizeof(primary)) &&
         memcmp(primary.uuid, copy.uuid, sizeof(copy.uuid)))) {
        return false;
    }
    fill_ident(&copy, ident);
    return true;
}
