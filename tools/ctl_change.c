/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/ctl_change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cache/device/nbd_uri.h"
#include "cache/tree/cache.h"
#include "tools/ctl.h"
#include "tools/ctl_image.h"

/* ---- the command line ----------------------------------------------------- */

static bool read_option(const char *option, const char *letters, struct change_options *options)
{
	bool r = strchr(letters, 'r'), p = strchr(letters, 'p');

	if (strcmp(option, "--force") == 0)
		return options->force = true;
	if (r &&
	    (strcmp(option, "-r") == 0 || strcmp(option, "-R") == 0 || strcmp(option, "--recursive") == 0))
		return options->recursive = true;
	if (p && (strcmp(option, "-p") == 0 || strcmp(option, "--parents") == 0))
		return options->parents = true;
	return false;
}

int change_arguments_read(const char *command, const char *letters, int count, char **arguments,
			  struct change_options *options, struct places *places)
{
	bool names = false;

	*options = (struct change_options){ 0 };
	*places = (struct places){ .list = calloc((size_t)count + 1, sizeof(*places->list)) };
	if (!places->list)
		return ctl_fail(command, strerror(ENOMEM));
	for (int i = 0; i < count; i++) {
		if (!names && strcmp(arguments[i], "--") == 0) {
			names = true;
		} else if (!names && arguments[i][0] == '-' && arguments[i][1]) {
			if (!read_option(arguments[i], letters, options))
				return ctl_misused(arguments[i], "unknown option");
		} else if (place_read(arguments[i], &places->list[places->count++]) != 0) {
			return ctl_fail(command, strerror(ENOMEM));
		}
	}
	return OK;
}

void places_free(struct places *places)
{
	for (size_t i = 0; i < places->count; i++)
		place_free(&places->list[i]);
	free(places->list);
	*places = (struct places){ 0 };
}

int places_in_one_image(const struct places *places)
{
	for (size_t i = 0; i < places->count; i++) {
		const struct place *place = &places->list[i];

		if (!place->is_image)
			return ctl_misused(
				place->path,
				"is a local file: one in an image is IMAGE:PATH, without ./ before it");
		if (strcmp(place->image, places->list[0].image) != 0)
			return ctl_misused(place->image, "one image at a time");
	}
	return OK;
}

/* ---- the change ----------------------------------------------------------- */

int change_open(const char *control, const struct place *place, const struct change_options *options,
		struct change **change)
{
	struct image_place image;
	int result = image_find(control, place->image, &image);

	*change = NULL;
	if (result == OK) {
		unsigned number = image.partition == CACHE_PARTITION_BOOT ? 0 : image.partition;
		int error;

		if (nbd_uri_is_one(image.path)) {
			result = ctl_fail(image.path, "is behind a block server, and only read here");
			image_place_free(&image);
			return result;
		}
		error = change_begin(change, image.path, number, options->force ? CHANGE_FORCE : 0);

		if (*change && change_notice(*change))
			ctl_fail("", change_notice(*change));
		if (error != 0) {
			result = ctl_fail("", change_problem(*change));
			change_end(STEAL_POINTER(*change));
		}
	}
	image_place_free(&image);
	return result;
}

int change_finish(struct change *change, int error)
{
	int result;

	if (error == 0)
		error = change_commit(change);
	result = error == 0 ? OK : ctl_fail("", change_problem(change));
	change_end(change);
	return result;
}

char *path_join(const char *path, const char *name)
{
	size_t length = strlen(path);
	char *joined;

	return asprintf(&joined, "%s%s%s", path, length > 0 && path[length - 1] != '/' ? "/" : "", name) < 0
		       ? NULL
		       : joined;
}
