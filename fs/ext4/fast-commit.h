/* Fast commits' parts: fast-commit.c reads the log, fc-apply.c does what it says. */
#ifndef EMBR_FS_EXT4_FAST_COMMIT_H
#define EMBR_FS_EXT4_FAST_COMMIT_H

#include "journal.h"
#include "util/byte-reader.h"

Ext4FastCommit *ext4_fc_new(void);

/* What one record says. True also if it makes no sense; false: something is beyond
 * bounds. */
bool coroutine_fn ext4_fc_co_inode(Ext4State *s, ByteReader *value, GError **errp);
bool coroutine_fn ext4_fc_co_add_range(Ext4State *s, ByteReader *value, GError **errp);
bool coroutine_fn ext4_fc_co_remove_range(Ext4State *s, ByteReader *value,
                                          GError **errp);
bool coroutine_fn ext4_fc_co_link(Ext4State *s, ByteReader *value, bool is_new,
                                  GError **errp);
bool coroutine_fn ext4_fc_co_unlink(Ext4State *s, ByteReader *value, GError **errp);

#endif
