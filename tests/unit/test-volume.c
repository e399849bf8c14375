/*
 * Partition tables, on disks made here from the specifications: GPT and MBR, whole,
 * damaged and strange.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <uchar.h>
#include <zlib.h>

#include "fs/partition.h"
#include "qapi/qapi-types.h"

enum { GPT_ENTRY_BYTES = 128, DISK_SECTORS = 200 };

typedef struct Disk {
    uint8_t *data;
    size_t size;
    uint32_t sector;
} Disk;

static Disk disk_new(uint32_t sector, size_t sectors)
{
    return (Disk){g_malloc0(MAX(sector * sectors, 1)), sector * sectors, sector};
}

static void disk_clear(Disk *disk)
{
    g_clear_pointer(&disk->data, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Disk, disk_clear)

static uint8_t *at_lba(const Disk *disk, uint64_t lba)
{
    ck_assert_uint_lt(lba * disk->sector, disk->size);
    return disk->data + lba * disk->sector;
}

/* The table in a few lines: "type sector-size id", "number offset+size type name uuid
 * *" in sectors, "! warning". */
static char *summary(const VolumeTable *table)
{
    GString *text = g_string_new(NULL);

    g_string_append_printf(text, "%s %u %s\n", table->type, table->sector_size,
                           table->disk_id ? table->disk_id : "-");
    for (guint i = 0; i < table->volumes->len; i++) {
        const Volume *volume = g_ptr_array_index(table->volumes, i);
        const VolumeInfo *info = volume->info;
        bool odd = (info->offset | info->size) % table->sector_size;

        ck_assert_int_eq(blk_length(volume->blk), info->size);
        ck_assert_int_eq(blk_offset(volume->blk), info->offset);
        ck_assert_ptr_eq(volume_table_find(table, info->path, strlen(info->path)), volume);
        g_string_append_printf(text, "%u %" PRIu64 "+%" PRIu64 "%s %.8s %s %s%s\n",
                               info->number, info->offset / table->sector_size,
                               info->size / table->sector_size, odd ? "?" : "",
                               info->type,
                               info->partition_name ? info->partition_name : "-",
                               info->partition_uuid ? info->partition_uuid : "-",
                               info->bootable ? " *" : "");
    }
    for (guint i = 0; i < table->warnings->len; i++) {
        g_string_append_printf(text, "! %s\n", (char *)table->warnings->pdata[i]);
    }
    return g_string_free(text, FALSE);
}

typedef struct Opening {
    const Disk *disk;
    char *result; /* the summary, or "error: ..." */
} Opening;

static void coroutine_fn co_open(void *opaque)
{
    Opening *o = opaque;
    g_autoptr(GBytes) bytes = g_bytes_new_static(o->disk->data, o->disk->size);
    g_autoptr(BlockDriverState) bs = bdrv_new_memory(bytes, "d");
    g_autoptr(BlockBackend) blk = blk_new(bs);
    g_autoptr(GError) error = NULL;
    g_autoptr(VolumeTable) table = volume_table_co_open(blk, &error);

    o->result = table ? summary(table) : g_strdup_printf("error: %s\n", error->message);
}

static char *open_disk(const Disk *disk)
{
    g_autoptr(AioContext) ctx = aio_context_new(AIO_BACKEND_AUTO, NULL);
    Opening o = {disk, NULL};

    aio_run(ctx, co_open, &o);
    return o.result;
}

static void assert_table(const Disk *disk, const char *expected)
{
    g_autofree char *result = open_disk(disk);

    ck_assert_str_eq(result, expected);
}

/* --- GPT --- */

enum {
    HEADER_BYTES = 92,
    HEADER_REVISION = 8,
    HEADER_SIZE = 12,
    HEADER_CRC = 16,
    MY_LBA = 24,
    ALTERNATE_LBA = 32,
    DISK_GUID = 56,
    ENTRIES_LBA = 72,
    ENTRY_COUNT = 80,
    ENTRY_SIZE = 84,
    ENTRIES_CRC = 88,
};

typedef struct Gpt {
    Disk disk;
    uint32_t count, entry_size;
    uint64_t backup_lba;
} Gpt;

static void gpt_clear(Gpt *gpt)
{
    disk_clear(&gpt->disk);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Gpt, gpt_clear)

