/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rm: files of an image, all or none.
 */
#include "tools/ctl.h"
#include "tools/ctl_change.h"

static int rm(const char *control, const struct places *places, const struct change_options *options)
{
	struct change *change;
	int error = 0, result = change_open(control, &places->list[0], options, &change);

	if (result != OK)
		return result;
	for (size_t i = 0; i < places->count && error == 0; i++)
		error = change_remove(change, places->list[i].path, options->recursive);
	return change_finish(change, error);
}

int command_rm(const char *control, int count, char **arguments)
{
	struct change_options options;
	struct places places;
	int result = change_arguments_read("rm", "r", count, arguments, &options, &places);

	if (result == OK && places.count == 0)
		result = ctl_misused("rm", "which files?");
	if (result == OK)
		result = places_in_one_image(&places);
	if (result == OK)
		result = rm(control, &places, &options);
	places_free(&places);
	return result;
}
