/*
 * From guest offsets to extents: L1 and L2 tables.
 *
 * Every entry is checked when it is used: what the format does not allow, or
 * what lies outside the file, is an error that names it.
 */
#include "qcow2.h"

static const char *decode_compressed(BlockDriverState *bs, uint64_t entry,
                                     Qcow2Extent *extent)
{
    Qcow2State *s = bs->opaque;
    unsigned offset_bits = 62 - (s->header.cluster_bits - 8);
    uint64_t offset = entry & ((UINT64_C(1) << offset_bits) - 1);
    uint64_t sectors = (entry & (QCOW2_L2_COMPRESSED - 1)) >> offset_bits;

    if (qcow2_has_data_file(s)) {
        return "a compressed cluster; images with an external data file have none";
    }
    if (offset >= QCOW2_MAX_HOST_OFFSET) {
        return "bits above the host offset's 56 are set";
    }
    if (offset >= (uint64_t)bdrv_length(bs->file)) {
        return "the compressed data begins at or past the end of the file";
    }
    extent->type = QCOW2_EXTENT_COMPRESSED;
    extent->has_host = true;
    extent->host_offset = offset;
    extent->compressed_bytes = (sectors + 1) * 512 - (offset & 511);
    return NULL;
}

/* How many subclusters from sc on have the same value in bits. */
static unsigned same_bits(uint32_t bits, unsigned sc)
{
    uint32_t differs = (bits >> sc & 1 ? ~bits : bits) >> sc;
    return differs ? (unsigned)__builtin_ctz(differs) : QCOW2_SUBCLUSTERS - sc;
}

static const char *decode_subclusters(uint64_t bitmap, bool has_host, unsigned sc,
                                      Qcow2Extent *extent, unsigned *count)
{
    uint32_t allocated = bitmap;
    uint32_t zero = bitmap >> 32;

    if (allocated & zero) {
        return "subclusters are both allocated and zero";
    }
    if (allocated && !has_host) {
        return "subclusters are allocated, but there is no host offset";
    }
    if (allocated >> sc & 1) {
        extent->type = QCOW2_EXTENT_DATA;
    } else {
        extent->type = zero >> sc & 1 ? QCOW2_EXTENT_ZERO : QCOW2_EXTENT_UNALLOCATED;
    }
    *count = MIN(same_bits(allocated, sc), same_bits(zero, sc));
    return NULL;
}

static const char *decode_standard(BlockDriverState *bs, uint64_t guest_offset,
                                   uint64_t entry, uint64_t bitmap, unsigned sc,
                                   Qcow2Extent *extent, unsigned *count)
{
    Qcow2State *s = bs->opaque;
    uint64_t offset = entry & QCOW2_OFFSET_MASK;
    bool zero_flag_allowed = s->header.version >= 3 && !qcow2_has_extended_l2(s);
    bool has_host = offset != 0 || (qcow2_has_data_file(s) && (entry & QCOW2_COPIED));

    if (entry & QCOW2_L2_RESERVED) {
        return "reserved bits are set";
    }
    if ((entry & QCOW2_L2_ZERO) && !zero_flag_allowed) {
        return "the zero flag is set, which this version of the format has not";
    }
    if (offset & (s->cluster_bytes - 1)) {
        return "the host offset is not aligned to clusters";
    }
    if ((entry & QCOW2_COPIED) && !has_host && !(entry & QCOW2_L2_ZERO)) {
        return "a cluster in use at host offset 0, where the header is";
    }
    if (has_host && qcow2_has_data_file(s) && offset != guest_offset) {
        return "the host offset in the external data file differs from the guest offset";
    }

    extent->has_host = has_host;
    extent->copied = has_host && (entry & QCOW2_COPIED);
    extent->host_offset = has_host ? offset + ((uint64_t)sc << s->subcluster_bits) : 0;
    if (qcow2_has_extended_l2(s)) {
        const char *reason = decode_subclusters(bitmap, has_host, sc, extent, count);
        if (reason) {
            return reason;
        }
    } else if (entry & QCOW2_L2_ZERO) {
        extent->type = QCOW2_EXTENT_ZERO;
    } else {
        extent->type = has_host ? QCOW2_EXTENT_DATA : QCOW2_EXTENT_UNALLOCATED;
    }
    if (extent->type == QCOW2_EXTENT_DATA &&
        offset >= (uint64_t)bdrv_length(qcow2_data_node(bs))) {
        return "the data cluster begins at or past the end of the file";
    }
    return NULL;
}

