/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mv: files and directories of an image get another name, or move into a directory: all or none.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "tools/ctl.h"
#include "tools/ctl_change.h"

static int move_into(struct change *change, const char *from, const char *directory)
{
	CLEANUP_FREE char *name = place_last_name(from);
	CLEANUP_FREE char *to = name ? path_join(directory, name) : NULL;

	return to ? change_move(change, from, to) : -ENOMEM;
}

/* As mv(1): what is a directory already is moved into, unless it is only spelled anew. */
static int move_all(struct change *change, const struct places *places, bool *misused)
{
	const struct place *last = &places->list[places->count - 1];
	const char *first = places->list[0].path;
	enum change_kind kind, moved;
	int error = change_look(change, last->path, &kind);

	if (error == 0)
		error = change_look(change, first, &moved);
	if (error != 0)
		return error;
	if (kind != CHANGE_DIRECTORY &&
	    (places->count > 2 || (place_is_directory(last) && moved == CHANGE_FILE))) {
		*misused = true;
		return -ENOTDIR;
	}
	if (kind != CHANGE_DIRECTORY ||
	    (places->count == 2 &&
	     strcasecmp(first + strspn(first, "/"), last->path + strspn(last->path, "/")) == 0))
		return change_move(change, first, last->path);
	for (size_t i = 0; i + 1 < places->count && error == 0; i++)
		error = move_into(change, places->list[i].path, last->path);
	return error;
}

static int move(const char *control, const struct places *places, const struct change_options *options)
{
	struct change *change;
	bool misused = false;
	int error, result = change_open(control, &places->list[0], options, &change);

	if (result != OK)
		return result;
	error = move_all(change, places, &misused);
	if (!misused)
		return change_finish(change, error);
	change_end(change);
	return ctl_fail(places->list[places->count - 1].path, strerror(ENOTDIR));
}

int command_mv(const char *control, int count, char **arguments)
{
	struct change_options options;
	struct places places;
	int result = change_arguments_read("mv", "", count, arguments, &options, &places);

	if (result == OK && places.count < 2)
		result = ctl_misused("mv", places.count == 0 ? "which files?" : "to where?");
	if (result == OK)
		result = places_in_one_image(&places);
	if (result == OK)
		result = move(control, &places, &options);
	places_free(&places);
	return result;
}
