/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * source_dir: SOURCE as the opener has it: a directory, and of one image that name alone. Names are single components,
 * which are looked up in the directory each time, so that what SOURCE's owner changes counts at once.
 *
 * For opener_perform.c and its parts, in the process that opens; who asks is not to be trusted. Any thread; each call
 * waits as long as the storage does. 0 or a descriptor for the caller to close, or -errno; -EACCES: that may not be asked
 * for, or there is no SOURCE.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "cache/device/opener_request.h"

struct path_watch;

/* Where SOURCE is: a directory, and in it the one image or NULL. Borrowed. Before there are threads, as the next. */
void source_dir_set(const char *directory, const char *file);

/*
 * Which block servers may be connected to (nbd_uri_is_allowed); and if SOURCE is one, its URI, which is, or NULL. Borrowed.
 * Before the processes part.
 */
void source_dir_set_nbd(const char *allowed, const char *source_uri);

bool source_dir_is_known(void);	    /* not in unit tests, imagefsctl */
bool source_dir_is_one_image(void); /* nothing of its neighbours is anybody's business */

int source_dir_open(int flags); /* the directory */

/* What path_watch_new says. Not of one image. */
int source_dir_watch(struct path_watch *watch);

/* May it be asked for? A single component; of one image, that image. */
bool source_dir_has(const char *name);

/* What opener_open, opener_stat and opener_readlink ask for; *text has PATH_MAX bytes. */
int source_dir_open_name(const char *name);
int source_dir_stat(const char *name, unsigned what, struct stat *st);
int source_dir_readlink(const char *name, char *text);

/* Is it a directory for files of a board's own? Nothing of one image's neighbours, nor of other directories. */
bool source_dir_is_own(const char *name);
int source_dir_open_own(const char *directory, const char *file); /* of one, as opener_own */

/*
 * Connect to the block server behind a name; never one whose URI it is told: who took over the daemon reaches what
 * SOURCE's owner linked to, and nothing else. *text (PATH_MAX bytes) is the URI that it is connected to. As opener_connect.
 */
int source_dir_connect(const char *name, char *text);
