/*
 * Objects: what is encoded decodes to the same bytes, and every changed byte is
 * found.
 */
#include <check.h>
#include <stdlib.h>

#include "engram/object.h"
#include "util/error.h"

static uint8_t *make_text(size_t len)
{
    uint8_t *p = g_malloc(len + 1);

    for (size_t i = 0; i < len; i++) {
        p[i] = "the quick brown fox "[i % 20] + (i % 997 == 0);
    }
    return p;
}

static uint8_t *make_noise(size_t len)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);
    uint8_t *p = g_malloc(len + 1);

    for (size_t i = 0; i < len; i++) {
        p[i] = g_rand_int(rand) >> 24;
    }
    return p;
}

static bool decode(const uint8_t *data, const EngramRef *ref, EngramObjectType type,
                   void *raw)
{
    g_autoptr(GError) error = NULL;
    bool ok = engram_object_decode(data, ref, type, raw, NULL, &error);

    ck_assert_int_eq(ok, error == NULL);
    if (!ok) {
        ck_assert(error->domain == EMBR_ERROR);
    }
    return ok;
}

static void round_trip(const uint8_t *raw, size_t len, int level, EngramObjectCodec codec)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autofree uint8_t *back = g_malloc(len + 1);
    EngramObjectInfo info;

    g_byte_array_append(out, (const uint8_t *)"12345678", 8);
    EngramRef ref =
        engram_object_append(out, 65536, ENGRAM_OBJECT_FRAME, 3, level, raw, len);
    ck_assert_uint_eq(le64_get(ref.offset), 65544);
    ck_assert_uint_eq(le32_get(ref.raw), len);
    ck_assert_uint_eq(out->len % ENGRAM_OBJECT_ALIGN, 0);
    ck_assert_uint_eq(out->len, 8 + engram_ref_span(&ref));
    for (size_t i = 8 + le32_get(ref.stored); i < out->len; i++) {
        ck_assert_uint_eq(out->data[i], 0);
    }
    back[len] = 0xa5;
    ck_assert(engram_object_decode(out->data + 8, &ref, ENGRAM_OBJECT_FRAME, back, &info,
                                   NULL));
    ck_assert_mem_eq(back, raw, len);
    ck_assert_uint_eq(back[len], 0xa5);
    ck_assert_uint_eq(info.codec, codec);
    ck_assert_uint_eq(info.profile, 3);
    ck_assert(engram_ref_check(&ref, ENGRAM_OBJECT_FRAME, 65536 + out->len, NULL));
    ck_assert(!engram_ref_check(&ref, ENGRAM_OBJECT_FRAME, 65536 + out->len - 8, NULL));
    ck_assert(!decode(out->data + 8, &ref, ENGRAM_OBJECT_MAP, back));
}

START_TEST(test_round_trip)
{
    static const size_t lens[] = { 0, 1, 7, 8, 63, 64, 4096, 100000, ENGRAM_MAX_FRAME_BYTES };

    for (size_t i = 0; i < G_N_ELEMENTS(lens); i++) {
        g_autofree uint8_t *text = make_text(lens[i]);
        g_autofree uint8_t *noise = make_noise(lens[i]);

        round_trip(text, lens[i], 3, lens[i] < 64 ? ENGRAM_OBJECT_CODEC_STORE : ENGRAM_OBJECT_CODEC_ZSTD);
        round_trip(text, lens[i], ENGRAM_LEVEL_STORE, ENGRAM_OBJECT_CODEC_STORE);
        round_trip(noise, lens[i], 3, ENGRAM_OBJECT_CODEC_STORE);
    }
}
END_TEST

START_TEST(test_correction)
{
    enum { LEN = 100000, AT = 8192 };
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autofree uint8_t *prefix = make_noise(LEN);
    g_autofree uint8_t *raw = g_memdup2(prefix, LEN);
    g_autofree uint8_t *back = g_malloc(LEN);
    EngramRef recalled = engram_ref_make(AT, 50000, LEN), found, ref;
    EngramObjectInfo info;

    raw[LEN / 2] ^= 1;
    ck_assert(engram_object_append_correction(out, 1 << 20, 3, 3, raw, LEN, &recalled,
                                              prefix, &ref));
    ck_assert_uint_eq(out->len, engram_ref_span(&ref));
    ck_assert_uint_lt(out->len, 200);
    ck_assert(engram_object_is_correction(out->data));
    ck_assert_int_eq(engram_object_recalled(out->data, &ref, &found, NULL), 1);
    ck_assert(engram_ref_equal(&found, &recalled));
    ck_assert(engram_object_decode_correction(out->data, &ref, prefix, LEN, back, &info,
                                              NULL));
    ck_assert_mem_eq(back, raw, LEN);
    ck_assert(info.codec == ENGRAM_OBJECT_CODEC_DELTA && info.profile == 3);
    /* Not as if it were none, nor from something else. */
    ck_assert(!decode(out->data, &ref, ENGRAM_OBJECT_FRAME, back));
    ck_assert(!engram_object_decode_correction(out->data, &ref, prefix, LEN / 2, back, NULL,
                                               NULL));
    /* The recalled frame is elsewhere now. */
    recalled.offset = le64_make(2 * AT);
    engram_object_set_recalled(out->data, &recalled);
    ck_assert_int_eq(engram_object_recalled(out->data, &ref, &found, NULL), 1);
    ck_assert(engram_ref_equal(&found, &recalled));
    /* Nor behind the correction, or in the slots. */
    static const uint64_t bad[] = { 0, 8, 1 << 20, 2 << 20 };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        recalled.offset = le64_make(bad[i]);
        engram_object_set_recalled(out->data, &recalled);
        ck_assert_int_eq(engram_object_recalled(out->data, &ref, &found, NULL), -1);
    }
    /* What saves nothing is none. */
    g_autofree uint8_t *text = make_text(LEN);
    guint before = out->len;
    ck_assert(!engram_object_append_correction(out, 1 << 20, 3, 3, prefix, LEN, &recalled,
                                               text, &ref));
    ck_assert_uint_eq(out->len, before);
}
END_TEST

