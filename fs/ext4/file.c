/* Content: of files, of symbolic links, and where it lies. */
#include "ext4.h"

enum {
    READS_IN_FLIGHT = 8,
    SYMLINK_MAX_BYTES = 64 * 1024,
};

static bool coroutine_fn read_inline(Ext4State *s, Ext4Inode *inode, uint64_t offset,
                                     uint64_t bytes, uint8_t *buf, GError **errp)
{
    const uint8_t *value;
    uint32_t value_bytes;

    if (!ext4_xattr_inline_data(s, inode, &value, &value_bytes, errp)) {
        return false;
    }
    memset(buf, 0, bytes);
    if (offset < EXT4_INLINE_BYTES) {
        uint64_t part = MIN(bytes, EXT4_INLINE_BYTES - offset);

        memcpy(buf, ext4_inode_disk(inode)->block + offset, part);
        offset += part;
        buf += part;
        bytes -= part;
    }

    uint64_t at = offset - MIN(offset, EXT4_INLINE_BYTES);

    if (bytes && value && at < value_bytes) {
        memcpy(buf, value + at, MIN(bytes, value_bytes - at));
    }
    return true;
}

/* The reads of one call: each run its own coroutine if there are several. */
typedef struct ReadSet {
    Ext4State *s;
    Ext4Inode *inode;
    CoQueue done;
    unsigned in_flight;
    GError *error; /* the first */
} ReadSet;

typedef struct ReadJob {
    ReadSet *set;
    uint64_t offset, bytes; /* on the volume */
    void *buf;
} ReadJob;

static void coroutine_fn run_job(ReadSet *set, uint64_t offset, uint64_t bytes,
                                 void *buf)
{
    GError *error = NULL;

    if (ext4_device_co_read(set->s, offset, bytes, buf, "file content", &error)) {
        return;
    }
    if (set->error) {
        g_error_free(error);
        return;
    }
    g_prefix_error(&error, "inode %" PRIu64 ": ", set->inode->ino);
    set->error = error;
}

static void coroutine_fn job_entry(void *opaque)
{
    ReadJob *job = opaque;
    ReadSet *set = job->set;

    run_job(set, job->offset, job->bytes, job->buf);
    g_free(job);
    set->in_flight--;
    co_queue_next(&set->done);
}

static void coroutine_fn start_job(ReadSet *set, uint64_t offset, uint64_t bytes,
                                   void *buf, bool is_last)
{
    if (is_last && !set->in_flight) {
        run_job(set, offset, bytes, buf);
        return;
    }
    while (set->in_flight >= READS_IN_FLIGHT) {
        co_queue_wait(&set->done);
    }

    ReadJob *job = g_new(ReadJob, 1);

    *job = (ReadJob){.set = set, .offset = offset, .bytes = bytes, .buf = buf};
    set->in_flight++;
    coroutine_enter(coroutine_create(job_entry, job));
}

bool coroutine_fn ext4_file_co_read(Ext4State *s, Ext4Inode *inode, uint64_t offset,
                                    uint64_t bytes, void *buf, GError **errp)
{
    ReadSet set = {.s = s, .inode = inode};
    uint8_t *out = buf;

    if (ext4_inode_is_inline(inode)) {
        return read_inline(s, inode, offset, bytes, buf, errp);
    }
    co_queue_init(&set.done);
    while (bytes && !set.error) {
        uint32_t within = offset & (s->geo.block_bytes - 1);
        uint64_t count = div_round_up(within + bytes, s->geo.block_bytes);
        Ext4Run run;

        if (!ext4_map_co(s, inode, offset >> s->geo.block_bits, count, &run,
                         &set.error)) {
            break;
        }

        uint64_t part = MIN(bytes, (run.count << s->geo.block_bits) - within);

        if (!run.physical || run.unwritten) {
            memset(out, 0, part);
        } else {
            start_job(&set, ext4_block_offset(s, run.physical) + within, part, out,
                      part == bytes);
        }
        offset += part;
        out += part;
        bytes -= part;
    }
    while (set.in_flight) {
        co_queue_wait(&set.done);
    }
    if (set.error) {
        g_propagate_error(errp, set.error);
        return false;
    }
    return true;
}

/* Ciphertext as the kernel shows it to those without the key. */
static char *show_encrypted_target(const Ext4State *s, const Ext4Inode *inode,
                                   const uint8_t *target, GError **errp)
{
    static const Ext4Hash no_hash;
    uint64_t size = inode->stat.size;
    char name[EXT4_NOKEY_NAME_MAX];

    if (size < 2 || le16_load(target) > size - 2 || !le16_load(target)) {
        ext4_error(
            s, errp, EMBR_ERROR_CORRUPT, inode->offset,
            "inode %" PRIu64 ": encrypted target of %u bytes, expected 1 to %" PRIu64,
            inode->ino, size < 2 ? 0 : le16_load(target), size < 2 ? 0 : size - 2);
        return NULL;
    }
    ext4_nokey_name(&no_hash, target + 2, le16_load(target), name);
    return g_strdup(name);
}

