/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mkdir: directories of an image, all or none.
 */
#include "tools/ctl.h"
#include "tools/ctl_change.h"

static int make(const char *control, const struct places *places, const struct change_options *options)
{
	struct change *change;
	int error = 0, result = change_open(control, &places->list[0], options, &change);

	if (result != OK)
		return result;
	for (size_t i = 0; i < places->count && error == 0; i++)
		error = change_mkdir(change, places->list[i].path, options->parents);
	return change_finish(change, error);
}

int command_mkdir(const char *control, int count, char **arguments)
{
	struct change_options options;
	struct places places;
	int result = change_arguments_read("mkdir", "p", count, arguments, &options, &places);

	if (result == OK && places.count == 0)
		result = ctl_misused("mkdir", "which directories?");
	if (result == OK)
		result = places_in_one_image(&places);
	if (result == OK)
		result = make(control, &places, &options);
	places_free(&places);
	return result;
}
