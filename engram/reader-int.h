/*
 * What the files of the reader share.
 */
#ifndef EMBR_ENGRAM_READER_INT_H
#define EMBR_ENGRAM_READER_INT_H

#include "engram/object-cache.h"
#include "engram/reader.h"

/* What is known of who reads in sequence. */
typedef struct ReadAhead {
    uint64_t next;              /* where the next request is expected */
    uint64_t streak;            /* bytes read in sequence so far */
    uint64_t done;              /* read ahead up to here */
    bool running;
    bool stop;
    unsigned loads;             /* in flight */
    CoQueue waiters;            /* for running or loads to change */
} ReadAhead;

struct EngramReader {
    EngramFile *file;
    EngramImage *image;
    EngramMapTop top;
    ObjectCache *segments;
    ObjectCache *maps;
    ObjectCache *frames;
    ReadAhead ahead;
    SalvageLog *salvage;        /* NULL: damage is an error */
};

/* The map of a segment, pinned; *map is NULL if it is all zero. */
bool coroutine_fn engram_reader_co_map(EngramReader *r, uint64_t segment,
                                       CachedObject **map, GError **errp);
/* How many segments from this one on are zero for lack of a page; 0 if it has one. */
uint64_t engram_reader_zero_segments(const EngramReader *r, uint64_t segment);

/* A request was made for [offset, offset + bytes): reads ahead if it is one of a
 * sequence. */
void engram_read_ahead(EngramReader *r, uint64_t offset, uint64_t bytes);
/* Ends reading ahead and waits for it. */
void engram_read_ahead_drain(EngramReader *r);

#endif
