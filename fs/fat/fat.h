/*
 * FAT12, FAT16 and FAT32, reading only; and what exFAT (fs/exfat/) has in common with
 * them, which is all but how things are written down.
 *
 * A file's inode number is where its directory entry lies: the byte offset on the
 * volume, divided by the size of an entry.  The root, which has none, is FAT_ROOT_INO.
 *
 * super.c    what the boot sector says, and whether the rest agrees
 * dir.c      directories
 * name.c     short and long names
 * codepage.c what the bytes of short names mean
 * driver.c   what the rest of embr calls
 *
 * and for both:
 *
 * state.c    what is set up once the layout is known; messages
 * table.c    the FAT, one copy standing in for the other
 * chain.c    a file's clusters, as runs
 * scan.c     entries of a directory, one after the other
 * file.c     content, and where it lies
 * time.c     times
 * use.c      what is allocated
 * pieces.c   a cache of pieces of the FAT, and of the volume
 */
#ifndef EMBR_FS_FAT_FAT_H
#define EMBR_FS_FAT_FAT_H

#include "fs/fat-boot.h"
#include "fs/fat/format.h"
#include "fs/fs.h"
#include "util/co-lock.h"
#include "util/error.h"
#include "util/units.h"

enum { FAT_ROOT_INO = 1 }; /* inside the boot sector, where no entry can be */

enum { FAT_DEFAULT_CODEPAGE = 437 }; /* as Linux takes it by default */

typedef struct FatState FatState;
typedef struct FatNode FatNode;
typedef struct FatPieces FatPieces;

/* What a directory says of a file. */
typedef struct FatFile {
    bool is_dir;
    bool is_read_only;
    bool is_contiguous; /* its clusters follow each other, and the FAT has no chain */
    bool size_is_limit; /* a directory that does not go on behind its size */
    uint32_t start;     /* the first cluster; 0 if there is none */
    uint64_t size;
    uint64_t written; /* bytes; what lies behind reads as zeroes */
    FsTime mtime, atime, crtime;
} FatFile;

/* Where FAT and exFAT differ. */
typedef struct FatKind {
    const char *name; /* for messages */
    uint64_t dir_bytes_max;
    /* Of an inode that is not the root. */
    bool coroutine_fn (*co_read_file)(FatState *s, FsIno ino, FatFile *file,
                                      GError **errp);
    bool coroutine_fn (*co_read_dir)(FatState *s, FatNode *dir, FsDirBatch *batch,
                                     GError **errp);
    /* An entry that is a directory's. */
    bool (*is_subdir)(const uint8_t *entry);
    /* Whether a cluster is allocated.  False: that cannot be told. */
    bool coroutine_fn (*co_is_used)(FatState *s, uint32_t cluster, bool *used);
} FatKind;

/* What the bytes of short names mean.  U+FFFD: nothing. */
typedef struct FatCodepage {
    unsigned number;
    bool is_known; /* else only ASCII means something */
    gunichar single[256];
    gunichar *pairs; /* of two bytes, 256 for each of the first, or NULL: where
                        the first one alone means nothing */
} FatCodepage;

struct FatState {
    const FatKind *kind;
    Filesystem *fs;
    FatLayout geo;
    uint32_t root_cluster; /* FAT32 and exFAT */
    unsigned fat_first;    /* the FAT that is read */
    bool fat_mirrored;     /* the others should be the same */
    FatPieces *table;  /* of the FAT */
    FatPieces *pieces; /* of the volume: directories */
    uint32_t *owners;  /* of each cluster that was seen in a chain; 0: nobody's yet */
    GHashTable *nodes; /* &ino -> FatNode, which the table holds a reference to */
    GQueue lru;        /* of FatNode, oldest first */
};

/* Clusters that follow each other, in the file and on the volume. */
typedef struct FatRun {
    uint32_t index; /* of the first, in the file */
    uint32_t cluster;
    uint32_t count;
} FatRun;

/* A file or directory, and as much of its chain as was followed. */
struct FatNode {
    FsIno ino;
    FatFile file;
    bool is_fixed;  /* the root of FAT12 and FAT16, which has no chain */
    uint32_t limit; /* clusters that its size needs, or that it may have */
    unsigned refcount;
    GList lru;
    CoMutex lock;               /* what is below: taken by who goes along the chain */
    GArray *runs;               /* of FatRun: the last of them, without gaps */
    uint32_t mapped;            /* clusters that were followed */
    uint32_t next;              /* the cluster that comes then */
    uint32_t mark;              /* a cluster that would come again in a loop ... */
    uint32_t mark_until, steps; /* ... set anew after so many steps */
    bool complete;              /* nothing comes after mapped */
    bool loops;
    GError *broken; /* why nothing more can be followed */
};