static uint64_t entries_sectors(const Gpt *gpt)
{
    return div_round_up((uint64_t)gpt->count * gpt->entry_size, gpt->disk.sector);
}

static uint64_t entries_lba(const Gpt *gpt, bool backup)
{
    return backup ? gpt->backup_lba - entries_sectors(gpt) : 2;
}

/* The header at lba is given the right checksum. */
static void gpt_mend(const Gpt *gpt, uint64_t lba)
{
    uint8_t *header = at_lba(&gpt->disk, lba);

    le32_store(header + HEADER_CRC, 0);
    le32_store(header + HEADER_CRC, crc32(0, header, le32_load(header + HEADER_SIZE)));
}

/* Writes the header at the start or end, with checksums of what the entries are now. */
static void gpt_write(const Gpt *gpt, bool backup)
{
    uint64_t lba = backup ? gpt->backup_lba : 1;
    uint8_t *header = at_lba(&gpt->disk, lba);

    memcpy(header, "EFI PART", 8);
    le32_store(header + HEADER_REVISION, 0x10000);
    le32_store(header + HEADER_SIZE, HEADER_BYTES);
    le64_store(header + MY_LBA, lba);
    le64_store(header + ALTERNATE_LBA, backup ? 1 : gpt->backup_lba);
    memset(header + DISK_GUID, 0xdd, 16);
    le64_store(header + ENTRIES_LBA, entries_lba(gpt, backup));
    le32_store(header + ENTRY_COUNT, gpt->count);
    le32_store(header + ENTRY_SIZE, gpt->entry_size);
    le32_store(header + ENTRIES_CRC,
               crc32(0, at_lba(&gpt->disk, entries_lba(gpt, backup)),
                     gpt->count * gpt->entry_size));
    gpt_mend(gpt, lba);
}

static void write_mbr(const Disk *disk, int i, uint8_t type, uint32_t first,
                      uint32_t sectors);

static Gpt gpt_new(uint32_t sector, size_t sectors, uint32_t count, uint32_t entry_size)
{
    Gpt gpt = {disk_new(sector, sectors), count, entry_size, sectors - 1};

    gpt_write(&gpt, false);
    gpt_write(&gpt, true);
    write_mbr(&gpt.disk, 0, 0xee, 1, sectors - 1);
    return gpt;
}

/* Number from 1 on; in both copies. */
static uint8_t *gpt_entry(const Gpt *gpt, bool backup, unsigned number)
{
    return at_lba(&gpt->disk, entries_lba(gpt, backup)) +
           (number - 1) * gpt->entry_size;
}

static void gpt_put(const Gpt *gpt, unsigned number, uint64_t first, uint64_t last)
{
    for (int backup = 0; backup < 2; backup++) {
        uint8_t *entry = gpt_entry(gpt, backup, number);

        memset(entry, 0xaa, 16);
        memset(entry + 16, number, 16);
        le64_store(entry + 32, first);
        le64_store(entry + 40, last);
        gpt_write(gpt, backup);
    }
}

#define GUID(x) x x x x "-" x x "-" x x "-" x x "-" x x x x x x
#define GPT_512 "gpt 512 " GUID("dd") "\n"
#define ONE_TO_THREE                                                                   \
    "1 60+11 aaaaaaaa - " GUID("01") "\n2 40+1 aaaaaaaa - " GUID(                      \
        "02") "\n4 50+10 aaaaaaaa - " GUID("04") "\n"

/* Three partitions, neither in order nor without a gap. */
static Gpt gpt_of_three(uint32_t sector)
{
    Gpt gpt = gpt_new(sector, DISK_SECTORS, 128, GPT_ENTRY_BYTES);

    gpt_put(&gpt, 1, 60, 70);
    gpt_put(&gpt, 2, 40, 40);
    gpt_put(&gpt, 4, 50, 59);
    return gpt;
}

START_TEST(gpt_whole)
{
    g_auto(Gpt) small = gpt_of_three(512);
    g_auto(Gpt) big = gpt_of_three(4096);
    g_auto(Gpt) empty = gpt_new(512, DISK_SECTORS, 128, GPT_ENTRY_BYTES);

    assert_table(&small.disk, GPT_512 ONE_TO_THREE);
    assert_table(&big.disk, "gpt 4096 " GUID("dd") "\n" ONE_TO_THREE);
    assert_table(&empty.disk, GPT_512);
}
END_TEST

