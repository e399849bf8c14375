/* Swap areas, and those that hold an image of memory: hibernation puts its own signature
 * where that of swap was, at the end of the first page. */
#include "fs/known/known.h"

enum {
    HEADER_BYTES = 1536, /* where the list of bad pages begins */
    SIGNATURE_BYTES = 10,
    BOOT_BYTES = 1024,
};

typedef struct __attribute__((packed)) SwapHeader {
    uint8_t boot[BOOT_BYTES];
    le32_t version; /* in the byte order of who made it, as the next two */
    le32_t last_page;
    le32_t bad_pages;
    uint8_t uuid[16];
    uint8_t label[16];
    uint8_t padding[468];
} SwapHeader;
G_STATIC_ASSERT(sizeof(SwapHeader) == HEADER_BYTES);

static const struct {
    const char *magic;
    const char *by;     /* who hibernated; NULL: nobody */
    uint8_t magic_bytes;
    uint8_t version;
} signatures[] = {
    {"SWAPSPACE2", NULL, 10, 1},
    {"SWAP-SPACE", NULL, 10, 0},
    {"S1SUSPEND", "the kernel (S1SUSPEND)", 9, 1},
    {"S2SUSPEND", "userland (S2SUSPEND)", 9, 1},
    {"ULSUSPEND", "uswsusp (ULSUSPEND)", 9, 1},
    {"\xed\xc3\x02\xe9\x98\x56\xe5\x0c", "TuxOnIce", 8, 1},
    {"LINHIB0001", "the kernel (LINHIB0001)", 10, 1},
};

static uint32_t swap_number(le32_t field, bool is_be)
{
    return is_be ? be32_load(&field) : le32_get(field);
}

static bool take_header(const SwapHeader *h, uint32_t page, const char *by,
                        uint64_t volume_bytes, FsIdent *ident)
{
    const bool is_be = be32_load(&h->version) == 1;
    const uint32_t last = swap_number(h->last_page, is_be);

    if ((!is_be && le32_get(h->version) != 1) || !last) {
        return false;
    }
    ident->type = by ? "swsuspend" : "swap";
    ident->label = known_text(h->label, sizeof(h->label));
    ident->uuid = known_uuid(h->uuid);
    ident->size = ((uint64_t)last + 1) * page;
    ident->details = g_strdup_printf(
        "version 1, %s-endian, pages of %u bytes, last page %u, bad pages: %u%s%s",
        is_be ? "big" : "little", page, last, swap_number(h->bad_pages, is_be),
        by ? ", holds a hibernation image of " : "", by ?: "");
    /* What goes by this may be lost: there has to be nothing of another format. */
    if (!by && ident->size <= volume_bytes &&
        buffer_is_zero(h->padding, sizeof(h->padding))) {
        ident->idle_offset = page;
        ident->idle_bytes = ident->size - page;
    }
    return true;
}

bool coroutine_fn known_co_swap(KnownVolume *v, FsIdent *ident)
{
    for (uint32_t page = 4096; page <= 65536; page *= 2) {
        for (size_t i = 0; i < G_N_ELEMENTS(signatures); i++) {
            if (page > v->head_bytes ||
                memcmp(v->head + page - SIGNATURE_BYTES, signatures[i].magic,
                       signatures[i].magic_bytes) != 0) {
                continue;
            }
            if (!signatures[i].version) {
                ident->type = "swap";
                ident->details = g_strdup_printf("version 0, pages of %u bytes", page);
                return true;
            }
            if (take_header((const SwapHeader *)v->head, page, signatures[i].by, v->size,
                            ident)) {
                return true;
            }
        }
    }
    return false;
}
