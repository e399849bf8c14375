/* Access to C values by descriptor, for the files of this folder. */
#ifndef EMBR_QAPI_VALUE_H
#define EMBR_QAPI_VALUE_H

#include "qapi/qapi.h"

/* Integers of type->size bytes at p. */
int64_t qapi_load_int(const QapiType *type, const void *p);
uint64_t qapi_load_uint(const QapiType *type, const void *p);
void qapi_store_int(const QapiType *type, void *p, uint64_t value);

/* Values of it are held by pointer. */
bool qapi_is_pointer(const QapiType *type);
bool qapi_member_is_present(const QapiMember *member, const void *object);
/* The struct that the tag adds; NULL if none, or no union. */
const QapiType *qapi_branch(const QapiType *type, const void *object);

/* Whether text is one value in JSON, of bounded depth, with integers of 64 bits. */
bool qapi_check_json_syntax(const char *text, size_t len, GError **errp);

#endif
