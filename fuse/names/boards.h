/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * boards: which entries of SOURCE are images, and which lead to them: the names of
 * boards. Works on what was read of SOURCE (survey.h); touches no file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "fuse/names/images.h"

struct view_found {
	char *name;		  /* in the mount */
	struct view_image *image; /* a user of it, if it was met before; else NULL */
	bool gone;		  /* in use, but no name of SOURCE leads to it any more */
	char **boards;		  /* links of SOURCE that lead to it; sorted */
	size_t board_count;
};

void view_found_free(struct view_found *found); /* what it holds */

/* An entry of SOURCE that may be an image or lead to one. */
struct view_entry {
	char *file;
	char *text;	/* of a link; else NULL */
	bool resolved;	/* a link with a directory in its text: `st` is what it leads to, no type: nothing */
	struct stat st; /* of a file, followed */
};

/*
 * What the entries amount to, sorted by name: *found and what it holds are the
 * caller's. `partial`: not all of SOURCE is among the entries. Takes nothing over.
 * -ENOMEM.
 */
int view_boards(struct view_images *images, const struct view_entry *entries, size_t count, bool partial,
		struct view_found **found, size_t *found_count);
