/*
 * Prints packed vectors in hexadecimal, for another implementation to compare.
 *
 *     dump DIMENSION ACTIVE SEGMENT_BYTES NAME FILE [NAME FILE]...
 *
 * One line for each FILE, one for the item of each NAME, one for the bundle of all
 * files, each bound to the item of its name and permuted by its place, from 0 on.
 */
#include "hypervec/hypervec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTENT_BYTES_MAX (32u << 20)

static uint8_t content[CONTENT_BYTES_MAX];

static void print_packed(const HypervecSpace *space, const uint64_t *v)
{
    static uint8_t packed[HYPERVEC_PACKED_BYTES_MAX(HYPERVEC_DIMENSION_MAX)];
    size_t len = hypervec_pack(space, packed, v);

    for (size_t i = 0; i < len; i++) {
        printf("%02x", packed[i]);
    }
    printf("\n");
}

static size_t read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t len;

    if (!file) {
        perror(path);
        exit(1);
    }
    len = fread(content, 1, sizeof(content), file);
    fclose(file);
    return len;
}

int main(int argc, char **argv)
{
    static int32_t counts[HYPERVEC_DIMENSION_MAX], sum[HYPERVEC_DIMENSION_MAX];
    static uint64_t v[HYPERVEC_WORDS(HYPERVEC_DIMENSION_MAX)];
    static uint64_t item[HYPERVEC_WORDS(HYPERVEC_DIMENSION_MAX)];
    HypervecSpace space;
    uint32_t active;
    size_t segment;

    if (argc < 4 || argc % 2 || !hypervec_space_init(&space, (uint32_t)atoi(argv[1]))) {
        fprintf(stderr, "usage: dump DIMENSION ACTIVE SEGMENT_BYTES [NAME FILE]...\n");
        return 1;
    }
    active = (uint32_t)atoi(argv[2]);
    segment = (size_t)atoi(argv[3]);
    for (int i = 4; i < argc; i += 2) {
        size_t len = read_file(argv[i + 1]);

        memset(counts, 0, sizeof(counts));
        for (size_t at = 0; at < len; at += segment) {
            hypervec_encode(&space, counts, content + at,
                            len - at < segment ? len - at : segment);
        }
        hypervec_threshold(&space, v, counts, active);
        print_packed(&space, v);
        hypervec_item(&space, item, argv[i], strlen(argv[i]));
        print_packed(&space, item);
        hypervec_bind(&space, v, v, item);
        hypervec_permute(&space, item, v, (i - 4) / 2);
        hypervec_bundle(&space, sum, item, 1);
    }
    hypervec_threshold(&space, v, sum, active);
    print_packed(&space, v);
    return 0;
}
