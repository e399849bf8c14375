/*
 * Integers of fixed byte order, for packed on-disk structures.
 *
 * The types are structs so that a field cannot be used without converting it;
 * their alignment is 1.
 */
#ifndef EMBR_UTIL_ENDIAN_H
#define EMBR_UTIL_ENDIAN_H

#include <inttypes.h>
#include <stdbool.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define EMBR_ENDIAN_TYPE(order, ORDER, bits)                                          \
    typedef struct {                                                                  \
        uint8_t bytes[(bits) / 8];                                                    \
    } order##bits##_t;                                                                \
    G_STATIC_ASSERT(sizeof(order##bits##_t) == (bits) / 8);                           \
    static inline uint##bits##_t order##bits##_get(order##bits##_t field)             \
    {                                                                                 \
        uint##bits##_t value;                                                         \
        memcpy(&value, field.bytes, sizeof(value));                                   \
        return GUINT##bits##_FROM_##ORDER(value);                                     \
    }                                                                                 \
    static inline order##bits##_t order##bits##_make(uint##bits##_t value)            \
    {                                                                                 \
        order##bits##_t field;                                                        \
        value = GUINT##bits##_TO_##ORDER(value);                                      \
        memcpy(field.bytes, &value, sizeof(value));                                   \
        return field;                                                                 \
    }                                                                                 \
    static inline uint##bits##_t order##bits##_load(const void *p)                    \
    {                                                                                 \
        uint##bits##_t value;                                                         \
        memcpy(&value, p, sizeof(value));                                             \
        return GUINT##bits##_FROM_##ORDER(value);                                     \
    }                                                                                 \
    static inline void order##bits##_store(void *p, uint##bits##_t value)             \
    {                                                                                 \
        value = GUINT##bits##_TO_##ORDER(value);                                      \
        memcpy(p, &value, sizeof(value));                                             \
    }

EMBR_ENDIAN_TYPE(le, LE, 16)
EMBR_ENDIAN_TYPE(le, LE, 32)
EMBR_ENDIAN_TYPE(le, LE, 64)
EMBR_ENDIAN_TYPE(be, BE, 16)
EMBR_ENDIAN_TYPE(be, BE, 32)
EMBR_ENDIAN_TYPE(be, BE, 64)

#endif
