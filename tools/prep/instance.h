/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * instance: the image that is being made, under a name that nobody knows until it is finished.
 *
 * A file is made as `.NAME.XXXXXX.imagefs-prep` beside its final name, locked (F_OFD_SETLK) while its maker
 * lives; imagefs hides dot files. Finished, it is made durable and renamed. Ended by any signal but SIGKILL
 * it is removed; of one who was killed the next instance_begin for the same name removes it: nobody has its
 * lock. A block device has one name only, and is what it is while it is written; see output.h. One thread.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>

#include "tools/prep/problem.h"

struct instance {
	char *path; /* owned: the final name, links followed */
	char *work; /* owned: what it is called now; of a device the same */
	int fd;	    /* owned: of `work`, for reading and writing */
	bool is_device;
	bool replace;
	bool published;
};

/* What `path` leads to, for the caller to free: itself if there is nothing yet. NULL: problem (its directory,
 * a loop of links). */
char *instance_path(const char *path, struct problem *problem);

/*
 * May one be made under that name? -EEXIST: there is a file, or a device that holds something, and not
 * `replace`; nothing is changed. *exists (unless NULL) says whether there is a file.
 */
int instance_allowed(const char *path, bool replace, struct problem *problem);

/* Begin one. The caller calls instance_end always. */
int instance_begin(struct instance *instance, const char *path, bool replace, struct problem *problem);

/* The same bytes as those of the file or device `from`: *reflinked, or copied with holes. */
int instance_copy(struct instance *instance, int from, const char *name, bool progress,
		  volatile sig_atomic_t *interrupted, bool *reflinked, struct problem *problem);

/* Its owner, mode and extended attributes as those of `like`, for one that takes its place; as far as we may.
 */
void instance_look_like(struct instance *instance, int like);

/* Durable, and under its final name. -EEXIST: somebody else made one meanwhile, and not `replace`. */
int instance_publish(struct instance *instance, struct problem *problem);

/* What was not published is gone. */
void instance_end(struct instance *instance);
