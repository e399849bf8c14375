/*
 * exFAT, reading only: what it does not share with FAT (fs/fat/).
 *
 * A file's inode number is where the first of its directory entries lies, in units of
 * 32 bytes from the start of the volume.
 *
 * super.c    the boot region or its copy; the root's entries that are no files
 * set.c      the entries of a file, taken together
 * dir.c      directories
 * upcase.c   the table of upper case, and hashes of names
 * bitmap.c   what is allocated
 * driver.c   what the rest of embr calls
 */
#ifndef EMBR_FS_EXFAT_EXFAT_H
#define EMBR_FS_EXFAT_EXFAT_H

#include "fs/exfat/format.h"
#include "fs/fat/fat.h"

enum { EXFAT_UPCASE_UNITS = 65536 };

typedef struct ExfatState {
    FatState fat;         /* first: who shares code has a pointer to it */
    FatNode *bitmap_node; /* NULL if there is none */
    FatPieces *bitmap;    /* of it */
    bool bitmap_broken;
    gunichar2 *upcase; /* of each unit; NULL if it is not known */
    bool hash_warned;
} ExfatState;

static inline ExfatState *exfat_state(FatState *s)
{
    return (ExfatState *)s;
}

/* super.c */
bool coroutine_fn exfat_co_probe(BlockBackend *blk, FsIdent *ident);
bool coroutine_fn exfat_co_probe_backup(BlockBackend *blk, FsIdent *ident);
/* Fills geo and all else; warns of what is odd. */
bool coroutine_fn exfat_super_co_load(ExfatState *s, bool from_backup, GError **errp);
/* sector: EXFAT_BOOT_BYTES.  True if what it says makes sense. */
bool exfat_parse_boot_sector(const uint8_t *sector, FatLayout *geo,
                             uint32_t *root_cluster);
uint32_t exfat_boot_checksum(uint32_t sum, const uint8_t *sector, uint32_t bytes,
                             bool is_first);

/* set.c */

/* A file's entries. */
typedef struct ExfatSet {
    unsigned count;  /* of them that are here */
    unsigned needed; /* in all; 0: nothing has begun */
    uint64_t offset; /* of the first, on the volume */
    uint8_t entries[1 + EXFAT_SECONDARIES_MAX][EXFAT_ENTRY_BYTES];
} ExfatSet;

void exfat_set_start(ExfatSet *set, const uint8_t *entry, uint64_t offset);
/* False: the entry cannot belong to it. */
bool exfat_set_add(ExfatSet *set, const uint8_t *entry);
uint16_t exfat_set_checksum(const ExfatSet *set);
/* All of it is there: checks what can be. */
bool exfat_set_check(const FatState *s, const ExfatSet *set, GError **errp);
/* The units of a checked set's name; returns how many. */
unsigned exfat_set_name(const ExfatSet *set, gunichar2 units[EXFAT_NAME_UNITS_MAX]);
/* What a checked set says of its file. */
void exfat_set_file(const FatState *s, const ExfatSet *set, FatFile *file);
FsTime exfat_time(uint32_t timestamp, uint8_t tens_ms, uint8_t utc_offset);

/* dir.c */
extern const FatKind exfat_kind;

/* upcase.c */

/* From the bytes of a table, compressed or not.  False: it has no end that makes
 * sense. */
bool exfat_upcase_expand(const uint8_t *bytes, size_t size,
                         gunichar2 upcase[EXFAT_UPCASE_UNITS]);
uint32_t exfat_upcase_checksum(const uint8_t *bytes, size_t size);
uint16_t exfat_name_hash(const gunichar2 *upcase, const gunichar2 *units,
                         unsigned count);
/* Reads the table of an entry; warns if it is damaged. */
void coroutine_fn exfat_upcase_co_load(ExfatState *s, const ExfatTableEntry *entry,
                                       uint64_t offset);

/* bitmap.c */

/* Takes the bitmap of an entry; warns if it cannot be right. */
void exfat_bitmap_set_up(ExfatState *s, const ExfatTableEntry *entry, uint64_t offset);
void exfat_bitmap_clear(ExfatState *s);
bool coroutine_fn exfat_bitmap_co_is_used(FatState *s, uint32_t cluster, bool *used);

#endif
