/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run: another program, from a vector of arguments and never by a shell.
 *
 * Its environment is ours with LC_ALL=C.UTF-8, TZ=UTC, and mtools' own settings away from those of the user
 * (MTOOLSRC=/dev/null, MTOOLS_SKIP_CHECK=1); its search path has the sbin directories as well. It gets no
 * other descriptors than 0, 1, 2 and those that are not close-on-exec.
 */
#pragma once

#define RUN_NOTHING (-1)     /* /dev/null */
#define RUN_WITH_ERRORS (-2) /* standard output: to where standard error goes */

/*
 * Run arguments[0] (searched for) and wait for it. `package` is where it comes from, for the message. `input`
 * and `output` are descriptors, borrowed, or as above. *said (unless `said` is NULL) is for the caller to
 * free: after an error a sentence or what the program wrote to standard error, and else what it wrote there;
 * without control characters, cut at 4 KiB; NULL if nothing. 0: it exited with status 0. -ENOENT: it is not
 * there. -EIO: it exited with another status, which is in *status (unless NULL), or was killed: 128 and the
 * signal. Or what posix_spawn, pipe or malloc say.
 */
int run_program(const char *const arguments[], const char *package, int input, int output, int *status,
		char **said);

/* The same for a program of mtools, whose output is thrown away. `codepage` is that of short names which are
 * not ASCII. */
int run_mtools(const char *const arguments[], unsigned codepage, int input, char **said);
