/* Volume descriptors: which trees there are, and which of them is read. */
#include "iso9660.h"

/* What the descriptors say. */
typedef struct IsoVolume {
    IsoDescriptor primary, joliet, enhanced;
    bool has_primary, has_joliet, has_enhanced;
} IsoVolume;

static bool is_descriptor(const IsoDescriptor *d)
{
    return !memcmp(d->id, "CD001", sizeof(d->id));
}

/* Levels 1 to 3 of UCS-2. */
static bool is_joliet(const IsoDescriptor *d)
{
    return d->type == ISO_DESCRIPTOR_SUPPLEMENTARY && d->escapes[0] == '%' &&
           d->escapes[1] == '/' &&
           (d->escapes[2] == '@' || d->escapes[2] == 'C' || d->escapes[2] == 'E');
}

/* Version 2, of ISO 9660:1999; others are of version 1. */
static bool is_enhanced(const IsoDescriptor *d)
{
    return d->type == ISO_DESCRIPTOR_SUPPLEMENTARY && d->version == 2;
}

static void keep_first(IsoDescriptor *kept, bool *has, const IsoDescriptor *d)
{
    if (!*has) {
        *kept = *d;
        *has = true;
    }
}

/* Up to the last descriptor, or the first that cannot be read. */
static void coroutine_fn read_descriptors(BlockBackend *blk, IsoVolume *volume)
{
    *volume = (IsoVolume){0};
    for (unsigned i = 0; i < ISO_DESCRIPTORS_MAX; i++) {
        uint64_t offset = ISO_FIRST_DESCRIPTOR + (uint64_t)i * ISO_SECTOR_BYTES;
        IsoDescriptor d;

        if (!range_fits(offset, sizeof(d), blk_length(blk)) ||
            blk_co_pread(blk, offset, sizeof(d), &d) < 0 || !is_descriptor(&d) ||
            d.type == ISO_DESCRIPTOR_END) {
            return;
        }
        if (d.type == ISO_DESCRIPTOR_PRIMARY) {
            keep_first(&volume->primary, &volume->has_primary, &d);
        } else if (is_joliet(&d)) {
            keep_first(&volume->joliet, &volume->has_joliet, &d);
        } else if (is_enhanced(&d)) {
            keep_first(&volume->enhanced, &volume->has_enhanced, &d);
        }
    }
}

/* What is said of the whole volume; NULL if there is nothing. */
static const IsoDescriptor *main_descriptor(const IsoVolume *volume)
{
    return volume->has_primary    ? &volume->primary
           : volume->has_enhanced ? &volume->enhanced
           : volume->has_joliet   ? &volume->joliet
                                  : NULL;
}

/* NULL if nothing but blanks is there. */
static char *take_label(const uint8_t *bytes, size_t len, bool is_joliet)
{
    g_autoptr(GString) text = g_string_new(NULL);

    if (is_joliet) {
        iso_joliet_name(bytes, len, text);
    } else {
        g_string_append_len(text, (const char *)bytes, len);
    }
    g_strchomp(text->str);
    return *text->str ? g_strdup(text->str) : NULL;
}

/* The time when it was last changed, or made. */
static char *take_uuid(const IsoDescriptor *d)
{
    const char *t = d->modified;

    if (!strncmp(t, "0000000000000000", 16) || buffer_is_zero(t, 16)) {
        t = d->created;
    }
    return g_strdup_printf("%.4s-%.2s-%.2s-%.2s-%.2s-%.2s-%.2s", t, t + 4, t + 6, t + 8,
                           t + 10, t + 12, t + 14);
}

static uint64_t spanned_bytes(const IsoDescriptor *d)
{
    return (uint64_t)le32_get(d->blocks.le) * le16_get(d->block_bytes.le);
}

bool coroutine_fn iso_co_probe(BlockBackend *blk, FsIdent *ident)
{
    g_autofree IsoVolume *volume = g_new(IsoVolume, 1);

    read_descriptors(blk, volume);

    const IsoDescriptor *d = main_descriptor(volume);

    if (!d) {
        return false;
    }
    ident->type = "iso9660";
    ident->label = take_label(d->label, sizeof(d->label), d == &volume->joliet);
    ident->uuid = take_uuid(d);
    ident->size = spanned_bytes(d);
    return true;
}

static bool set_geometry(IsoState *s, const IsoDescriptor *d, GError **errp)
{
    uint64_t length = blk_length(s->fs->blk);
    g_autoptr(GError) error = NULL;

    s->block_bytes = le16_get(d->block_bytes.le);
    if (!is_pow2(s->block_bytes) || s->block_bytes < 512 ||
        s->block_bytes > ISO_SECTOR_BYTES ||
        s->block_bytes != be16_get(d->block_bytes.be)) {
        iso_error(
            s, errp, EMBR_ERROR_CORRUPT, ISO_FIRST_DESCRIPTOR,
            "volume descriptor: blocks of %u (big-endian: %u) bytes, expected 512, "
            "1024 or 2048",
            s->block_bytes, be16_get(d->block_bytes.be));
        return false;
    }
    s->bytes = spanned_bytes(d);
    if (!iso_both_agree(s, &d->blocks, ISO_FIRST_DESCRIPTOR,
                        "volume descriptor: the number of blocks", &error)) {
        fs_warn(s->fs, "%s", error->message);
    }
    if (s->bytes > length) {
        fs_warn(s->fs,
                "%s: iso9660 spans 0x%" PRIx64
                " bytes, but the volume ends at 0x%" PRIx64
                "; what lies beyond cannot be read",
                blk_name(s->fs->blk), s->bytes, length);
    }
    return true;
}

