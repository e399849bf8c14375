/* What directory records and Rock Ridge say of a file. */
#include "iso9660.h"

enum {
    PLAIN_MODE = 0555,
    COUNTED_BYTES = 512, /* Linux counts these, not blocks */
};

/* Makers of Rock Ridge mean the time of attributes by that of creation: so does Linux.
 */
static void set_times(const IsoRecord *record, FsStat *st)
{
    enum { CREATION, MODIFICATION, ACCESS, ATTRIBUTES };
    const IsoRock *rock = &record->rock;

    st->mtime = rock->has_time[MODIFICATION] ? rock->times[MODIFICATION]
                                             : iso_time_short(record->head.time);
    st->atime = rock->has_time[ACCESS] ? rock->times[ACCESS] : st->mtime;
    st->ctime = rock->has_time[ATTRIBUTES] ? rock->times[ATTRIBUTES]
                : rock->has_time[CREATION] ? rock->times[CREATION]
                                           : st->mtime;
    st->crtime = rock->times[CREATION];
}

static bool coroutine_fn set_size(IsoState *s, const IsoRecord *record, FsStat *st,
                                  GError **errp)
{
    st->size = record->content_bytes;
    if (S_ISLNK(st->mode)) {
        st->size = record->rock.target->len;
        return true;
    }
    if (S_ISREG(st->mode) && record->head.flags & ISO_FLAG_GOES_ON) {
        g_autoptr(GArray) pieces = iso_file_co_pieces(s, record, errp);

        if (!pieces) {
            return false;
        }
        st->size = 0;
        for (guint i = 0; i < pieces->len; i++) {
            st->size += g_array_index(pieces, IsoPiece, i).bytes;
        }
    }
    st->allocated = round_up_pow2(st->size, COUNTED_BYTES);
    if (S_ISREG(st->mode) && record->rock.zisofs_version) {
        st->size = iso_zisofs_content_bytes(record);
        if (st->size > INT64_MAX) {
            iso_error(s, errp, EMBR_ERROR_CORRUPT, record->offset,
                      "zisofs: the content is 0x%" PRIx64 " bytes", st->size);
            return false;
        }
    }
    return true;
}

bool coroutine_fn iso_record_co_stat(IsoState *s, const IsoRecord *record, FsStat *st,
                                     GError **errp)
{
    const IsoRock *rock = &record->rock;
    bool is_directory = iso_record_is_directory(record);

    st->mode = (is_directory ? S_IFDIR : S_IFREG) | PLAIN_MODE;
    st->nlink = 1;
    if (rock->has_posix) {
        st->mode = rock->mode;
        st->nlink = rock->nlink;
        st->uid = rock->uid;
        st->gid = rock->gid;
    }
    if (is_directory != !!S_ISDIR(st->mode) || (S_ISLNK(st->mode) && !rock->target)) {
        iso_error(
            s, errp, EMBR_ERROR_CORRUPT, record->offset, "mode is 0%o of %s", st->mode,
            is_directory ? "a directory" : "a file that is none, or has no target");
        return false;
    }
    if (S_ISBLK(st->mode) || S_ISCHR(st->mode)) {
        st->rdev_major = rock->rdev_major;
        st->rdev_minor = rock->rdev_minor;
    }
    set_times(record, st);
    return set_size(s, record, st, errp);
}