START_TEST(gpt_damaged_primary)
{
    g_auto(Gpt) header = gpt_of_three(512);
    g_auto(Gpt) entries = gpt_of_three(512);
    g_auto(Gpt) gone = gpt_of_three(4096);

    at_lba(&header.disk, 1)[50] ^= 1;
    at_lba(&entries.disk, 2)[36] ^= 1;
    memset(at_lba(&gone.disk, 1), 0, 4096);

    g_autofree char *of_header = open_disk(&header.disk);
    ck_assert(g_str_has_prefix(of_header, GPT_512 ONE_TO_THREE
                               "! d: GPT header at offset 0x200: checksum is 0x"));
    ck_assert(g_str_has_suffix(of_header, "; the backup table at LBA 199 is used\n"));
    g_autofree char *of_entries = open_disk(&entries.disk);
    ck_assert(g_str_has_prefix(of_entries, GPT_512 ONE_TO_THREE
                               "! d: GPT entries at offset 0x400: checksum is 0x"));
    ck_assert(g_str_has_suffix(of_entries, "; the backup table at LBA 199 is used\n"));
    assert_table(&gone.disk,
                 "gpt 4096 " GUID("dd") "\n" ONE_TO_THREE
                                        "! d: no GPT header at offset 0x1000: no 'EFI "
                                        "PART' there; the backup "
                                        "table at LBA 199 is used\n");
}
END_TEST

START_TEST(gpt_damaged_backup)
{
    g_auto(Gpt) gone = gpt_of_three(512);
    g_auto(Gpt) differs = gpt_of_three(512);

    memset(at_lba(&gone.disk, 199), 0, 512);
    assert_table(
        &gone.disk, GPT_512 ONE_TO_THREE
        "! d: no GPT header at offset 0x18e00: no 'EFI PART' there (the backup; "
        "the primary table is good)\n");
    gpt_entry(&differs, true, 1)[40]++;
    gpt_write(&differs, true);
    assert_table(
        &differs.disk, GPT_512 ONE_TO_THREE
        "! d: the backup GPT at LBA 199 differs from the primary, which is used\n");
}
END_TEST

START_TEST(gpt_both_damaged)
{
    g_auto(Gpt) gpt = gpt_of_three(512);

    le32_store(at_lba(&gpt.disk, 1) + HEADER_REVISION, 0x20000);
    gpt_mend(&gpt, 1);
    memset(at_lba(&gpt.disk, 199), 0, 512);
    assert_table(
        &gpt.disk,
        "error: d: GPT header at offset 0x200: revision is 0x00020000, expected "
        "0x00010000; and its backup is no better: d: no GPT header at offset "
        "0x18e00: no 'EFI PART' there\n");
}
END_TEST

/* What is wrong with a header whose checksum is right; the backup is then used. */
static const struct {
    unsigned offset;
    uint64_t value; /* of 32 bits below ENTRIES_LBA and from ENTRY_COUNT on */
    const char *reason;
} bad_headers[] = {
    {HEADER_REVISION, 0x20000,
     "GPT header at offset 0x200: revision is 0x00020000, expected 0x00010000"},
    {HEADER_SIZE, 91,
     "GPT header at offset 0x200: header size is 91, expected 92 to 512"},
    {HEADER_SIZE, 513,
     "GPT header at offset 0x200: header size is 513, expected 92 to 512"},
    {HEADER_SIZE, UINT32_MAX,
     "GPT header at offset 0x200: header size is 4294967295, expected 92 to 512"},
    {MY_LBA, 2, "GPT header at offset 0x200 says it is at LBA 2, expected 1"},
    {ENTRIES_LBA, 1,
     "GPT entries at LBA 1 (16384 bytes) are not within the disk (102400 bytes)"},
    {ENTRIES_LBA, 169,
     "GPT entries at LBA 169 (16384 bytes) are not within the disk (102400 bytes)"},
    {ENTRIES_LBA, UINT64_C(1) << 55,
     "GPT entries at LBA 36028797018963968 (16384 bytes) are not within the disk "
     "(102400 "
     "bytes)"},
    {ENTRIES_LBA, UINT64_MAX,
     "GPT entries at LBA 18446744073709551615 (16384 bytes) are not within the disk "
     "(102400 bytes)"},
    {ENTRY_COUNT, 0, "GPT has 0 entries of 128 bytes, expected 1 to 32768"},
    {ENTRY_COUNT, 32769, "GPT has 32769 entries of 128 bytes, expected 1 to 32768"},
    {ENTRY_COUNT, UINT32_MAX,
     "GPT has 4294967295 entries of 128 bytes, expected 1 to 32768"},
    {ENTRY_COUNT, 32768,
     "GPT entries at LBA 2 (4194304 bytes) are not within the disk (102400 bytes)"},
    {ENTRY_SIZE, 0, "GPT entry size is 0, expected a multiple of 8 from 128 to 4096"},
    {ENTRY_SIZE, 120,
     "GPT entry size is 120, expected a multiple of 8 from 128 to 4096"},
    {ENTRY_SIZE, 130,
     "GPT entry size is 130, expected a multiple of 8 from 128 to 4096"},
    {ENTRY_SIZE, UINT32_MAX,
     "GPT entry size is 4294967295, expected a multiple of 8 from 128 to 4096"},
};