/* Makes a tree the one that is read, if its root can be. */
static bool coroutine_fn use_tree(IsoState *s, IsoTree tree, const IsoDescriptor *d,
                                  IsoRecord *root, GError **errp)
{
    const IsoRecordHead *head = &d->root;

    s->tree = tree;
    s->susp_root_skip = s->susp_skip = 0;
    s->root =
        ((uint64_t)le32_get(head->block.le) + head->attribute_blocks) * s->block_bytes;
    if (!iso_both_agree(s, &head->block, ISO_FIRST_DESCRIPTOR,
                        "volume descriptor: the root's block", errp) ||
        !iso_record_co_get(s, s->root, root, errp)) {
        return false;
    }
    if (!root->head.bytes || !iso_record_is_directory(root) ||
        root->content != s->root) {
        iso_error(
            s, errp, EMBR_ERROR_CORRUPT, s->root,
            "the root's own record is %u bytes with flags 0x%02x and block 0x%" PRIx64
            ", expected those of a directory that is here",
            root->head.bytes, root->head.flags, root->content / s->block_bytes);
        return false;
    }
    return true;
}

/* An area of something else than SUSP, which is not CD-ROM XA's, either. */
static bool is_odd_area(const IsoRecord *root)
{
    enum { XA_SIGNATURE = 6, LEAST_BYTES = 8 };

    return root->susp_bytes >= LEAST_BYTES &&
           memcmp(root->susp + XA_SIGNATURE, "XA", 2);
}

/* The primary tree, if it has Rock Ridge.  False without an error: it has not. */
static bool coroutine_fn use_rock_ridge(IsoState *s, const IsoDescriptor *d,
                                        IsoRecord *root, GError **errp)
{
    if (!use_tree(s, ISO_TREE_PLAIN, d, root, errp)) {
        return false;
    }
    if (!iso_susp_detect(root, &s->susp_root_skip, &s->susp_skip)) {
        if (is_odd_area(root)) {
            iso_error(s, errp, EMBR_ERROR_CORRUPT, s->root,
                      "the root's system use area does not begin with a field SP");
        }
        return false;
    }
    s->tree = ISO_TREE_ROCK_RIDGE;
    return iso_record_co_get(s, s->root, root, errp) && root->rock.has_posix;
}

/* As Linux does: Rock Ridge if there is one, then Joliet; then what has the better
 * names.  A tree whose root is damaged is passed over, with a warning, if there is
 * another. */
static bool coroutine_fn choose_tree(IsoState *s, const IsoVolume *volume,
                                     GError **errp)
{
    const struct {
        IsoTree tree;
        bool is_there;
        const IsoDescriptor *descriptor;
    } trees[] = {
        {ISO_TREE_ROCK_RIDGE, volume->has_primary, &volume->primary},
        {ISO_TREE_JOLIET, volume->has_joliet, &volume->joliet},
        {ISO_TREE_ENHANCED, volume->has_enhanced, &volume->enhanced},
        {ISO_TREE_PLAIN, volume->has_primary, &volume->primary},
    };
    g_auto(IsoRecord) root = {0};
    g_autoptr(GError) first = NULL;
    bool found = false;

    iso_record_init(&root);
    for (unsigned i = 0; i < G_N_ELEMENTS(trees) && !found; i++) {
        const IsoDescriptor *d = trees[i].descriptor;
        GError **error = first ? NULL : &first;

        if (trees[i].is_there) {
            found = trees[i].tree == ISO_TREE_ROCK_RIDGE
                        ? use_rock_ridge(s, d, &root, error)
                        : use_tree(s, trees[i].tree, d, &root, error);
        }
    }
    if (!found) {
        g_propagate_error(errp, g_steal_pointer(&first));
    } else if (first) {
        fs_warn(s->fs, "%s; another tree of names is read", first->message);
    }
    return found;
}

bool coroutine_fn iso_super_co_load(IsoState *s, GError **errp)
{
    g_autofree IsoVolume *volume = g_new(IsoVolume, 1);

    read_descriptors(s->fs->blk, volume);

    const IsoDescriptor *d = main_descriptor(volume);

    if (!d) {
        iso_error(s, errp, EMBR_ERROR_CORRUPT, ISO_FIRST_DESCRIPTOR,
                  "there is no descriptor of a volume");
        return false;
    }
    if (!volume->has_primary) {
        fs_warn(s->fs,
                "%s: iso9660 at offset 0x%x: there is no primary volume descriptor",
                blk_name(s->fs->blk), ISO_FIRST_DESCRIPTOR);
    }
    return set_geometry(s, d, errp) && choose_tree(s, volume, errp);
}