char *coroutine_fn ext4_file_co_readlink(Ext4State *s, Ext4Inode *inode, GError **errp)
{
    uint64_t size = inode->stat.size;

    if (!S_ISLNK(inode->stat.mode)) {
        ext4_error(s, errp, EMBR_ERROR_INVALID, inode->offset,
                   "inode %" PRIu64 " is not a symbolic link", inode->ino);
        return NULL;
    }
    if (!size || size > MIN(s->geo.block_bytes, SYMLINK_MAX_BYTES)) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, inode->offset,
                   "inode %" PRIu64 ": symbolic link of %" PRIu64
                   " bytes, expected 1 to %u",
                   inode->ino, size, s->geo.block_bytes);
        return NULL;
    }

    g_autofree char *target = g_malloc(size + 1);

    if (ext4_inode_is_fast_symlink(s, inode)) {
        memcpy(target, ext4_inode_disk(inode)->block, size);
    } else if (!ext4_file_co_read(s, inode, 0, size, target, errp)) {
        return NULL;
    }
    target[size] = 0;
    if (inode->flags & EXT4_ENCRYPT_FL) {
        return show_encrypted_target(s, inode, (const uint8_t *)target, errp);
    }
    return g_steal_pointer(&target);
}

/* Adds the parts of a run: those whose current bytes are in the journal are not on the
 * device where they belong. Returns how many were added. */
static unsigned add_extents(Ext4State *s, const Ext4Inode *inode, const Ext4Run *run,
                            unsigned max, GArray *list)
{
    unsigned bits = s->geo.block_bits;
    uint32_t flags = run->unwritten ? FS_EXTENT_UNWRITTEN : 0;
    unsigned added = 0;
    uint64_t done = 0;

    if ((inode->flags & EXT4_ENCRYPT_FL) && S_ISREG(inode->stat.mode)) {
        flags |= FS_EXTENT_ENCODED;
    }
    if (s->geo.ro_compat & EXT4_RO_SHARED_BLOCKS) {
        flags |= FS_EXTENT_SHARED;
    }
    while (done < run->count && added < max) {
        uint64_t count = run->count - done;
        bool journaled = false;
        guint index;

        if (s->journal && !run->unwritten) {
            journaled =
                ext4_journal_find(s->journal, run->physical + done, &count, &index);
            count = journaled ? 1 : count;
        }

        FsExtent extent = {
            .file_offset = (run->logical + done) << bits,
            .device_offset = (run->physical + done) << bits,
            .length = count << bits,
            .flags = flags | (journaled ? FS_EXTENT_ENCODED : 0),
        };
        g_array_append_val(list, extent);
        added++;
        done += count;
    }
    return added;
}

static bool continues(const Ext4Run *run, const Ext4Run *next)
{
    return run->unwritten == next->unwritten &&
           next->logical == run->logical + run->count &&
           next->physical == run->physical + run->count;
}

/* A map in circles seems to hold more blocks than there are. Only who goes through it
 * from the start to the end needs to be told. */
static bool count_mapped(const Ext4State *s, Ext4Inode *inode, const Ext4Run *run,
                         GError **errp)
{
    if (run->logical < inode->mapped_to) {
        return true;
    }
    inode->mapped_to = run->logical + run->count;
    inode->mapped += run->count;
    if (inode->mapped > s->geo.blocks_count &&
        !(s->geo.ro_compat & EXT4_RO_SHARED_BLOCKS)) {
        ext4_error(s, errp, EMBR_ERROR_CORRUPT, inode->offset,
                   "inode %" PRIu64
                   ": its map holds more blocks than the filesystem's %" PRIu64,
                   inode->ino, s->geo.blocks_count);
        return false;
    }
    return true;
}

bool coroutine_fn ext4_file_co_extents(Ext4State *s, Ext4Inode *inode,
                                       uint64_t file_offset, unsigned max, GArray *list,
                                       GError **errp)
{
    uint64_t logical = file_offset >> s->geo.block_bits;
    uint64_t end = UINT64_C(1) << 32;
    Ext4Run pending = {0};
    unsigned added = 0;

    if (ext4_inode_is_inline(inode) || ext4_inode_is_fast_symlink(s, inode) ||
        !(S_ISREG(inode->stat.mode) || S_ISDIR(inode->stat.mode) ||
          S_ISLNK(inode->stat.mode))) {
        return true;
    }
    while (logical < end && added < max) {
        Ext4Run run;

        if (!ext4_map_co(s, inode, logical, end - logical, &run, errp)) {
            return false;
        }
        logical += run.count;
        if (!run.physical) {
            continue;
        }
        if (!count_mapped(s, inode, &run, errp)) {
            return false;
        }
        if (pending.count && continues(&pending, &run)) {
            pending.count += run.count;
            continue;
        }
        if (pending.count) {
            added += add_extents(s, inode, &pending, max - added, list);
        }
        pending = run;
    }
    if (pending.count && added < max) {
        add_extents(s, inode, &pending, max - added, list);
    }
    return true;
}