START_TEST(gpt_bad_header)
{
    g_auto(Gpt) gpt = gpt_of_three(512);
    unsigned offset = bad_headers[_i].offset;
    uint8_t *header = at_lba(&gpt.disk, 1);

    if (offset == MY_LBA || offset == ENTRIES_LBA) {
        le64_store(header + offset, bad_headers[_i].value);
    } else {
        le32_store(header + offset, bad_headers[_i].value);
    }
    if (offset != HEADER_SIZE) {
        gpt_mend(&gpt, 1);
    }
    g_autofree char *expected = g_strdup_printf(
        GPT_512 ONE_TO_THREE "! d: %s; the backup table at LBA 199 is used\n",
        bad_headers[_i].reason);
    assert_table(&gpt.disk, expected);
}
END_TEST

/* The backup stays where the end of the disk was. */
START_TEST(gpt_grown_disk)
{
    g_auto(Gpt) gpt = gpt_of_three(512);

    gpt.disk.size += 20 * 512;
    gpt.disk.data = g_realloc(gpt.disk.data, gpt.disk.size);
    memset(gpt.disk.data + DISK_SECTORS * 512, 0, 20 * 512);
    assert_table(
        &gpt.disk, GPT_512 ONE_TO_THREE
        "! d: the backup GPT is at LBA 199, not at the end of the disk (219)\n");

    /* Where it is only the damaged header says. */
    at_lba(&gpt.disk, 2)[36] ^= 1;
    g_autofree char *result = open_disk(&gpt.disk);
    ck_assert(g_str_has_prefix(result, GPT_512 ONE_TO_THREE));
    ck_assert(g_str_has_suffix(result, "; the backup table at LBA 199 is used\n"));
}
END_TEST

START_TEST(gpt_cut_disk)
{
    g_auto(Gpt) gpt = gpt_of_three(512);

    gpt.disk.size = 65 * 512;
    assert_table(
        &gpt.disk, GPT_512 ONE_TO_THREE
        "! d: GPT header at LBA 199 is past the end of the disk (33280 bytes) (the "
        "backup; the primary table is good)\n"
        "! d: partition 1 (offset 0x7800, 5632 bytes) reaches past the end of the "
        "disk (0x8200)\n");
    gpt.disk.size = 3 * 512;
    assert_table(
        &gpt.disk,
        "error: d: GPT entries at LBA 2 (16384 bytes) are not within the disk (1536 "
        "bytes); and its backup is no better: d: no GPT header at offset 0x400: no "
        "'EFI PART' there\n");
}
END_TEST

