/*
 * embr-img: disk images and engrams. Finds the command and runs it.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/block-int.h"
#include "commands.h"
#include "embr-config.h"
#include "options.h"
#include "report.h"

static const struct {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"amend", "change options that an image was made with", img_amend},
    {"bitmap", "add, change or remove persistent bitmaps", img_bitmap},
    {"cat", "write the content of files to standard output", img_cat},
    {"check", "find damage in an image", img_check},
    {"commit", "put what an image stores into its backing image", img_commit},
    {"compact", "leave out of an engram what its images do not need", img_compact},
    {"compare", "compare the disks in two images", img_compare},
    {"convert", "make an image of another format", img_convert},
    {"create", "make an empty image", img_create},
    {"diff", "compare the files in two images", img_diff},
    {"extract", "take files out, into a tar archive or a directory", img_extract},
    {"info", "show an image's format, sizes, snapshots and backing chain", img_info},
    {"ls", "list files", img_ls},
    {"map", "show what is stored where", img_map},
    {"measure", "show how large an image would get", img_measure},
    {"part", "make, change, show and check partition tables", img_part},
    {"query", "find the files in engrams that are like a given one", img_query},
    {"rebase", "give an image another backing image", img_rebase},
    {"resize", "make a disk larger or smaller", img_resize},
    {"similar", "show how alike images are, and where they are not", img_similar},
    {"snapshot", "list, make, apply or delete snapshots; an engram's images", img_snapshot},
    {"volumes", "show the partitions and what is on them", img_volumes},
};

static void print_format(const BlockDriver *drv, void *opaque)
{
    if (drv->bdrv_probe) {
        printf(" %s", drv->format_name);
    }
}

static void print_help(void)
{
    printf("Usage:\n  %s [--help | --version] COMMAND [OPTION...] ARGUMENT...\n\n"
           "Commands:\n",
           report_program());
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    }
    printf("\n'%s COMMAND --help' shows the options of a command.\n", report_program());
    printf("\nFormats:");
    bdrv_foreach_driver(print_format, NULL);
    putchar('\n');
}

static int run_command(int argc, char **argv)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(argv[0], commands[i].name) == 0) {
            return commands[i].run(argc, argv);
        }
    }
    if (argv[0][0] == '-') {
        options_misuse(NULL, "Unknown option %s", argv[0]);
    } else {
        options_misuse(NULL, "Command not found: %s", argv[0]);
    }
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    int status = EXIT_SUCCESS;

    setlocale(LC_CTYPE, "");
    report_set_program(argc > 0 ? argv[0] : "embr-img");
    if (argc < 2) {
        options_misuse(NULL, "Not enough arguments");
        return EXIT_FAILURE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
    } else if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("embr-img version %s\n", EMBR_VERSION);
    } else {
        status = run_command(argc - 1, argv + 1);
    }
    return report_flush() ? status : EXIT_FAILURE;
}
