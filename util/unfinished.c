#include "util/unfinished.h"

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <unistd.h>

static const int ending_signals[] = { SIGHUP, SIGINT, SIGTERM };

/* What is removed if the process ends now; NULL for nothing. */
static char *volatile unfinished;

/* In a signal handler. */
static void remove_and_end(int signal_number)
{
    int saved_errno = errno;

    if (unfinished) {
        unlink(unfinished);
    }
    errno = saved_errno;
    raise(signal_number);       /* its default action now, once this returns */
}

void unfinished_handle_signals(void)
{
    struct sigaction action = { .sa_handler = remove_and_end, .sa_flags = SA_RESETHAND };

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < G_N_ELEMENTS(ending_signals); i++) {
        struct sigaction old;
        /* nohup(1) has some ignored. */
        if (sigaction(ending_signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) {
            sigaction(ending_signals[i], &action, NULL);
        }
    }
}

void unfinished_set(const char *path)
{
    char *old = unfinished;

    unfinished = g_strdup(path);
    g_free(old);
}

void unfinished_remove(void)
{
    if (unfinished) {
        unlink(unfinished);
    }
    unfinished_set(NULL);
}