START_TEST(gpt_and_mbr)
{
    g_auto(Gpt) hybrid = gpt_of_three(512);
    g_auto(Gpt) bare = gpt_of_three(512);
    g_auto(Gpt) stale = gpt_of_three(512);

    write_mbr(&hybrid.disk, 1, 0x83, 60, 11);
    write_mbr(&hybrid.disk, 3, 0x0b, 40, 1);
    assert_table(
        &hybrid.disk, GPT_512 ONE_TO_THREE
        "! d: hybrid MBR: its 2 partitions are left aside, those of the GPT are "
        "used\n");

    memset(bare.disk.data, 0, 512);
    assert_table(&bare.disk,
                 GPT_512 ONE_TO_THREE "! d: GPT without a protective MBR\n");
    /* Without an MBR it has to be faultless. */
    at_lba(&bare.disk, 2)[36] ^= 1;
    assert_table(&bare.disk, "none 512 -\n0 0+200 none - -\n");

    memset(stale.disk.data, 0, 512);
    write_mbr(&stale.disk, 0, 0x83, 60, 11);
    assert_table(&stale.disk, "dos 512 -\n1 60+11 0x83 - -\n");
}
END_TEST

START_TEST(gpt_entry_sizes)
{
    static const uint32_t sizes[] = {128, 136, 256, 512, 4096};

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_auto(Gpt) gpt = gpt_new(512, DISK_SECTORS, 5, sizes[i]);

        gpt_put(&gpt, 1, 60, 70);
        gpt_put(&gpt, 2, 40, 40);
        gpt_put(&gpt, 4, 50, 59);
        assert_table(&gpt.disk, GPT_512 ONE_TO_THREE);
    }
}
END_TEST

START_TEST(gpt_strange_entries)
{
    g_auto(Gpt) gpt = gpt_new(512, DISK_SECTORS, 128, GPT_ENTRY_BYTES);

    gpt_put(&gpt, 1, 50, 49);
    gpt_put(&gpt, 2, 0, UINT64_MAX);
    gpt_put(&gpt, 3, 0, UINT64_C(1) << 54);
    gpt_put(&gpt, 4, 60, 69);
    gpt_put(&gpt, 5, 64, 66);
    gpt_put(&gpt, 6, 69, 80);
    gpt_put(&gpt, 128, 100, 299);
    assert_table(&gpt.disk,
                 GPT_512 "4 60+10 aaaaaaaa - " GUID("04") "\n5 64+3 aaaaaaaa - " GUID(
                     "05") "\n6 69+12 aaaaaaaa - " GUID("06") "\n128 100+200 aaaaaaaa "
                                                              "- " GUID("80") "\n"
                                                                              "! d: "
                                                                              "GPT "
                                                                              "entry 1 "
                                                                              "spans "
                                                                              "LBA 50 "
                                                                              "to 49, "
                                                                              "which "
                                                                              "is no "
                                                                              "range; "
                                                                              "it is "
                                                                              "left "
                                                                              "out\n"
                                                                              "! d: "
                                                                              "GPT "
                                                                              "entry 2 "
                                                                              "spans "
                                                                              "LBA 0 "
                                                                              "to "
                                                                              "18446744"
                                                                              "07370955"
                                                                              "1615, "
                                                                              "which "
                                                                              "is no "
                                                                              "range; "
                                                                              "it is "
                                                                              "left "
                                                                              "out\n"
                                                                              "! d: "
                                                                              "GPT "
                                                                              "entry 3 "
                                                                              "spans "
                                                                              "LBA 0 "
                                                                              "to "
                                                                              "18014398"
                                                                              "50948198"
                                                                              "4, "
                                                                              "which "
                                                                              "is no "
                                                                              "range; "
                                                                              "it "
                                                                              "is left "
                                                                              "out\n"
                                                                              "! d: "
                                                                              "partitio"
                                                                              "n 128 "
                                                                              "(offset "
                                                                              "0xc800, "
                                                                              "102400 "
                                                                              "bytes) "
                                                                              "reaches "
                                                                              "past "
                                                                              "the end "
                                                                              "of "
                                                                              "the "
                                                                              "disk "
                                                                              "(0x19000"
                                                                              ")\n"
                                                                              "! d: "
                                                                              "partitio"
                                                                              "ns 4 "
                                                                              "and 5 "
                                                                              "overlap "
                                                                              "at "
                                                                              "offset "
                                                                              "0x8000\n"
                                                                              "! d: "
                                                                              "partitio"
                                                                              "ns 4 "
                                                                              "and 6 "
                                                                              "overlap "
                                                                              "at "
                                                                              "offset "
                                                                              "0x8a00"
                                                                              "\n");
}
END_TEST

