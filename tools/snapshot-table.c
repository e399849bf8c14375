#include "snapshot-table.h"

#include <stdio.h>

#include "qapi/qapi-types.h"
#include "report.h"

static void print_snapshot(const SnapshotInfo *snapshot)
{
    g_autofree char *size = report_size(snapshot->vm_state_size);
    g_autoptr(GDateTime) date = g_date_time_new_from_unix_local(snapshot->date_sec);
    g_autofree char *day = date ? g_date_time_format(date, "%Y-%m-%d %H:%M:%S") : NULL;
    int64_t seconds = snapshot->vm_clock_sec;
    g_autofree char *clock =
        g_strdup_printf("%02" G_GINT64_FORMAT ":%02d:%02d.%03d", seconds / 3600,
                        (int)(seconds / 60 % 60), (int)(seconds % 60),
                        (int)(snapshot->vm_clock_nsec / 1000000));
    g_autofree char *icount =
        snapshot->has_icount ? g_strdup_printf("%" G_GINT64_FORMAT, snapshot->icount)
                             : NULL;

    printf("%-9s %-16s %8s%20s%13s%11s\n", snapshot->id, snapshot->name, size,
           day ? day : "", clock, icount ? icount : "");
}

void snapshot_table_print(const GPtrArray *snapshots)
{
    puts("Snapshot list:");
    printf("%-9s %-16s %8s%20s%13s%11s\n", "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK",
           "ICOUNT");
    for (guint i = 0; i < snapshots->len; i++) {
        print_snapshot(g_ptr_array_index(snapshots, i));
    }
}
