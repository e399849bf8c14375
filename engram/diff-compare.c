/*
 * What differs between two files.
 */
#include <sys/stat.h>

#include "engram/diff-records.h"

static unsigned compare_metadata(const DiffFile *a, const DiffFile *b)
{
    unsigned aspects = 0;

    aspects |= (a->mode ^ b->mode) & 07777 ? ENGRAM_DIFF_MODE : 0;
    aspects |= a->uid != b->uid ? ENGRAM_DIFF_OWNER : 0;
    aspects |= a->gid != b->gid ? ENGRAM_DIFF_GROUP : 0;
    aspects |= a->mtime_sec != b->mtime_sec || a->mtime_nsec != b->mtime_nsec
                   ? ENGRAM_DIFF_MTIME
                   : 0;
    aspects |= a->first_name != b->first_name ? ENGRAM_DIFF_LINKS : 0;
    aspects |= memcmp(a->filesystem, b->filesystem, sizeof(a->filesystem)) != 0
                   ? ENGRAM_DIFF_FILESYSTEM
                   : 0;
    return aspects;
}

static bool attributes_differ(const DiffFile *a, const DiffFile *b, bool *unknown)
{
    if (!a->has_attributes || !b->has_attributes) {
        *unknown = true;
        return true;
    }
    return memcmp(a->attributes, b->attributes, ENGRAM_DIGEST_BYTES) != 0;
}

/* What makes up files of that type beside metadata; 0: nothing. */
static unsigned content_aspect(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return ENGRAM_DIFF_CONTENT;
    case S_IFLNK:
        return ENGRAM_DIFF_TARGET;
    case S_IFCHR:
    case S_IFBLK:
        return ENGRAM_DIFF_DEVICE;
    default:
        return 0;
    }
}

static bool content_differs(const DiffFile *a, const DiffFile *b, bool *unknown)
{
    if (a->has_digest && b->has_digest) {
        return memcmp(a->digest, b->digest, ENGRAM_DIGEST_BYTES) != 0;
    }
    *unknown |= !S_ISREG(a->mode) || a->size == b->size;
    return true;
}

void diff_compare_files(DiffRecord *record)
{
    const DiffFile *a = &record->file[0], *b = &record->file[1];
    bool content_unknown = false, attributes_unknown = false;

    record->aspects = compare_metadata(a, b);
    if ((a->mode ^ b->mode) & S_IFMT) {
        record->kind = ENGRAM_DIFF_TYPE;
        return;
    }
    if (attributes_differ(a, b, &attributes_unknown)) {
        record->aspects |= ENGRAM_DIFF_ATTRIBUTES;
    }
    unsigned content = content_aspect(a->mode);
    if (content && content_differs(a, b, &content_unknown)) {
        record->aspects |= content;
    }
    if (content_unknown || attributes_unknown) {
        record->kind = ENGRAM_DIFF_UNKNOWN;
    } else if (record->aspects & content) {
        record->kind = ENGRAM_DIFF_MODIFIED;
    } else {
        record->kind = ENGRAM_DIFF_METADATA;
    }
    record->gone = !record->aspects;
}

void diff_compare_pair(DiffRecord *record)
{
    diff_compare_files(record);
    record->kind = ENGRAM_DIFF_RENAMED;
    record->aspects &= ~(unsigned)ENGRAM_DIFF_LINKS;    /* which name it is of is another path */
    record->gone = false;
}
