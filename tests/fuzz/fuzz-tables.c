/* Changes partition tables: what a change does not refuse leaves a table that can be
 * read, with the partitions that were meant. */
#include "fs/table.h"
#include "mend.h"
#include "qapi/qapi-types.h"
#include "tests/lib/scratch-disk.h"
#include "util/endian.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

typedef struct Input {
    const uint8_t *data;
    size_t size;
} Input;

static guint coroutine_fn co_count(BlockBackend *disk)
{
    g_autoptr(VolumeTable) table = part_table_co_read(disk, NULL);

    return table ? table->volumes->len : 0;
}

static void coroutine_fn co_try_add(BlockBackend *disk, PartKind kind)
{
    const PartAdd add = {.kind = kind, .has_size = true, .size = 1000, .align = 4096};
    guint before = co_count(disk);
    g_autoptr(GError) error = NULL;
    unsigned number = 0;

    if (part_table_co_add(disk, &add, &number, &error)) {
        g_assert_cmpuint(co_count(disk), ==, before + 1);
        g_assert_true(part_table_co_delete(disk, &number, 1, &error));
        g_assert_cmpuint(co_count(disk), ==, before);
    } else {
        g_assert_nonnull(error);
    }
}

static void coroutine_fn co_try(void *opaque)
{
    const Input *input = opaque;
    g_autofree uint8_t *data = g_memdup2(input->data, input->size);
    ScratchDisk scratch = {data, input->size, G_MAXUINT, 0};
    g_autoptr(BlockBackend) disk = scratch_disk_open(&scratch);
    g_autoptr(GPtrArray) findings = g_ptr_array_new_with_free_func(g_free);
    const char *type;

    if (!part_table_co_verify(disk, findings, &type, NULL)) {
        return;
    }
    for (guint i = 0; i < findings->len; i++) {
        g_assert_true(g_utf8_validate(g_ptr_array_index(findings, i), -1, NULL));
    }
    bool was_read = co_count(disk) > 0;
    part_table_co_repair(disk, NULL);
    g_assert_true(!was_read || co_count(disk) > 0);
    co_try_add(disk, PART_PRIMARY);
    co_try_add(disk, PART_LOGICAL);
    part_table_co_delete(disk, &(unsigned){1}, 1, NULL);
    part_table_co_delete(disk, &(unsigned){5}, 1, NULL);
    part_table_co_verify(disk, findings, &type, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static AioContext *ctx;
    Input input = {data, size / 512 * 512};

    if (!ctx) {
        ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);
        g_assert_nonnull(ctx);
    }
    if (input.size) {
        aio_run(ctx, co_try, &input);
    }
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (seed % 8) {
        mend_gpt(data, size);
    }
    return size;
}
