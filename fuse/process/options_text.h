/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options_text: options in force, as text: for a remount, which compares those of the daemon with those that it is asked for.
 */
#pragma once

#include "fuse/process/options.h"

/* Where the control files of a mount are to be: to be freed. NULL: there are to be none, or no memory (errno is ENOMEM). */
char *options_control_directory(const struct options *options);

/*
 * Those that are imagefs's own, and its source, a line NAME=VALUE for each; at most `bytes`, with the NUL. A newline or
 * backslash of a path is three octal digits, as in /proc/self/mountinfo.
 */
void options_describe(const struct options *options, const char *source, char *text, size_t bytes);
