/* The table of commands, help, and what runs a line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io.h"
#include "report.h"

#define HELP_QUIET "-q, no statistics"
#define HELP_MACHINE "-C, statistics on one line, separated by commas"

static int coroutine_fn co_cmd_help(Io *io, int argc, char **argv);
static int coroutine_fn co_cmd_quit(Io *io, int argc, char **argv);

static const IoCommand commands[] = {
    {"abort", NULL, 0, 0, .without_file = true, .summary = "ends the program by abort(3)",
     .co_run = io_co_cmd_abort},
    {"aio_flush", NULL, 0, 0, .summary = "waits for all requests that are under way",
     .co_run = io_co_cmd_aio_flush},
    {"aio_read", NULL, 2, -1, .arguments = "[-Ciqv] [-P pattern] off len [len..]",
     .summary = "reads, and does not wait",
     .help = "-P, all bytes that are read must be this one\n"
             "-v, shows what was read\n"
             "-i, counts as an invalid request; nothing is read\n"
             HELP_MACHINE "\n" HELP_QUIET "\n",
     .co_run = io_co_cmd_aio_read},
    {"aio_write", NULL, 2, -1, .writes = true,
     .arguments = "[-Cfiquz] [-P pattern] off len [len..]",
     .summary = "writes, and does not wait",
     .help = "-P, the byte that is written; by default 0xcd\n"
             "-z, writes zeroes, without data\n"
             "-u, with -z: space may be given back\n"
             "-f, is on the disk before it counts as done\n"
             "-i, counts as an invalid request; nothing is written\n"
             HELP_MACHINE "\n" HELP_QUIET "\n",
     .co_run = io_co_cmd_aio_write},
    {"alloc", NULL, 1, 2, .arguments = "offset [count]",
     .summary = "how many of the bytes are stored in the image itself",
     .co_run = io_co_cmd_alloc},
    {"break", NULL, 2, 2, .arguments = "event tag",
     .summary = "the next request with that event stops there, and is known as tag",
     .co_run = io_co_cmd_break},
    {"close", "c", 0, 0, .summary = "closes the image", .co_run = io_co_cmd_close},
    {"discard", "d", 2, -1, .writes = true, .arguments = "[-Cq] off len",
     .summary = "the bytes are no longer needed",
     .help = HELP_MACHINE "\n" HELP_QUIET "\n", .co_run = io_co_cmd_discard},
    {"flush", "f", 0, 0, .summary = "what was written goes to the disk",
     .co_run = io_co_cmd_flush},
    {"help", "?", 0, 1, .without_file = true, .arguments = "[command]",
     .summary = "shows what a command does, or all", .co_run = co_cmd_help},
    {"info", "i", 0, 0, .summary = "shows format, sizes and particulars of the image",
     .co_run = io_co_cmd_info},
    {"length", "l", 0, 0, .summary = "shows the size of the disk",
     .co_run = io_co_cmd_length},
    {"map", NULL, 0, 0, .summary = "shows which parts are stored in the image itself",
     .co_run = io_co_cmd_map},
    {"open", "o", 0, -1, .without_file = true,
     .arguments = "[-rsCnkU] [-i aio] [-t cache] [-d discard] [-o options] [path]",
     .summary = "opens an image",
     .help = "-r, for reading only\n"
             "-s, writes go to a temporary file\n"
             "-C, what is read from a backing image is stored in the image\n"
             "-n, without the host's cache, as -t none\n"
             "-U, even if others write to it\n"
             "-k, kept for qemu-io's users: has no effect\n"
             "-i, threads, native or io_uring: has no effect after the program's start\n"
             "-t, cache mode: none, directsync, writeback, writethrough or unsafe\n"
             "-d, whether discards are passed on: ignore (off) or unmap (on)\n"
             "-o, options of the node: driver=...,...\n",
     .co_run = io_co_cmd_open},
    {"quit", "q", 0, 0, .without_file = true, .summary = "ends the program",
     .co_run = co_cmd_quit},
    {"read", "r", 2, -1, .arguments = "[-bCqv] [-P pattern [-s off] [-l len]] off len",
     .summary = "reads",
     .help = "-b, reads from the VM state behind the disk\n"
             "-P, all bytes that are read must be this one\n"
             "-s, with -P: they must be from here on, counted from off\n"
             "-l, with -P: for so many bytes\n"
             "-v, shows what was read\n"
             "-p, kept for qemu-io's users: has no effect\n"
             HELP_MACHINE "\n" HELP_QUIET "\n",
     .co_run = io_co_cmd_read},
    {"readv", "rv", 2, -1, .arguments = "[-Cqv] [-P pattern] off len [len..]",
     .summary = "reads into several buffers with one request",
     .help = "-P, all bytes that are read must be this one\n"
             "-v, shows what was read\n"
             HELP_MACHINE "\n" HELP_QUIET "\n",
     .co_run = io_co_cmd_readv},
    {"remove_break", NULL, 1, 1, .arguments = "tag", .summary = "undoes break",
     .co_run = io_co_cmd_remove_break},
    {"reopen", NULL, 0, -1, .arguments = "[-r|-w] [-c cache] [-o options]",
     .summary = "opens the image anew, in another way",
     .help = "-r, for reading only\n"
             "-w, for writing, too\n"
             "-c, cache mode\n"
             "-o, options of the node: driver=...,...\n",
     .co_run = io_co_cmd_reopen},
    {"resume", NULL, 1, 1, .arguments = "tag", .summary = "a stopped request goes on",
     .co_run = io_co_cmd_resume},
    {"sigraise", NULL, 1, 1, .without_file = true, .arguments = "signal",
     .summary = "the program sends itself a signal", .co_run = io_co_cmd_sigraise},
    {"sleep", NULL, 1, 1, .without_file = true, .arguments = "milliseconds",
     .summary = "waits so long", .co_run = io_co_cmd_sleep},
    {"truncate", "t", 1, 3, .writes = true, .arguments = "[-m preallocation] off",
     .summary = "the disk gets another size", .co_run = io_co_cmd_truncate},
    {"wait_break", NULL, 1, 1, .arguments = "tag",
     .summary = "waits until a request has stopped", .co_run = io_co_cmd_wait_break},
    {"write", "w", 2, -1, .writes = true,
     .arguments = "[-bcCfnquz] [-P pattern | -s file] off len", .summary = "writes",
     .help = "-b, writes to the VM state behind the disk\n"
             "-c, compressed\n"
             "-f, is on the disk before it counts as done\n"
             "-P, the byte that is written; by default 0xcd\n"
             "-s, what is written is the content of this file, as often as it takes\n"
             "-z, writes zeroes, without data\n"
             "-n, with -z: fails where buffers would have to be written\n"
             "-u, with -z: space may be given back\n"
             "-p, kept for qemu-io's users: has no effect\n"
             HELP_MACHINE "\n" HELP_QUIET "\n",
     .co_run = io_co_cmd_write},
    {"writev", "wv", 2, -1, .writes = true, .arguments = "[-Cfq] [-P pattern] off len [len..]",
     .summary = "writes several buffers with one request",
     .help = "-P, the byte that is written; by default 0xcd\n"
             "-f, is on the disk before it counts as done\n"
             HELP_MACHINE "\n" HELP_QUIET "\n",
     .co_run = io_co_cmd_writev},
};

static const IoCommand *find_command(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        const IoCommand *c = &commands[i];
        if (strcmp(c->name, name) == 0 || g_strcmp0(c->short_name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

static void print_usage(const IoCommand *c, const char *name)
{
    printf("%s", name);
    if (c->short_name && name == c->name) {
        printf(" (or %s)", c->short_name);
    }
    printf(" %s%s-- %s\n", c->arguments ? c->arguments : "", c->arguments ? " " : "",
           c->summary);
}

int io_misuse(const char *name)
{
    const IoCommand *c = find_command(name);

    print_usage(c, name);
    return -EINVAL;
}

static int coroutine_fn co_cmd_help(Io *io, int argc, char **argv)
{
    if (argc > 1) {
        const IoCommand *c = find_command(argv[1]);
        if (!c) {
            printf("command %s not found\n", argv[1]);
            return -EINVAL;
        }
        print_usage(c, c->name);
        printf("%s%s", c->help ? "\n" : "", c->help ? c->help : "");
        return 0;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        print_usage(&commands[i], commands[i].name);
    }
    puts("\nUse 'help commandname' for extended help.");
    return 0;
}

static int coroutine_fn co_cmd_quit(Io *io, int argc, char **argv)
{
    io->quit = true;
    return 0;
}

static void complain_of_count(const IoCommand *c, int n)
{
    if (c->max_arguments < 0) {
        fprintf(stderr, "bad argument count %d to %s, expected at least %d arguments\n", n,
                c->name, c->min_arguments);
    } else if (c->max_arguments == c->min_arguments) {
        fprintf(stderr, "bad argument count %d to %s, expected %d arguments\n", n, c->name,
                c->min_arguments);
    } else {
        fprintf(stderr,
                "bad argument count %d to %s, expected between %d and %d arguments\n", n,
                c->name, c->min_arguments, c->max_arguments);
    }
}

/* 0, or the command cannot run. */
static int check_command(const Io *io, const IoCommand *c, int n)
{
    if (!io->bs && !c->without_file) {
        fprintf(stderr, "no file open, try 'help open'\n");
        return -EINVAL;
    }
    if (n < c->min_arguments || (c->max_arguments >= 0 && n > c->max_arguments)) {
        complain_of_count(c, n);
        return -EINVAL;
    }
    if (c->writes && bdrv_is_read_only(io->bs)) {
        report_error("Block node is read-only");
        return -EPERM;
    }
    return 0;
}

typedef struct Run {
    const IoCommand *command;
    Io *io;
    int argc;
    char **argv;
    int ret;
} Run;

static void coroutine_fn co_run(void *opaque)
{
    Run *run = opaque;
    run->ret = run->command->co_run(run->io, run->argc, run->argv);
}

int io_run_line(Io *io, AioContext *ctx, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    g_autoptr(GPtrArray) arguments = g_ptr_array_new();

    for (char **word = words; *word; word++) {
        g_strstrip(*word);
        if (**word) {
            g_ptr_array_add(arguments, *word);
        }
    }
    if (arguments->len == 0) {
        return 0;
    }
    int argc = arguments->len;
    g_ptr_array_add(arguments, NULL);
    Run run = {.io = io, .argc = argc, .argv = (char **)arguments->pdata};
    run.command = find_command(run.argv[0]);
    if (!run.command) {
        fprintf(stderr, "command \"%s\" not found\n", run.argv[0]);
        return -EINVAL;
    }
    int ret = check_command(io, run.command, argc - 1);
    if (ret < 0) {
        return ret;
    }
    optind = 0;     /* glibc: getopt() begins anew */
    aio_run(ctx, co_run, &run);
    return run.ret;
}