const char *qcow2_decode_entry(BlockDriverState *bs, uint64_t guest_offset, uint64_t entry,
                               uint64_t bitmap, unsigned sc, Qcow2Extent *extent,
                               unsigned *count)
{
    Qcow2State *s = bs->opaque;
    *extent = (Qcow2Extent){ 0 };
    *count = s->subclusters - sc;

    const char *reason =
        entry & QCOW2_L2_COMPRESSED
            ? decode_compressed(bs, entry, extent)
            : decode_standard(bs, guest_offset, entry, bitmap, sc, extent, count);
    if (reason) {
        extent->type = QCOW2_EXTENT_INVALID;
        *count = 1;
    }
    return reason;
}

static bool continues(const Qcow2Extent *extent, const Qcow2Extent *next)
{
    return next->type == extent->type && next->type != QCOW2_EXTENT_COMPRESSED &&
           next->has_host == extent->has_host && next->copied == extent->copied &&
           (!next->has_host || next->host_offset == extent->host_offset + extent->bytes);
}

/* The entry whose index in the table is index; the slice begins at first. */
static uint64_t slice_entry(const Qcow2State *s, const Qcow2Slice *slice, uint64_t first,
                            uint64_t index, uint64_t *bitmap)
{
    const uint8_t *p = slice->data + (index - first) * s->l2_entry_bytes;
    *bitmap = qcow2_has_extended_l2(s) ? be64_load(p + 8) : 0;
    return be64_load(p);
}

static void note_bad_entry(BlockDriverState *bs, uint64_t guest_offset, uint64_t entry,
                           uint64_t bitmap, const char *reason)
{
    Qcow2State *s = bs->opaque;
    g_autofree char *bits =
        qcow2_has_extended_l2(s) ? g_strdup_printf(" (subclusters 0x%016" PRIx64 ")", bitmap)
                                 : g_strdup("");
    qcow2_found_corrupt(bs);
    bdrv_note_error(bs, g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT,
                                    "%s: L2 entry 0x%016" PRIx64 "%s of guest offset 0x%" PRIx64
                                    ": %s",
                                    bdrv_filename(bs), entry, bits, guest_offset, reason));
}

/* The extent at offset, as far as it goes in the slice. */
static int extent_from_slice(BlockDriverState *bs, const Qcow2Slice *slice,
                             uint64_t first, uint64_t end, uint64_t offset, uint64_t bytes,
                             Qcow2Extent *extent)
{
    Qcow2State *s = bs->opaque;
    uint64_t index = offset >> s->header.cluster_bits & ((UINT64_C(1) << s->l2_bits) - 1);
    uint64_t cluster = round_down_pow2(offset, s->cluster_bytes);
    uint64_t sc_bytes = UINT64_C(1) << s->subcluster_bits;
    uint64_t in_sc = offset & (sc_bytes - 1);
    unsigned sc = (offset - cluster) >> s->subcluster_bits;
    uint64_t bitmap;
    uint64_t entry = slice_entry(s, slice, first, index, &bitmap);
    unsigned count;

    const char *reason = qcow2_decode_entry(bs, cluster, entry, bitmap, sc, extent, &count);
    if (reason) {
        note_bad_entry(bs, cluster, entry, bitmap, reason);
        return -EIO;
    }
    if (extent->type == QCOW2_EXTENT_COMPRESSED) {
        extent->bytes = MIN(bytes, cluster + s->cluster_bytes - offset);
        return 0;
    }

    extent->bytes = (uint64_t)count << s->subcluster_bits;
    while (extent->bytes - in_sc < bytes) {
        sc += count;
        if (sc == s->subclusters) {
            sc = 0;
            cluster += s->cluster_bytes;
            if (++index == end) {
                break;
            }
            entry = slice_entry(s, slice, first, index, &bitmap);
        }
        Qcow2Extent next;
        if (qcow2_decode_entry(bs, cluster, entry, bitmap, sc, &next, &count) ||
            !continues(extent, &next)) {
            break;
        }
        extent->bytes += (uint64_t)count << s->subcluster_bits;
    }
    extent->bytes = MIN(extent->bytes - in_sc, bytes);
    extent->host_offset += extent->has_host ? in_sc : 0;
    return 0;
}

