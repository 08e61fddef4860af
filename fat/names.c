/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fat/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fat/fat.h"

int fat_names_add(struct fat_names *names, const char *name)
{
	if (names->count == names->room) {
		size_t wider = names->room ? names->room * 2 : 16;
		char **grown = reallocarray(names->list, wider, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		names->list = grown;
		names->room = wider;
	}
	names->list[names->count] = strdup(name);
	return names->list[names->count] ? (names->count++, 0) : -ENOMEM;
}

static int compare(const void *a, const void *b)
{
	const char *first = *(char *const *)a, *second = *(char *const *)b;
	int order = fat_name_compare(first, second);

	return order != 0 ? order : strcmp(first, second);
}

void fat_names_fold(struct fat_names *names)
{
	size_t kept = 0;

	if (names->count > 0)
		qsort(names->list, names->count, sizeof(*names->list), compare);
	for (size_t i = 0; i < names->count; i++) {
		if (kept > 0 && fat_name_compare(names->list[kept - 1], names->list[i]) == 0)
			free(names->list[i]);
		else
			names->list[kept++] = names->list[i];
	}
	names->count = kept;
}

static int compare_name(const void *name, const void *at)
{
	return fat_name_compare(name, *(char *const *)at);
}

const char *fat_names_find(const struct fat_names *names, const char *name)
{
	char **found = names->count == 0 ? NULL :
					   bsearch(name, names->list, names->count, sizeof(*names->list), compare_name);

	return found ? *found : NULL;
}

void fat_names_free(struct fat_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i]);
	free(names->list);
	*names = (struct fat_names){ 0 };
}
