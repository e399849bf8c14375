/*
 * Ways to tell how alike contents are, compared by bench-likeness.
 */
#ifndef EMBR_BENCH_LIKENESS_METHODS_H
#define EMBR_BENCH_LIKENESS_METHODS_H

#include <glib.h>
#include <stdint.h>

typedef struct LikenessMethod {
    const char *name;
    /* What is remembered of a content; NULL: nothing can be. */
    void *(*digest)(const uint8_t *data, size_t size);
    /* The more, the more alike. */
    double (*score)(const void *a, const void *b);
    double none;                    /* scores up to this say nothing */
    GDestroyNotify free;
} LikenessMethod;

/* Those that this build has, ended by NULL: hypervectors as engrams have them, the same
 * without looking into compressed files, ssdeep, tlsh. */
extern const LikenessMethod *const likeness_methods[];

#endif
