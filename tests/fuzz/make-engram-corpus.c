/* Writes the seeds of fuzz-engram into a folder: make-engram-corpus FOLDER */
#include <stdio.h>
#include <stdlib.h>

#include "engram-builder.h"

static void fill(uint8_t *disk, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++) {
        size_t block = i / 512 * (seed + 3) % 7;
        disk[i] = block == 0 ? 0 : block == 1 ? 0xdd : (i / (block + 1) + seed * 31) % 256;
    }
}

static void save(const char *folder, const char *name, EngramBuilder *b)
{
    g_autoptr(GBytes) bytes = engram_builder_bytes(b);
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autoptr(GError) error = NULL;

    if (!g_file_set_contents(path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes),
                             &error)) {
        fprintf(stderr, "%s\n", error->message);
        exit(EXIT_FAILURE);
    }
}

static void make(const char *folder, const char *name, int level, size_t size, int images,
                 bool with_index)
{
    g_autoptr(EngramBuilder) b = engram_builder_new(level, 512, 2048, 16);
    g_autofree uint8_t *disk = g_malloc0(size + 1);

    b->with_index = with_index;
    for (int i = 0; i < images; i++) {
        g_autofree char *image = g_strdup_printf("image%d", i);
        fill(disk, MIN(size, 20000), i);
        engram_builder_add_image(b, image, disk, size, i != 1);
        engram_builder_commit(b);
    }
    if (!images) {
        engram_builder_commit(b);
    }
    save(folder, name, b);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make-engram-corpus FOLDER\n");
        return EXIT_FAILURE;
    }
    make(argv[1], "stored", ENGRAM_LEVEL_STORE, 5000, 1, false);
    make(argv[1], "zstd", 19, 20000, 1, false);
    make(argv[1], "images", 19, 9000, 3, false);
    make(argv[1], "segments", ENGRAM_LEVEL_STORE, 200000, 1, false);
    make(argv[1], "empty", ENGRAM_LEVEL_STORE, 0, 1, false);
    make(argv[1], "index", ENGRAM_LEVEL_STORE, 5000, 1, true);
    make(argv[1], "no-image", ENGRAM_LEVEL_STORE, 0, 0, false);
    return EXIT_SUCCESS;
}
