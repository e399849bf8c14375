/* TLSH, which is a library for C++, for C. */
#ifndef EMBR_BENCH_LIKENESS_TLSH_H
#define EMBR_BENCH_LIKENESS_TLSH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* NULL: the content is too short or too much the same all over. */
void *tlsh_new(const uint8_t *data, size_t size);
void tlsh_free(void *hash);
int tlsh_distance(const void *a, const void *b);

#ifdef __cplusplus
}
#endif

#endif