START_TEST(gpt_many_entries)
{
    g_auto(Gpt) gpt = gpt_new(512, 3000, 4096, GPT_ENTRY_BYTES);
    unsigned lines = 0;

    for (unsigned number = 1; number <= 4096; number += 5) {
        gpt_put(&gpt, number, 2000, 2000);
    }
    g_autofree char *result = open_disk(&gpt.disk);
    for (const char *p = result; *p; p++) {
        lines += *p == '\n';
    }
    ck_assert_uint_eq(lines, 1 + 820 + 101);
    ck_assert_ptr_nonnull(strstr(result, "\n4096 2000+1 "));
    ck_assert(
        g_str_has_suffix(result, "! more than 100 warnings; the rest are left out\n"));
}
END_TEST

static const struct {
    const char16_t *units;
    const char *name;
} names[] = {
    {u"", "-"},
    {u"root", "root"},
    {u"gr\u00fcn \u6f22", "grün 漢"},
    {u"\xd834\xdd1e.", "𝄞."},
    {u"a\xd834", "a\xef\xbf\xbd"},
    {u"\xd834x", "\xef\xbf\xbdx"},
    {u"\xdd1ex", "\xef\xbf\xbdx"},
    {u"123456789012345678901234567890123456", "123456789012345678901234567890123456"},
    {u"12345678901234567890123456789012345\xd834",
     "12345678901234567890123456789012345\xef\xbf\xbd"},
};

START_TEST(gpt_names)
{
    g_auto(Gpt) gpt = gpt_new(512, DISK_SECTORS, 128, GPT_ENTRY_BYTES);

    for (int backup = 0; backup < 2; backup++) {
        uint8_t *entry = gpt_entry(&gpt, backup, 1);

        for (int i = 0; i < 36 && names[_i].units[i]; i++) {
            le16_store(entry + 56 + 2 * i, names[_i].units[i]);
        }
        le64_store(entry + 48, 1 << 2);
    }
    gpt_put(&gpt, 1, 60, 60);
    g_autofree char *expected = g_strdup_printf(
        GPT_512 "1 60+1 aaaaaaaa %s " GUID("01") " *\n", names[_i].name);
    assert_table(&gpt.disk, expected);
}
END_TEST

/* --- MBR --- */

/* Entry i of the table or extended boot record at lba. */
static void write_entry(const Disk *disk, uint64_t lba, int i, uint8_t type,
                        uint32_t first, uint32_t sectors)
{
    MbrSector *mbr = (MbrSector *)at_lba(disk, lba);

    mbr->signature[0] = 0x55;
    mbr->signature[1] = 0xaa;
    mbr->entries[i].type = type;
    mbr->entries[i].first_lba = le32_make(first);
    mbr->entries[i].sectors = le32_make(sectors);
}

static void write_mbr(const Disk *disk, int i, uint8_t type, uint32_t first,
                      uint32_t sectors)
{
    write_entry(disk, 0, i, type, first, sectors);
}

static void set_signature(const Disk *disk, uint32_t signature)
{
    ((MbrSector *)disk->data)->disk_signature = le32_make(signature);
}

START_TEST(mbr_primary)
{
    g_auto(Disk) disk = disk_new(512, DISK_SECTORS);

    write_mbr(&disk, 0, 0x83, 30, 10);
    write_mbr(&disk, 2, 0x82, 1, 29);
    write_mbr(&disk, 3, 0, 50, 5);
    ((MbrSector *)disk.data)->entries[2].boot_indicator = 0x80;
    assert_table(&disk,
                 "dos 512 -\n1 30+10 0x83 - -\n3 1+29 0x82 - - *\n4 50+5 0x00 - -\n");
    set_signature(&disk, 0xbeef);
    assert_table(&disk, "dos 512 0000beef\n1 30+10 0x83 - 0000beef-01\n"
                        "3 1+29 0x82 - 0000beef-03 *\n4 50+5 0x00 - 0000beef-04\n");
}
END_TEST

/* Three logical partitions, the second of which is empty. */
static Disk logical_disk(uint8_t type)
{
    Disk disk = disk_new(512, DISK_SECTORS);

    write_mbr(&disk, 1, type, 50, 100);
    write_mbr(&disk, 3, 0x83, 2, 10);
    write_entry(&disk, 50, 0, 0x83, 1, 9);
    write_entry(&disk, 50, 1, 0x05, 10, 20);
    write_entry(&disk, 60, 0, 0x83, 1, 0);
    write_entry(&disk, 60, 1, 0x05, 40, 20);
    write_entry(&disk, 90, 0, 0x82, 2, 18);
    return disk;
}

