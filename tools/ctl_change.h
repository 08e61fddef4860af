/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl_change: what the commands that change an image have in common.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "tools/prep/change.h"
#include "tools/prep/place.h"

struct change_options {
	bool recursive, parents, force;
};

/*
 * Take the options out of the arguments: --force, and of -r and -p those that `letters` has; "--" ends them.
 * What is left is a list of places. OK, or it was said why not; places_free in any case.
 */
struct places {
	struct place *list; /* owned */
	size_t count;
};
int change_arguments_read(const char *command, const char *letters, int count, char **arguments,
			  struct change_options *options, struct places *places);
void places_free(struct places *places);

/* Are all of them in one image? Else it was said what is wrong. */
int places_in_one_image(const struct places *places);

/* The image that is meant. OK, or it was said why not. *change, for change_finish, is NULL then. */
int change_open(const char *control, const struct place *place, const struct change_options *options,
		struct change **change);

/* Commit if `error` is 0; say what was wrong with this change; end it. The exit status. */
int change_finish(struct change *change, int error);

/* What `name` is in the directory `path`, for the caller to free; NULL: no memory. */
char *path_join(const char *path, const char *name);
