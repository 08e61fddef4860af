/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl_own: files of one name's own, SOURCE/NAME.d/, as the mount has them (imagefs(8)): the regular ones stand
 * before those of the image's root that are spelled alike. Read once, without the limits of the daemon.
 */
#pragma once

#include <stddef.h>
#include <sys/stat.h>

#include "fat/names.h"

struct own {
	char *directory; /* NULL: there is none, and no names */
	struct fat_names names;
};

struct image_place;

/* Those of what was found as `argument`, or of the board that it is a link to. 0 or -errno. */
int own_open(const struct image_place *place, const char *argument, struct own *own);
void own_close(struct own *own); /* zeroes are fine */

/* The file that `path` of the mount's directory is a spelling of, as it is called; or NULL. */
const char *own_find(const struct own *own, const char *path);

/* Open one that was found, and what fstat says of it; -errno. */
int own_file(const struct own *own, const char *name, struct stat *st);

/* At most `most_bytes` of it, and a NUL; to be freed. NULL: it cannot be read. */
char *own_read(const struct own *own, const char *name, size_t most_bytes, size_t *length_bytes);