#define LOGICAL "4 2+10 0x83 - -\n5 51+9 0x83 - -\n6 92+18 0x82 - -\n"

START_TEST(mbr_logical)
{
    static const uint8_t types[] = {0x05, 0x0f, 0x85};

    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        g_auto(Disk) disk = logical_disk(types[i]);
        g_autofree char *expected =
            g_strdup_printf("dos 512 -\n2 50+100 0x%02x - -\n" LOGICAL, types[i]);

        assert_table(&disk, expected);
    }
}
END_TEST

#define EXTENDED_HEAD "dos 512 -\n2 50+100 0x05 - -\n"

/* Entries that should be empty count where Linux counts them. */
START_TEST(mbr_surplus_entries)
{
    g_auto(Disk) disk = logical_disk(0x05);

    write_entry(&disk, 60, 2, 0x83, 1, 5);
    write_entry(&disk, 60, 3, 0x83, 1, 50);
    write_entry(&disk, 90, 3, 0x83, 19, 2);
    assert_table(&disk,
                 EXTENDED_HEAD "4 2+10 0x83 - -\n5 51+9 0x83 - -\n6 61+5 0x83 - -\n"
                               "7 92+18 0x82 - -\n");
}
END_TEST

START_TEST(mbr_loops)
{
    g_auto(Disk) disk = logical_disk(0x05);
    g_auto(Disk) self = logical_disk(0x05);

    write_entry(&disk, 90, 1, 0x05, 10, 20);
    assert_table(
        &disk, EXTENDED_HEAD LOGICAL
        "! d: extended partition at LBA 50 goes in a loop at LBA 60; the rest is "
        "left out\n");
    write_entry(&self, 50, 1, 0x05, 0, 20);
    assert_table(
        &self, EXTENDED_HEAD
        "4 2+10 0x83 - -\n5 51+9 0x83 - -\n"
        "! d: extended partition at LBA 50 goes in a loop at LBA 50; the rest is "
        "left out\n");
}
END_TEST

START_TEST(mbr_broken_chains)
{
    g_auto(Disk) outside = logical_disk(0x05);
    g_auto(Disk) unsigned_ = logical_disk(0x05);

    write_entry(&outside, 60, 1, 0x05, UINT32_MAX, 20);
    assert_table(
        &outside, EXTENDED_HEAD
        "4 2+10 0x83 - -\n5 51+9 0x83 - -\n"
        "! d: extended partition at LBA 50 goes on at LBA 4294967345, which cannot "
        "be read; the rest is left out\n");
    at_lba(&unsigned_, 60)[511] = 0;
    assert_table(
        &unsigned_, EXTENDED_HEAD
        "4 2+10 0x83 - -\n5 51+9 0x83 - -\n"
        "! d: extended partition at LBA 50: no boot record signature 55 aa at LBA "
        "60; the rest is left out\n");
}
END_TEST

START_TEST(mbr_endless_chain)
{
    g_auto(Disk) disk = disk_new(512, 1200);

    write_mbr(&disk, 0, 0x05, 1, 1199);
    for (unsigned lba = 1; lba < 1199; lba++) {
        write_entry(&disk, lba, 1, 0x05, lba, 1);
    }
    assert_table(&disk,
                 "dos 512 -\n1 1+1199 0x05 - -\n"
                 "! d: extended partition at LBA 1 has more than 1024 parts; the "
                 "rest is left out\n");
}
END_TEST

