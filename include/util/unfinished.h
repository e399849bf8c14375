/*
 * The file that a program is making and has not completed: removed if a signal ends the
 * process.
 */
#ifndef EMBR_UTIL_UNFINISHED_H
#define EMBR_UTIL_UNFINISHED_H

/* SIGHUP, SIGINT and SIGTERM, as far as they end the process, remove the file first. For
 * programs; without it nothing is removed. */
void unfinished_handle_signals(void);
/* There is one such file at a time; NULL: none from now on. */
void unfinished_set(const char *path);
/* Removes it now, if there is one. */
void unfinished_remove(void);

#endif
