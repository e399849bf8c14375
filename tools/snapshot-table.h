/*
 * Internal snapshots, as qemu-img lists them.
 */
#ifndef EMBR_TOOLS_SNAPSHOT_TABLE_H
#define EMBR_TOOLS_SNAPSHOT_TABLE_H

#include <glib.h>

/* A list of SnapshotInfo, on stdout. */
void snapshot_table_print(const GPtrArray *snapshots);

#endif
