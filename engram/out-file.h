/*
 * OutFile: the file an engram is written to.
 *
 * It has no name until it is complete: whatever ends the work before, a kill
 * included, leaves nothing behind.  Where the filesystem has no unnamed files it
 * has a hidden name meanwhile, which only SIGKILL and the like leave behind in programs
 * that use util/unfinished.h.  A block device is written in place, and so is a file that
 * is appended to.
 */
#ifndef EMBR_ENGRAM_OUT_FILE_H
#define EMBR_ENGRAM_OUT_FILE_H

#include <sys/uio.h>
#include "util/coroutine.h"

typedef struct OutFile OutFile;

/* For the file that will be called path (symbolic links are followed).  What has
 * that name stays as it is until out_file_publish(). */
OutFile *out_file_new(const char *path, GError **errp);
/*
 * The file, or block device, of that name, to be written in place.  Nobody else has it
 * open in this way meanwhile, in any process: EMBR_ERROR_BUSY.  Who only reads is not
 * kept from it.
 */
OutFile *out_file_open(const char *path, GError **errp);
/* What is behind the first end bytes of a file that is written in place goes if it is
 * not published. */
void out_file_set_end(OutFile *f, uint64_t end);
/* Throws away what was not published. */
void out_file_free(OutFile *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OutFile, out_file_free)

/* The name it has or will have. */
const char *out_file_path(const OutFile *f);
/* A name by which the file can be opened before it is published. */
const char *out_file_open_path(const OutFile *f);
/* Where temporary files go that may be as large: its folder; NULL for a device, whose
 * folder is no place for files. */
const char *out_file_spool_dir(const OutFile *f);

/* All of the iovec, which is changed. Starts writing back what was written, so that
 * out_file_co_sync() has less to wait for. */
bool coroutine_fn out_file_co_writev(OutFile *f, struct iovec *iov, int niov,
                                     uint64_t offset, GError **errp);
/* Bytes that were written, or were there before. */
bool coroutine_fn out_file_co_read(OutFile *f, void *buf, size_t bytes, uint64_t offset,
                                   GError **errp);
/* What was written before reaches stable storage before what is written after: no
 * matter as long as nobody can open the file. */
bool coroutine_fn out_file_co_order(OutFile *f, GError **errp);
/* What was written is on stable storage. */
bool coroutine_fn out_file_co_sync(OutFile *f, GError **errp);
/* From now on all of a file that is written in place is kept, whatever happens. */
void out_file_keep(OutFile *f);
/* Gives the file its name, in place of what had it. */
bool out_file_publish(OutFile *f, GError **errp);

#endif
