/*
 * Requests in flight: which writes have to wait for each other, and what is still being read.
 *
 * Writes into clusters that are in place go on side by side.  Who changes what belongs to a
 * cluster has it alone: allocation with copy on write, zeroes, discards.
 */
#include "qcow2-writer.h"

static bool conflicts(const Qcow2Writer *w, uint64_t start, uint64_t end, bool exclusive)
{
    for (const GList *l = w->ranges.head; l; l = l->next) {
        const Qcow2Range *range = l->data;
        if ((exclusive || range->exclusive) && start < range->end && end > range->start) {
            return true;
        }
    }
    return false;
}

bool coroutine_fn qcow2_co_range_begin(Qcow2Writer *w, Qcow2Range *range, uint64_t start,
                                       uint64_t end, bool exclusive)
{
    if (conflicts(w, start, end, exclusive)) {
        co_queue_wait(&w->range_waiters);
        return false;
    }
    *range = (Qcow2Range){ .start = start, .end = end, .exclusive = exclusive };
    range->link.data = range;
    g_queue_push_head_link(&w->ranges, &range->link);
    return true;
}

void qcow2_range_end(Qcow2Writer *w, Qcow2Range *range)
{
    g_queue_unlink(&w->ranges, &range->link);
    co_queue_all(&w->range_waiters);
}

uint64_t qcow2_read_begin(Qcow2State *s)
{
    if (!s->writer) {
        return 0;
    }
    s->writer->readers[s->writer->epoch % 2]++;
    return s->writer->epoch;
}

void qcow2_read_end(Qcow2State *s, uint64_t epoch)
{
    if (s->writer && --s->writer->readers[epoch % 2] == 0) {
        co_queue_all(&s->writer->reader_waiters);
    }
}

void coroutine_fn qcow2_co_wait_for_readers(Qcow2Writer *w)
{
    unsigned before = w->epoch++ % 2;

    while (w->readers[before] > 0) {
        co_queue_wait(&w->reader_waiters);
    }
}
