/*
 * Which file of the host a node is.
 */
#include <sys/stat.h>
#include "block/block-int.h"

static bool identity_is_known(const BlockIdentity *identity)
{
    return identity->device || identity->inode;
}

bool bdrv_stat_identity(const struct stat *st, BlockIdentity *identity)
{
    if (S_ISBLK(st->st_mode)) {
        *identity = (BlockIdentity){ G_MAXUINT64, st->st_rdev };
        return true;
    }
    *identity = (BlockIdentity){ st->st_dev, st->st_ino };
    return S_ISREG(st->st_mode);
}

bool bdrv_path_identity(const char *path, BlockIdentity *identity)
{
    struct stat st;

    return stat(path, &st) == 0 && bdrv_stat_identity(&st, identity);
}

BlockIdentity bdrv_identity(const BlockDriverState *bs)
{
    while (bs->file) {
        bs = bs->file;
    }
    return bs->identity;
}

BlockDriverState *bdrv_find_file(BlockDriverState *bs, const BlockIdentity *identity)
{
    if (!identity_is_known(identity)) {
        return NULL;
    }
    for (; bs; bs = bs->backing) {
        if (!bs->file && bs->identity.device == identity->device &&
            bs->identity.inode == identity->inode) {
            return bs;
        }
        BlockDriverState *found = bs->file ? bdrv_find_file(bs->file, identity) : NULL;
        if (!found && bs->data_file) {
            found = bdrv_find_file(bs->data_file, identity);
        }
        if (found) {
            return found;
        }
    }
    return NULL;
}