START_TEST(test_every_changed_byte_is_found)
{
    enum { LEN = 600 };
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autofree uint8_t *text = make_text(LEN);
    uint8_t raw[LEN];
    EngramRef ref =
        engram_object_append(out, 8192, ENGRAM_OBJECT_MAP, 0, _i ? 3 : ENGRAM_LEVEL_STORE,
                             text, LEN);

    ck_assert(decode(out->data, &ref, ENGRAM_OBJECT_MAP, raw));
    for (size_t i = 0; i < le32_get(ref.stored); i++) {
        for (int bit = 0; bit < 8; bit++) {
            out->data[i] ^= 1 << bit;
            ck_assert(!decode(out->data, &ref, ENGRAM_OBJECT_MAP, raw));
            out->data[i] ^= 1 << bit;
        }
    }
}
END_TEST

static void fix_checksums(EngramObjectHeader *header)
{
    header->payload_checksum =
        le64_make(engram_checksum(header + 1, le32_get(header->stored)));
    header->header_checksum = le64_make(engram_checksum(header, 24));
}

/* Damage under right checksums: what a hostile writer makes. */
START_TEST(test_hostile)
{
    enum { LEN = 5000 };
    g_autoptr(GByteArray) out = g_byte_array_new();
    g_autofree uint8_t *text = make_text(LEN);
    uint8_t raw[LEN + 1];
    EngramRef ref =
        engram_object_append(out, 8192, ENGRAM_OBJECT_MAP, 0, 3, text, LEN);
    g_autofree EngramObjectHeader *h = g_memdup2(out->data, out->len);
    EngramRef bad;

    bad = engram_ref_make(8192, le32_get(ref.stored), LEN + 1);
    ck_assert(!decode((uint8_t *)h, &bad, ENGRAM_OBJECT_MAP, raw));
    h->raw = le32_make(LEN + 1);
    fix_checksums(h);
    ck_assert(!decode((uint8_t *)h, &bad, ENGRAM_OBJECT_MAP, raw));
    h->raw = le32_make(UINT32_MAX);
    fix_checksums(h);
    bad = engram_ref_make(8192, le32_get(ref.stored), UINT32_MAX);
    ck_assert(!decode((uint8_t *)h, &bad, ENGRAM_OBJECT_MAP, raw));
    ck_assert(!engram_ref_check(&bad, ENGRAM_OBJECT_MAP, 1 << 20, NULL));

    memcpy(h, out->data, out->len);
    h->codec = 2;
    fix_checksums(h);
    ck_assert(!decode((uint8_t *)h, &ref, ENGRAM_OBJECT_MAP, raw));
    h->codec = ENGRAM_OBJECT_CODEC_STORE;
    fix_checksums(h);
    ck_assert(!decode((uint8_t *)h, &ref, ENGRAM_OBJECT_MAP, raw));
    h->codec = ENGRAM_OBJECT_CODEC_ZSTD;
    h->flags = ENGRAM_OBJECT_ENCRYPTED;
    fix_checksums(h);
    ck_assert(!decode((uint8_t *)h, &ref, ENGRAM_OBJECT_MAP, raw));
    h->flags = 0;
    for (size_t i = 0; i < le32_get(h->stored); i++) {
        uint8_t *p = (uint8_t *)(h + 1) + i;

        *p ^= 0x41;
        fix_checksums(h);
        decode((uint8_t *)h, &ref, ENGRAM_OBJECT_MAP, raw);
        *p ^= 0x41;
    }
    fix_checksums(h);
    ck_assert(decode((uint8_t *)h, &ref, ENGRAM_OBJECT_MAP, raw));
}
END_TEST

START_TEST(test_refs)
{
    static const struct {
        uint64_t offset;
        uint32_t stored, raw;
    } bad[] = {
        { 0, 40, 8 },
        { 8184, 40, 8 },
        { 8193, 40, 8 },
        { 8192, 31, 0 },
        { 8192, 32 + 100, 8 },
        { UINT64_MAX - 7, 40, 8 },
        { 8192, UINT32_MAX, UINT32_MAX },
        { 8192, 40, ENGRAM_MAX_FRAME_BYTES + 1 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        EngramRef ref = engram_ref_make(bad[i].offset, bad[i].stored, bad[i].raw);

        ck_assert(!engram_ref_check(&ref, ENGRAM_OBJECT_FRAME, 1 << 20, &error));
        ck_assert_ptr_nonnull(error);
        ck_assert(!engram_ref_is_none(&ref));
    }
    EngramRef none = engram_ref_make(0, 0, 0);
    ck_assert(engram_ref_is_none(&none));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engram-object");
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, test_round_trip);
    tcase_add_test(tc, test_correction);
    tcase_add_loop_test(tc, test_every_changed_byte_is_found, 0, 2);
    tcase_add_test(tc, test_hostile);
    tcase_add_test(tc, test_refs);
    suite_add_tcase(suite, tc);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