/* state.c */

/* s->kind, fs, geo, fat_first, fat_mirrored and root_cluster are set: makes the rest,
 * and what filesystems have in common; warns of a volume that ends before. */
void fat_state_init(FatState *s);
void fat_state_clear(FatState *s);
void fat_error(const FatState *s, GError **errp, EmbrError code, uint64_t offset,
               const char *format, ...) G_GNUC_PRINTF(5, 6);
void fat_warn(FatState *s, uint64_t offset, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* super.c */
bool coroutine_fn fat_co_probe(BlockBackend *blk, FsIdent *ident);
bool coroutine_fn fat_co_probe_backup(BlockBackend *blk, FsIdent *ident);
/* Fills geo and what follows it; warns of what is odd. */
bool coroutine_fn fat_super_co_load(FatState *s, bool from_backup, GError **errp);

/* pieces.c */
typedef bool coroutine_fn FatLoadFunc(FatState *s, uint64_t offset, uint32_t bytes,
                                      void *buf, GError **errp);
/* end: what there is of it. */
FatPieces *fat_pieces_new(FatState *s, uint64_t end, uint32_t piece_bytes,
                          unsigned count_max, FatLoadFunc *load);
void fat_pieces_free(FatPieces *pieces);
/* The bytes from offset, which is below the end, up to the end of their piece: *count
 * of them.  They stay until the caller yields. */
const uint8_t *coroutine_fn fat_pieces_co_get(FatPieces *pieces, uint64_t offset,
                                              uint32_t *count, GError **errp);

/* table.c */
bool coroutine_fn fat_table_co_load(FatState *s, uint64_t offset, uint32_t bytes,
                                    void *buf, GError **errp);
/* Where the FAT's entry for a cluster is on the volume. */
uint64_t fat_table_offset(const FatState *s, uint32_t cluster);
/* cluster: a valid one.  *value: FAT_VALUE_*, or the cluster that follows. */
bool coroutine_fn fat_table_co_get(FatState *s, uint32_t cluster, uint32_t *value,
                                   GError **errp);
/* The same, from a copy in which it makes sense as a part of a chain.  False: there is
 * none. */
bool coroutine_fn fat_table_co_get_other(FatState *s, uint32_t cluster,
                                         uint32_t *value);
/* For tests: the entry of a cluster in a FAT; of geo, only its bits count. */
uint32_t fat_table_value(const FatLayout *geo, const uint8_t *fat, uint32_t cluster);
/* An entry's value as part of a chain. */
static inline bool fat_is_cluster(const FatState *s, uint32_t value)
{
    return value >= FAT_FIRST_CLUSTER && value - FAT_FIRST_CLUSTER < s->geo.clusters;
}
static inline uint64_t fat_cluster_offset(const FatState *s, uint32_t cluster)
{
    return s->geo.data_offset +
           (uint64_t)(cluster - FAT_FIRST_CLUSTER) * s->geo.cluster_bytes;
}

/* chain.c */
FatNode *coroutine_fn fat_node_co_get(FatState *s, FsIno ino, GError **errp);
/* One that is not kept. */
FatNode *fat_node_new(const FatState *s, FsIno ino, const FatFile *file);
void fat_node_unref(FatNode *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FatNode, fat_node_unref)
void fat_nodes_drop(FatState *s);
/* The run from cluster index of the file on, as far as it goes; count 0: the chain
 * has ended.  Not for what is_fixed. */
bool coroutine_fn fat_node_co_map(FatState *s, FatNode *node, uint32_t index,
                                  FatRun *run, GError **errp);

/* scan.c */

typedef enum FatScanNext {
    FAT_SCAN_GO_ON,
    FAT_SCAN_STOP_BEFORE, /* the entry is found again if the scan goes on */
    FAT_SCAN_STOP_BEHIND,
} FatScanNext;

/* Entries in order; all zeroes but what its user sets. */
typedef struct FatScan {
    FatState *s;
    FatNode *dir;
    FatScanNext (*found)(const uint8_t *entry, uint64_t offset, void *opaque);
    void *opaque;
    uint64_t pos; /* in the directory */
    bool ended;   /* nothing comes after pos */
    bool stopped; /* by found */
    uint8_t *buf;
} FatScan;

void fat_scan_clear(FatScan *scan);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FatScan, fat_scan_clear)
/* Goes through a part of the directory.  False: it cannot be read; pos has moved on if
 * more of the directory can be tried. */