START_TEST(mbr_odd_ones)
{
    g_auto(Disk) empty = disk_new(512, DISK_SECTORS);
    g_auto(Disk) protective = disk_new(512, DISK_SECTORS);
    g_auto(Disk) cut = disk_new(512, DISK_SECTORS);
    g_auto(Disk) junk = disk_new(512, DISK_SECTORS);

    write_mbr(&empty, 0, 0, 0, 0);
    assert_table(&empty, "dos 512 -\n");
    set_signature(&empty, 0x12345678);
    assert_table(&empty, "dos 512 12345678\n");

    write_mbr(&protective, 0, 0xee, 1, 199);
    assert_table(&protective,
                 "dos 512 -\n1 1+199 0xee - -\n"
                 "! d: MBR entry 1 protects a GPT, but there is none, neither "
                 "at the start nor at the end of the disk\n");

    write_mbr(&cut, 0, 0x83, 100, UINT32_MAX);
    write_mbr(&cut, 1, 0x83, UINT32_MAX, UINT32_MAX);
    assert_table(&cut,
                 "dos 512 -\n1 100+4294967295 0x83 - -\n"
                 "2 4294967295+4294967295 0x83 - -\n"
                 "! d: partition 1 (offset 0xc800, 2199023255040 bytes) reaches past "
                 "the end of the disk (0x19000)\n"
                 "! d: partition 2 (offset 0x1fffffffe00, 2199023255040 bytes) "
                 "reaches past the end of the disk (0x19000)\n"
                 "! d: partitions 1 and 2 overlap at offset 0x1fffffffe00\n");

    write_mbr(&junk, 0, 0x83, 10, 10);
    ((MbrSector *)junk.data)->entries[3].boot_indicator = 0x12;
    assert_table(&junk, "none 512 -\n0 0+200 none - -\n");
}
END_TEST

/* The boot sector of a filesystem is no MBR, though it ends like one. */
START_TEST(mbr_of_a_filesystem)
{
    g_auto(Disk) disk = disk_new(512, DISK_SECTORS);

    write_mbr(&disk, 0, 0, 0, 0);
    memcpy(disk.data, "\xeb\x3c\x90mkfs.fat", 11);
    le16_store(disk.data + 11, 512);
    disk.data[13] = 1;
    le16_store(disk.data + 14, 1);
    disk.data[16] = 2;
    le16_store(disk.data + 17, 16);
    le16_store(disk.data + 19, DISK_SECTORS);
    disk.data[21] = 0xf8;
    le16_store(disk.data + 22, 1);
    memcpy(disk.data + 54, "FAT12   ", 8);

    g_autofree char *result = open_disk(&disk);
    ck_assert(g_str_has_prefix(result, "none 512 -\n0 0+200 none"));
}
END_TEST

START_TEST(no_table)
{
    static const size_t sizes[] = {0, 1, 511, 512, 513, 1023, 1536, 4096, 12288};

    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        Disk disk = disk_new(1, sizes[i]);
        g_autofree char *result = open_disk(&disk);

        ck_assert(g_str_has_prefix(result, "none 512 -\n0 0+"));
        memset(disk.data, 0xff, disk.size);
        g_autofree char *ones = open_disk(&disk);
        ck_assert(g_str_has_prefix(ones, "none 512 -\n0 0+"));
        disk_clear(&disk);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("volume");
    TCase *tcase = tcase_create("volume");

    tcase_add_test(tcase, gpt_whole);
    tcase_add_test(tcase, gpt_damaged_primary);
    tcase_add_test(tcase, gpt_damaged_backup);
    tcase_add_test(tcase, gpt_both_damaged);
    tcase_add_loop_test(tcase, gpt_bad_header, 0, G_N_ELEMENTS(bad_headers));
    tcase_add_test(tcase, gpt_grown_disk);
    tcase_add_test(tcase, gpt_cut_disk);
    tcase_add_test(tcase, gpt_and_mbr);
    tcase_add_test(tcase, gpt_entry_sizes);
    tcase_add_test(tcase, gpt_strange_entries);
    tcase_add_test(tcase, gpt_many_entries);
    tcase_add_loop_test(tcase, gpt_names, 0, G_N_ELEMENTS(names));
    tcase_add_test(tcase, mbr_primary);
    tcase_add_test(tcase, mbr_logical);
    tcase_add_test(tcase, mbr_surplus_entries);
    tcase_add_test(tcase, mbr_loops);
    tcase_add_test(tcase, mbr_broken_chains);
    tcase_add_test(tcase, mbr_endless_chain);
    tcase_add_test(tcase, mbr_odd_ones);
    tcase_add_test(tcase, mbr_of_a_filesystem);
    tcase_add_test(tcase, no_table);
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);

    srunner_run_all(runner, CK_ENV);

    int failed = srunner_ntests_failed(runner);

    srunner_free(runner);
    return failed != 0;
}
