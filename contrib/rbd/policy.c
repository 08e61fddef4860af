/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define OPTIONS_MAX 1024 /* librbd 16 has 70 */

/* Set for pool or image to that value? */
static bool is_set(const rbd_config_option_t *options, int count, const char *name, const char *value)
{
	for (int i = 0; i < count; i++)
		if (strcmp(options[i].name, name) == 0)
			return options[i].source != RBD_CONFIG_SOURCE_CONFIG &&
			       strcmp(options[i].value, value) == 0;
	return false;
}

static bool is_set_otherwise(const rbd_config_option_t *options, int count, const char *name,
			     const char *value)
{
	for (int i = 0; i < count; i++)
		if (strcmp(options[i].name, name) == 0)
			return options[i].source != RBD_CONFIG_SOURCE_CONFIG &&
			       strcmp(options[i].value, value) != 0;
	return false;
}

static const char *judge(const rbd_config_option_t *options, int count)
{
	if (is_set_otherwise(options, count, "rbd_persistent_cache_mode", "disabled"))
		return "rbd_persistent_cache_mode is not disabled";
	if (is_set(options, count, "rbd_cache", "false") ||
	    is_set(options, count, "rbd_cache_policy", "writethrough") ||
	    is_set(options, count, "rbd_cache_max_dirty", "0"))
		return NULL;
	return "rbd_cache_policy is not set to writethrough";
}

/* librbd says by -ERANGE how many there are. */
static const char *list_and_judge(int (*list)(void *of, rbd_config_option_t *options, int *count),
				  void (*clean)(rbd_config_option_t *options, int count), void *of,
				  int *error)
{
	CLEANUP_FREE rbd_config_option_t *options = NULL;
	const char *objection;
	int count = 0;

	*error = list(of, NULL, &count);
	if (*error == -ERANGE && count > 0 && count <= OPTIONS_MAX) {
		options = calloc((size_t)count, sizeof(*options));
		*error = options ? list(of, options, &count) : -ENOMEM;
	}
	if (*error < 0)
		return "its settings cannot be read";
	if (!options)
		return judge(options, 0);
	objection = judge(options, count);
	clean(options, count);
	return objection;
}

/* rados_ioctx_t and rbd_image_t are void pointers. */
const char *policy_of_pool(rados_ioctx_t io, int *error)
{
	return list_and_judge(rbd_config_pool_list, rbd_config_pool_list_cleanup, io, error);
}

const char *policy_of_image(rbd_image_t image, int *error)
{
	return list_and_judge(rbd_config_image_list, rbd_config_image_list_cleanup, image, error);
}