bool coroutine_fn fat_scan_co_part(FatScan *scan, GError **errp);
/* How many directories are in one, and its size, as far as both can be found out. */
void coroutine_fn fat_scan_co_count(FatState *s, FatNode *dir, uint32_t *subdirs,
                                    uint64_t *size);

/* file.c: the driver's callbacks, for both. */
bool coroutine_fn fat_file_co_stat(Filesystem *fs, FsIno ino, FsStat *st,
                                   GError **errp);
bool coroutine_fn fat_file_co_readdir(Filesystem *fs, FsIno dir, FsDirBatch *batch,
                                      GError **errp);
bool coroutine_fn fat_file_co_read(Filesystem *fs, FsIno ino, uint64_t offset,
                                   uint64_t bytes, void *buf, GError **errp);
bool coroutine_fn fat_file_co_extents(Filesystem *fs, FsIno ino, uint64_t file_offset,
                                      unsigned max, GArray *list, GError **errp);
FsBlockUse coroutine_fn fat_file_co_block_use(Filesystem *fs, uint64_t device_offset,
                                              uint64_t *pnum);
/* Content of what has clusters; offset + bytes are not behind their end. */
bool coroutine_fn fat_node_co_read(FatState *s, FatNode *node, uint64_t offset,
                                   uint64_t bytes, void *buf, GError **errp);

/* dir.c */
extern const FatKind fat_kind;
/* The bytes of an entry, where one can be, from pieces. */
bool coroutine_fn fat_entry_co_read(FatState *s, FsIno ino, void *entry, GError **errp);
/* An entry that is a file's or directory's. */
bool fat_entry_is_file(const FatDirEntry *entry);
bool fat_entry_is_long_name(const FatDirEntry *entry);

/* name.c */
/* Appends UTF-16 up to a NUL as UTF-8.  Half of a pair without the other becomes three
 * bytes that are no UTF-8, so that no two names become the same. */
void fat_append_units(const gunichar2 *units, unsigned count, GString *name);
uint8_t fat_name_checksum(const uint8_t name[11]);
void fat_short_name(const FatCodepage *codepage, const FatDirEntry *entry,
                    GString *name);
/* Bytes of a label, without the blanks at the end; NULL if there is nothing else. */
char *fat_label(const FatCodepage *codepage, const uint8_t label[11]);

/* A long name as its pieces come in; all zeroes to begin with. */
typedef struct FatLongName {
    uint8_t checksum;
    unsigned expected; /* the sequence number of the next; 0: complete, or nothing */
    unsigned count;    /* of pieces; 0: nothing */
    gunichar2 units[FAT_LONG_PIECES_MAX * FAT_LONG_UNITS];
} FatLongName;
void fat_long_name_add(FatLongName *longname, const FatLongEntry *entry);
/* The name, if it is complete and that entry's; it is forgotten then. */
bool fat_long_name_take(FatLongName *longname, const FatDirEntry *entry, GString *name);

/* codepage.c */
/* False: there is no such code page here, or ASCII is not a part of it.  It is to be
 * cleared in any case. */
bool fat_codepage_init(FatCodepage *codepage, unsigned number);
void fat_codepage_clear(FatCodepage *codepage);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FatCodepage, fat_codepage_clear)
/* That of all filesystems: the default's, or what fs_set_fat_codepage() said. */
const FatCodepage *fat_codepage_current(void);
/* The character that the first of len bytes begin, and how many of them are in it. */
gunichar fat_codepage_char(const FatCodepage *codepage, const uint8_t *bytes, unsigned len,
                           unsigned *used);

/* time.c: FAT's local time is taken for UTC. */
FsTime fat_time(uint16_t date, uint16_t time, uint8_t hundredths);

/* use.c */
bool coroutine_fn fat_use_co_is_used(FatState *s, uint32_t cluster, bool *used);
FsBlockUse coroutine_fn fat_co_block_use(FatState *s, uint64_t offset, uint64_t *pnum);

#endif
