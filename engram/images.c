/*
 * What images have in common; taking one out.
 */
#include "engram/images.h"

#include "engram/sink-base.h"
#include "engram/uses.h"
#include "qapi/qapi-visit.h"
#include "util/error.h"

/* The uses of one chunk, one for each image. */
static void count_chunk(const GArray *group, GPtrArray *usage)
{
    for (guint i = 0; i < group->len; i++) {
        const EngramUse *use = &g_array_index(group, EngramUse, i);
        EngramImageUsage *image = g_ptr_array_index(usage, use->image);

        image->data_bytes += use->bytes;
        image->shared_bytes += group->len > 1 ? use->bytes : 0;
    }
}

static void add_to_group(GArray *group, const EngramUse *use)
{
    EngramUse *last =
        group->len ? &g_array_index(group, EngramUse, group->len - 1) : NULL;

    if (last && last->image == use->image) {
        last->bytes += use->bytes;
    } else {
        g_array_append_val(group, *use);
    }
}

static bool count_uses(RecordSorter *uses, GPtrArray *usage, GError **errp)
{
    g_autoptr(GArray) group = g_array_new(FALSE, FALSE, sizeof(EngramUse));
    EngramUse use;
    int ret;

    while ((ret = record_sorter_next(uses, &use, errp)) > 0) {
        if (group->len &&
            engram_use_compare(&use, &g_array_index(group, EngramUse, 0)) != 0) {
            count_chunk(group, usage);
            g_array_set_size(group, 0);
        }
        add_to_group(group, &use);
    }
    count_chunk(group, usage);
    return ret == 0;
}

GPtrArray *coroutine_fn engram_co_image_usage(EngramFile *f, const char *spool_dir,
                                              GError **errp)
{
    g_autoptr(RecordSorter) uses = engram_co_uses(f, spool_dir, errp);
    g_autoptr(GPtrArray) usage = engram_image_usage_list_new();

    for (uint32_t i = 0; i < f->n_images; i++) {
        g_ptr_array_add(usage, engram_image_usage_new0());
    }
    return uses && count_uses(uses, usage, errp) ? g_steal_pointer(&usage) : NULL;
}

bool coroutine_fn engram_co_delete_image(const char *path, const char *name, GError **errp)
{
    g_autoptr(OutFile) file = out_file_open(path, errp);
    g_autoptr(EngramFile) base = file ? sink_base_co_open_locked(file, errp) : NULL;
    int64_t index = base ? engram_file_co_find(base, name, errp) : -1;
    g_autofree EngramSlot *slot = g_new0(EngramSlot, 1);
    g_auto(CommitPlan) plan = { 0 };
    ObjectWriter out;

    if (index < 0) {
        return false;
    }
    if (base->n_images == 1) {
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_INVALID,
                    "%s: '%s' is the only image in it; remove the file instead", path,
                    name);
        return false;
    }
    out_file_set_end(file, base->end);
    commit_plan_init(&plan, base);
    g_array_remove_index(plan.images, index);
    object_writer_init(&out, file, base->end);
    bool ok = commit_co_write_record(&out, &plan, slot, errp);
    object_writer_clear(&out);
    if (!ok) {
        return false;
    }
    out_file_keep(file);
    return commit_co_write_slot(file, slot, errp) && out_file_publish(file, errp);
}