/* Runs of missing L2 tables are one extent. */
static void extent_without_table(const Qcow2State *s, uint64_t l1_index, uint64_t offset,
                                 uint64_t bytes, Qcow2Extent *extent)
{
    unsigned shift = s->l2_bits + s->header.cluster_bits;
    uint64_t end = MIN(s->l1_size, ((offset + bytes - 1) >> shift) + 1);

    while (++l1_index < end && s->l1_table[l1_index] == 0) {
    }
    *extent = (Qcow2Extent){ .type = QCOW2_EXTENT_UNALLOCATED,
                             .bytes = MIN(bytes, (l1_index << shift) - offset) };
}

int qcow2_check_l1_entry(BlockDriverState *bs, uint64_t l1_index, uint64_t entry,
                         uint64_t guest_offset)
{
    Qcow2State *s = bs->opaque;
    uint64_t offset = entry & QCOW2_OFFSET_MASK;
    const char *reason = NULL;

    if (entry & QCOW2_L1_RESERVED) {
        reason = "reserved bits are set";
    } else if (offset & (s->cluster_bytes - 1)) {
        reason = "the L2 table is not aligned to clusters";
    } else if (offset == 0) {
        reason = "an L2 table in use at offset 0, where the header is";
    } else if (!range_fits(offset, s->cluster_bytes, qcow2_file_end(bs))) {
        reason = "the L2 table reaches past the end of the file";
    }
    if (!reason) {
        return 0;
    }
    qcow2_found_corrupt(bs);
    bdrv_note_error(bs, g_error_new(EMBR_ERROR, EMBR_ERROR_CORRUPT,
                                    "%s: L1 entry %" PRIu64 " (0x%016" PRIx64
                                    ") of guest offset 0x%" PRIx64 ": %s",
                                    bdrv_filename(bs), l1_index, entry, guest_offset, reason));
    return -EIO;
}

int coroutine_fn qcow2_co_get_extent(BlockDriverState *bs, uint64_t offset, uint64_t bytes,
                                     Qcow2Extent *extent)
{
    Qcow2State *s = bs->opaque;
    uint64_t l1_index = offset >> (s->l2_bits + s->header.cluster_bits);

    if (qcow2_has_data_file(s) && !bs->data_file) {
        return -EIO;
    }
    g_return_val_if_fail(l1_index < s->l1_size, -EIO);
    uint64_t l1_entry = s->l1_table[l1_index];
    if (l1_entry == 0) {
        extent_without_table(s, l1_index, offset, bytes, extent);
        return 0;
    }
    int ret = qcow2_check_l1_entry(bs, l1_index, l1_entry, offset);
    if (ret < 0) {
        return ret;
    }

    size_t slice_bytes = qcow2_cache_slice_bytes(s->l2_cache);
    uint64_t per_slice = slice_bytes / s->l2_entry_bytes;
    uint64_t l2_index = offset >> s->header.cluster_bits & ((UINT64_C(1) << s->l2_bits) - 1);
    uint64_t first = round_down_pow2(l2_index, per_slice);
    Qcow2Slice *slice;

    ret = qcow2_cache_co_get(s->l2_cache, bs->file,
                                (l1_entry & QCOW2_OFFSET_MASK) + first * s->l2_entry_bytes,
                                &slice);
    if (ret < 0) {
        return ret;
    }
    ret = extent_from_slice(bs, slice, first, first + per_slice, offset, bytes, extent);
    qcow2_cache_put(slice);
    return ret;
}
