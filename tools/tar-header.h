/*
 * Headers of pax archives (POSIX.1-2001), as GNU tar and libarchive extend them:
 * SCHILY.xattr, SCHILY.acl, GNU.sparse 1.0.
 */
#ifndef EMBR_TOOLS_TAR_HEADER_H
#define EMBR_TOOLS_TAR_HEADER_H

#include "extract.h"

enum {
    TAR_BLOCK_BYTES = 512,
    TAR_RECORD_BYTES = 20 * TAR_BLOCK_BYTES, /* an archive is a multiple of this */
};

/* True if the file has holes that are worth leaving out. */
bool tar_is_sparse(const ExtractFile *file);
/* Adds all that comes before the bytes of file's ranges.  *payload: how many bytes the
 * member has from the last header on, of which *written are already in out (the map of
 * a sparse file). */
void tar_append_header(GString *out, const ExtractFile *file, uint64_t *payload,
                       uint64_t *written);
/* The text form of an ACL as an extended attribute holds it; NULL if it is not one. */
char *tar_acl_text(GBytes *value);
/* False if an attribute of that name cannot be told to tar. */
bool tar_can_carry_xattr(const FsXattr *xattr);

#endif
