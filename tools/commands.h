/*
 * The commands of embr-img. argv[0] is the command's name, what is returned the
 * program's exit status.
 */
#ifndef EMBR_TOOLS_COMMANDS_H
#define EMBR_TOOLS_COMMANDS_H

int img_amend(int argc, char **argv);
int img_bitmap(int argc, char **argv);
int img_cat(int argc, char **argv);
int img_check(int argc, char **argv);
int img_commit(int argc, char **argv);
int img_compact(int argc, char **argv);
int img_compare(int argc, char **argv);
int img_convert(int argc, char **argv);
int img_create(int argc, char **argv);
int img_diff(int argc, char **argv);
int img_extract(int argc, char **argv);
int img_info(int argc, char **argv);
int img_ls(int argc, char **argv);
int img_map(int argc, char **argv);
int img_measure(int argc, char **argv);
int img_part(int argc, char **argv);
int img_query(int argc, char **argv);
int img_rebase(int argc, char **argv);
int img_resize(int argc, char **argv);
int img_similar(int argc, char **argv);
int img_snapshot(int argc, char **argv);
int img_volumes(int argc, char **argv);

#endif
