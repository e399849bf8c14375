/* What the bytes of short names mean, by the converters of the C library. */
#include "fat.h"

enum { NOTHING = 0xfffd, PAIRS = 256 * 256 };

/* U+FFFD if the bytes are not one character, all of them. */
static gunichar convert(GIConv conv, const uint8_t *bytes, gsize count)
{
    char *in = (char *)bytes, text[16], *out = text;
    gsize in_left = count, out_left = sizeof(text);
    gunichar c = NOTHING;

    if (g_iconv(conv, &in, &in_left, &out, &out_left) != (gsize)-1 && !in_left &&
        out != text) {
        c = g_utf8_get_char_validated(text, out - text);
        if (c > 0x10ffff || g_utf8_skip[(uint8_t)text[0]] != out - text) {
            c = NOTHING;
        }
    }
    g_iconv(conv, NULL, NULL, NULL, NULL);
    return c;
}

static bool has_ascii(const FatCodepage *codepage)
{
    for (unsigned i = 0; i < 26; i++) {
        if (codepage->single['A' + i] != 'A' + i ||
            codepage->single['a' + i] != 'a' + i ||
            (i < 10 && codepage->single['0' + i] != '0' + i)) {
            return false;
        }
    }
    return true;
}

static void only_ascii(FatCodepage *codepage)
{
    for (unsigned i = 0; i < 256; i++) {
        codepage->single[i] = i < 0x80 ? i : NOTHING;
    }
}

/* Two bytes are one character where the first is none. */
static gunichar *find_pairs(GIConv conv, const FatCodepage *codepage)
{
    g_autofree gunichar *pairs = g_new(gunichar, PAIRS);
    bool any = false;

    for (unsigned i = 0; i < PAIRS; i++) {
        uint8_t bytes[2] = {(uint8_t)(i >> 8), (uint8_t)i};

        pairs[i] = codepage->single[bytes[0]] == NOTHING ? convert(conv, bytes, 2)
                                                         : NOTHING;
        any |= pairs[i] != NOTHING;
    }
    return any ? g_steal_pointer(&pairs) : NULL;
}

bool fat_codepage_init(FatCodepage *codepage, unsigned number)
{
    g_autofree char *charset = g_strdup_printf("CP%u", number);
    GIConv conv = g_iconv_open("UTF-8", charset);
    bool known = conv != (GIConv)-1;

    *codepage = (FatCodepage){.number = number};
    only_ascii(codepage);
    if (!known) {
        return false;
    }
    for (unsigned i = 1; i < 256; i++) {
        uint8_t byte = (uint8_t)i;

        codepage->single[i] = convert(conv, &byte, 1);
    }
    known = has_ascii(codepage);
    codepage->is_known = known;
    if (known) {
        codepage->pairs = find_pairs(conv, codepage);
    } else {
        only_ascii(codepage);
    }
    g_iconv_close(conv);
    return known;
}

void fat_codepage_clear(FatCodepage *codepage)
{
    g_clear_pointer(&codepage->pairs, g_free);
}

gunichar fat_codepage_char(const FatCodepage *codepage, const uint8_t *bytes, unsigned len,
                           unsigned *used)
{
    gunichar c = codepage->single[bytes[0]];

    *used = 1;
    if (c == NOTHING && codepage->pairs && len > 1 &&
        codepage->pairs[bytes[0] << 8 | bytes[1]] != NOTHING) {
        *used = 2;
        c = codepage->pairs[bytes[0] << 8 | bytes[1]];
    }
    return c;
}

static FatCodepage current;

static gpointer load_default(gpointer unused)
{
    (void)unused;
    if (!current.number) {
        fat_codepage_init(&current, FAT_DEFAULT_CODEPAGE);
    }
    return &current;
}

const FatCodepage *fat_codepage_current(void)
{
    static GOnce once = G_ONCE_INIT;

    return g_once(&once, load_default, NULL);
}

bool fs_set_fat_codepage(unsigned number, GError **errp)
{
    FatCodepage codepage;

    if (!fat_codepage_init(&codepage, number)) {
        fat_codepage_clear(&codepage);
        g_set_error(errp, EMBR_ERROR, EMBR_ERROR_UNSUPPORTED,
                    "code page %u is none of those that are known here and have ASCII as "
                    "a part",
                    number);
        return false;
    }
    fat_codepage_clear(&current);
    current = codepage;
    return true;
}
