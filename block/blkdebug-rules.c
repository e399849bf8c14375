/*
 * Rules of blkdebug: which requests fail, and where they stop.
 */
#include <errno.h>
#include <string.h>
#include "blkdebug.h"
#include "qapi/qapi-visit.h"

enum { SECTOR_BYTES = 512 };

typedef struct BlkdebugBreak {
    BlkdebugEvent event;
    char *tag;
} BlkdebugBreak;

typedef struct BlkdebugStopped {
    char *tag;
    Coroutine *co;
} BlkdebugStopped;

static void clear_break(gpointer p)
{
    g_free(((BlkdebugBreak *)p)->tag);
}

void blkdebug_rules_init(BlkdebugState *s)
{
    s->state = 1;
    s->injects = blkdebug_inject_error_options_list_new();
    s->changes = blkdebug_set_state_options_list_new();
    s->active = g_ptr_array_new();
    s->stopped = g_ptr_array_new();
    s->breaks = g_array_new(FALSE, FALSE, sizeof(BlkdebugBreak));
    g_array_set_clear_func(s->breaks, clear_break);
    co_queue_init(&s->arrivals);
}

void blkdebug_rules_clear(BlkdebugState *s)
{
    g_clear_pointer(&s->injects, g_ptr_array_unref);
    g_clear_pointer(&s->changes, g_ptr_array_unref);
    g_clear_pointer(&s->active, g_ptr_array_unref);
    g_clear_pointer(&s->stopped, g_ptr_array_unref);
    g_clear_pointer(&s->breaks, g_array_unref);
}

void blkdebug_add_rules(BlkdebugState *s, BlkdebugRules *rules)
{
    g_autoptr(BlkdebugRules) owned = rules;

    while (owned && owned->inject_error && owned->inject_error->len) {
        g_ptr_array_add(s->injects, g_ptr_array_steal_index(owned->inject_error, 0));
    }
    while (owned && owned->set_state && owned->set_state->len) {
        g_ptr_array_add(s->changes, g_ptr_array_steal_index(owned->set_state, 0));
    }
}

static bool holds(const BlkdebugState *s, bool has_state, int64_t state)
{
    return !has_state || state == 0 || state == s->state;
}

/* The rules of this event take the place of those that held before, if there are any. */
static void activate(BlkdebugState *s, BlkdebugEvent event)
{
    bool first = true;

    for (guint i = 0; i < s->injects->len; i++) {
        BlkdebugInjectErrorOptions *rule = s->injects->pdata[i];
        if (rule->event != event || !holds(s, rule->has_state, rule->state)) {
            continue;
        }
        if (first) {
            g_ptr_array_set_size(s->active, 0);
        }
        first = false;
        g_ptr_array_add(s->active, rule);
    }
}

static void change_state(BlkdebugState *s, BlkdebugEvent event)
{
    int64_t after = s->state;

    for (guint i = 0; i < s->changes->len; i++) {
        const BlkdebugSetStateOptions *rule = s->changes->pdata[i];
        if (rule->event == event && holds(s, rule->has_state, rule->state)) {
            after = rule->new_state;
        }
    }
    s->state = after;
}

static void coroutine_fn co_stop(BlkdebugState *s, char *tag)
{
    BlkdebugStopped stopped = { .tag = tag, .co = coroutine_self() };

    g_ptr_array_add(s->stopped, &stopped);
    co_queue_all(&s->arrivals);
    coroutine_yield();
    g_ptr_array_remove(s->stopped, &stopped);
    g_free(tag);
}

/* The first break of the event, which has then done its work. NULL: there is none. */
static char *take_break(BlkdebugState *s, BlkdebugEvent event)
{
    for (guint i = 0; i < s->breaks->len; i++) {
        BlkdebugBreak *b = &g_array_index(s->breaks, BlkdebugBreak, i);
        if (b->event == event) {
            char *tag = g_steal_pointer(&b->tag);
            g_array_remove_index(s->breaks, i);
            return tag;
        }
    }
    return NULL;
}

