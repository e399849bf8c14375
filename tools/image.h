/*
 * Images as command lines name them.
 */
#ifndef EMBR_TOOLS_IMAGE_H
#define EMBR_TOOLS_IMAGE_H

#include "block/block-backend.h"
#include "util/progress.h"

/* The options that say how an image is opened; all zero at first. */
typedef struct ImageOptions {
    char *format;           /* -f; NULL: found from content */
    char *cache;            /* -T */
    gboolean image_opts;    /* --image-opts: the name is a description, "driver=..." */
    gboolean force_share;   /* -U: others may write to the image */
    char *snapshot;         /* the disk as it was in it, or that image of an engram:
                               "ID_OR_NAME" or "snapshot.id=ID,snapshot.name=NAME" */
    int fat_codepage;       /* --fat-codepage; 0: the default */
} ImageOptions;

void image_options_clear(ImageOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ImageOptions, image_options_clear)

/* For the GOptionEntry array of a command that has ImageOptions *o. */
#define IMAGE_FORMAT_OPTION_ENTRIES(o)                                                 \
    { "format", 'f', 0, G_OPTION_ARG_STRING, &(o)->format,                             \
      "Format of the image; by default found from its content", "FMT" },               \
    { "image-opts", 0, 0, G_OPTION_ARG_NONE, &(o)->image_opts,                         \
      "The image is named by a description: driver=...,file.filename=...", NULL }

/* For commands that only read it. */
#define IMAGE_OPTION_ENTRIES(o)                                                        \
    IMAGE_FORMAT_OPTION_ENTRIES(o),                                                    \
    { "force-share", 'U', 0, G_OPTION_ARG_NONE, &(o)->force_share,                     \
      "Open the image even if others write to it", NULL }

#define IMAGE_CACHE_OPTION_ENTRY(o)                                                    \
    { "source-cache", 'T', 0, G_OPTION_ARG_STRING, &(o)->cache,                        \
      "Cache mode: none, directsync, writeback, writethrough or unsafe", "MODE" }

/* letter is 0 where -l means something else. */
#define IMAGE_SNAPSHOT_OPTION_ENTRY(letter, o)                                         \
    { "snapshot", letter, 0, G_OPTION_ARG_STRING, &(o)->snapshot,                      \
      "The disk as it was in that snapshot, or that image of an engram", "ID_OR_NAME" }

/* For commands that look into filesystems. */
#define IMAGE_FAT_OPTION_ENTRY(o)                                                      \
    { "fat-codepage", 0, 0, G_OPTION_ARG_INT, &(o)->fat_codepage,                      \
      "Code page of FAT's short names, instead of 437", "NUMBER" }

/* False, and reported, if the options contradict each other; what is for all of the process
 * (the code page) is set. */
bool image_options_check(const ImageOptions *options);

/* Opens the image, for reading unless flags say else, with these added.  NULL: reported. */
BlockDriverState *coroutine_fn image_co_open(const char *name,
                                             const ImageOptions *options, int flags);
/* The disk in it, as it was in an internal snapshot if that is not NULL: "ID_OR_NAME"
 * or "snapshot.id=ID,snapshot.name=NAME".  NULL: reported. */
BlockBackend *coroutine_fn image_co_open_disk(const char *name,
                                              const ImageOptions *options,
                                              const char *snapshot);

/* What was written to the image is flushed, and the image closed.  False: reported. */
bool coroutine_fn image_co_finish(BlockDriverState *bs);

/* Cache modes of -t and -T. */
typedef struct CacheMode {
    bool direct;                /* O_DIRECT */
    bool flush;                 /* flushes go through to the disk */
    bool writethrough;          /* every write is followed by one */
} CacheMode;
/* letter: of the option.  False: reported. */
bool image_parse_cache(const char *text, char letter, CacheMode *mode);
/* The BDRV_O_ flags of it. */
int image_cache_flags(const CacheMode *mode);

/* Progress on stderr: shown all the time for -p, else when the process gets SIGUSR1. */
Progress *image_progress_new(bool wanted);

/* Runs func(opaque) in a coroutine, with an event loop for this thread, and returns
 * what it returns; failure if there can be no event loop (that is reported). */
int image_run(int coroutine_fn (*func)(void *opaque), void *opaque, int failure);

#endif
