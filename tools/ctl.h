/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl: what the commands of imagefsctl have in common.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { OK = 0, FAILED = 1, USAGE = 2 };

/* One line on stderr; the exit status that goes with it. */
int ctl_fail(const char *what, const char *why);
int ctl_misused(const char *what, const char *why);

/* What is behind "--" is a name, whatever it begins with. It is taken out; how many stand before it, which may be options. */
int ctl_end_of_options(int *count, char **arguments);

/* If `option` is one of the arguments it becomes the first; the others keep their order. */
void ctl_option_first(const char *option, int count, char **arguments);

/* ---- the control directory (ctl_control.c) -------------------------------- */

/* The only control directory there is, for the caller to free; else NULL, and it was said why. */
char *control_find(void);

/* Is that what it is? Else it was said why not. */
int control_check(const char *control);

/* The SOURCE of each imagefs that has control files (of `given` alone, unless NULL), for the caller to free. */
#define CONTROL_SOURCES_MAX 16
size_t control_sources(const char *given, char *sources[CONTROL_SOURCES_MAX]);

/*
 * Which block servers links may name (nbd=) in the imagefs (of `given` alone, unless NULL) whose SOURCE is that directory, for the
 * caller to free; NULL: there is none.
 */
char *control_nbd(const char *given, const char *directory);

/* A file of an image, for the caller to close; -1, and it was said what is wrong with that. */
int control_open_image(const char *control, const char *image, int flags);

/* What is behind `fd`, which is called `name`; or that file of the directory. The exit status. */
int control_copy_to_stdout(int fd, const char *name);
int control_print_file(const char *control, const char *name);

/* ---- status (ctl_status.c) -------------------------------------------------- */

/* What is wrong with the image or board of that name, for the caller to free; NULL: nothing, or it is not known. */
char *control_problem_of(const char *control, const char *name);

int command_status(const char *control, int count, char **arguments);
int command_flush(const char *control, int count, char **arguments);
int command_metrics(const char *control, int count, char **arguments);

/* ---- commands on an image; `control` is what was given, or NULL ------------ */

int command_check(const char *control, int count, char **arguments); /* ctl_check.c */
int command_ls(const char *control, int count, char **arguments);    /* ctl_read.c */
int command_cat(const char *control, int count, char **arguments);
int command_diff(const char *control, int count, char **arguments); /* ctl_diff.c */

/* ---- commands that change an image ------------------------------------------ */

int command_cp(const char *control, int count, char **arguments);
int command_edit(const char *control, int count, char **arguments);
int command_mkdir(const char *control, int count, char **arguments);
int command_mv(const char *control, int count, char **arguments);
int command_rm(const char *control, int count, char **arguments);

/* ---- commands on a directory of images --------------------------------------- */

int command_boards(const char *control, int count, char **arguments);
int command_link(const char *control, int count, char **arguments);
int command_unlink(const char *control, int count, char **arguments); /* ctl_link.c */