void coroutine_fn blkdebug_co_event(BlockDriverState *bs, BlkdebugEvent event)
{
    BlkdebugState *s = bs->opaque;
    char *tag;

    activate(s, event);
    change_state(s, event);
    while ((tag = take_break(s, event))) {
        co_stop(s, tag);
    }
}

static bool fits(const BlkdebugInjectErrorOptions *rule, BlkdebugIOType type, int64_t offset,
                 int64_t bytes)
{
    if (rule->has_iotype ? rule->iotype != type : type == BLKDEBUG_IO_TYPE_BLOCK_STATUS) {
        return false;
    }
    if (!rule->has_sector || rule->sector < 0) {
        return true;
    }
    return rule->sector <= G_MAXINT64 / SECTOR_BYTES && bytes &&
           rule->sector * SECTOR_BYTES >= offset &&
           rule->sector * SECTOR_BYTES - offset < bytes;
}

int coroutine_fn blkdebug_co_check(BlockDriverState *bs, BlkdebugIOType type, int64_t offset,
                                   int64_t bytes)
{
    BlkdebugState *s = bs->opaque;
    BlkdebugInjectErrorOptions *rule = NULL;

    for (guint i = 0; i < s->active->len && !rule; i++) {
        if (fits(s->active->pdata[i], type, offset, bytes)) {
            rule = s->active->pdata[i];
        }
    }
    if (!rule) {
        return 0;
    }
    int error = rule->has_q_errno ? (int)rule->q_errno : EIO;
    bool immediately = rule->has_immediately && rule->immediately;
    if (rule->has_once && rule->once) {
        g_ptr_array_remove(s->active, rule);
        g_ptr_array_remove(s->injects, rule);
    }
    if (error && !immediately) {
        aio_co_reschedule_self();
    }
    return -error;
}

int blkdebug_break(BlockDriverState *bs, const char *event, const char *tag)
{
    BlkdebugState *s = bs->opaque;
    int value;

    if (!qapi_enum_parse(&qapi_type_blkdebug_event, event, &value, NULL)) {
        return -ENOENT;
    }
    BlkdebugBreak b = { .event = value, .tag = g_strdup(tag) };
    g_array_append_val(s->breaks, b);
    return 0;
}

static bool wake(BlkdebugState *s, const char *tag)
{
    for (guint i = 0; i < s->stopped->len; i++) {
        BlkdebugStopped *stopped = s->stopped->pdata[i];
        if (strcmp(stopped->tag, tag) == 0) {
            g_ptr_array_remove_index(s->stopped, i);
            aio_co_schedule(aio_context_current(), stopped->co);
            return true;
        }
    }
    return false;
}

int blkdebug_resume(BlockDriverState *bs, const char *tag)
{
    return wake(bs->opaque, tag) ? 0 : -ENOENT;
}

int blkdebug_remove_break(BlockDriverState *bs, const char *tag)
{
    BlkdebugState *s = bs->opaque;
    int ret = -ENOENT;

    for (guint i = s->breaks->len; i-- > 0;) {
        if (strcmp(g_array_index(s->breaks, BlkdebugBreak, i).tag, tag) == 0) {
            g_array_remove_index(s->breaks, i);
            ret = 0;
        }
    }
    while (wake(s, tag)) {
        ret = 0;
    }
    return ret;
}

bool blkdebug_is_stopped(BlockDriverState *bs, const char *tag)
{
    BlkdebugState *s = bs->opaque;

    for (guint i = 0; i < s->stopped->len; i++) {
        if (strcmp(((BlkdebugStopped *)s->stopped->pdata[i])->tag, tag) == 0) {
            return true;
        }
    }
    return false;
}

void coroutine_fn blkdebug_co_wait_for_stop(BlockDriverState *bs)
{
    BlkdebugState *s = bs->opaque;
    co_queue_wait(&s->arrivals);
}
