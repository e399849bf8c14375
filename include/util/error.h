/*
 * Errors that embr itself finds.  System errors are reported in GLib's
 * G_FILE_ERROR domain (see error_set_errno).
 *
 * A message says which file, where in it, what was found and what was expected,
 * in one line without a full stop: "vm.qcow2: L1 table at offset 0x30000 ends at
 * 0x50000, past the end of the file (0x40000)".
 */
#ifndef EMBR_UTIL_ERROR_H
#define EMBR_UTIL_ERROR_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define EMBR_ERROR embr_error_quark()
GQuark embr_error_quark(void);

typedef enum EmbrError {
    EMBR_ERROR_INVALID,         /* what the user asked for makes no sense */
    EMBR_ERROR_NOT_FOUND,       /* no such file, path, snapshot, volume */
    EMBR_ERROR_FORMAT,          /* not of the format asked for */
    EMBR_ERROR_CORRUPT,         /* of the format, but damaged */
    EMBR_ERROR_UNSUPPORTED,     /* of the format, with something named that embr does not do */
    EMBR_ERROR_LIMIT,           /* beyond a stated bound on depth, count or memory */
    EMBR_ERROR_LOCKED,          /* another process uses the file; has a second line, a hint */
    EMBR_ERROR_ADVICE,          /* as INVALID; the last line says what to do instead */
    EMBR_ERROR_BUSY,            /* in use by somebody else */
} EmbrError;

/* Sets "PREFIX: strerror(err)".  err is positive. */
void error_set_errno(GError **errp, int err, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The errno that fits error best, negative: what an I/O path returns when the
 * text was reported elsewhere. */
int error_to_errno(const GError *error);

#endif
