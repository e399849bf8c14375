/* What is shown of a file. */
#ifndef EMBR_TOOLS_FILE_ENTRY_H
#define EMBR_TOOLS_FILE_ENTRY_H

#include "fs/fs.h"
#include "qapi/qapi-types.h"

/* target: of symbolic links, or NULL if it could not be read. */
FileEntry *file_entry_from_stat(const char *path, const FsStat *stat,
                                const char *target);

/* "-rwsr-xr-x" */
enum { FILE_MODE_CHARS = 10 };
void file_mode_string(uint32_t mode, char text[FILE_MODE_CHARS + 1]);

/* Adds the columns of `ls -l` up to the name, with a blank at the end. */
void file_append_columns(GString *out, const FsStat *stat);

/* Sets *text to value, and *bytes if that is not all that value was: as the schema has
 * paths. */
void file_set_text(char **text, char **bytes, const char *value);

/* "a directory" */
const char *file_type_name(uint32_t mode);

#endif
