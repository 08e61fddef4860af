/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/spot.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/text.h"

/* ---- new names ------------------------------------------------------------ */

/* Devices of DOS: mtools refuses them. */
static bool is_device(const char *name)
{
	static const char *const devices[] = { "con",  "aux",  "prn",  "nul",  "com1", "com2",
					       "com3", "com4", "lpt1", "lpt2", "lpt3", "lpt4" };

	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		if (strcasecmp(name, devices[i]) == 0)
			return true;
	return false;
}

const char *spot_name_problem(const char *name)
{
	size_t units = 0;

	if (is_device(name))
		return "the name of a DOS device";
	if (!*name)
		return "a name of dots alone";
	if (name[strlen(name) - 1] == ' ')
		return "FAT cannot have a name that ends in a blank";
	for (size_t length; *name; name += length) {
		length = text_sequence_bytes(name);
		if (length == 0)
			return "the name is no UTF-8";
		if (length == 4)
			return "mtools cannot write characters beyond U+FFFF";
		if ((unsigned char)*name < 0x20 || *name == 0x7f || strchr("\"*/:<>?\\|", *name))
			return "FAT cannot have \" * : < > ? \\ | or control characters in a name";
		if (++units > FAT_NAME_UNITS_MAX)
			return "the name is longer than 255 characters";
	}
	return NULL;
}

void spot_cut_dots(char *name)
{
	size_t length = strlen(name);

	while (length > 0 && name[length - 1] == '.')
		name[--length] = '\0';
}

/* mtools would go into a directory that a new name is a pattern of. */
static bool leads_elsewhere(const struct fat_dir *dir, const char *name)
{
	for (size_t i = 0; strchr(name, '[') && i < fat_dir_count(dir); i++) {
		const struct fat_entry *entry = fat_dir_entry(dir, i);

		if (!(entry->attributes & FAT_ATTR_DIRECTORY))
			continue;
		if (fnmatch(name, entry->name, FNM_CASEFOLD) == 0 ||
		    fnmatch(name, entry->short_name, FNM_CASEFOLD) == 0)
			return true;
	}
	return false;
}

/* ---- what is there -------------------------------------------------------- */

static bool is_plain(const char *name)
{
	for (; *name; name++)
		if ((unsigned char)*name <= 0x20 || (unsigned char)*name >= 0x7f || strchr("[]*?\\", *name))
			return false;
	return true;
}

/* DIRECTORY/NAME, for the caller to free. */
static char *called_new(const char *directory, const char *name)
{
	char *called;

	return asprintf(&called, "%s/%s", directory, name) < 0 ? NULL : called;
}

static char *called_there(const char *directory, const struct fat_entry *entry)
{
	CLEANUP_FREE char *escaped = NULL;
	size_t at = 0;

	if (entry->short_name[0] && is_plain(entry->short_name))
		return called_new(directory, entry->short_name);
	escaped = malloc(2 * strlen(entry->name) + 1);
	if (!escaped)
		return NULL;
	for (const char *from = entry->name; *from; from++) {
		if (strchr("[]*?\\", *from))
			escaped[at++] = '\\';
		escaped[at++] = *from;
	}
	escaped[at] = '\0';
	return called_new(directory, escaped);
}

/* The spot becomes what `name` is in `dir`, which is called spot->called so far. */
static int step(const struct fat_dir *dir, char *name, struct spot *spot)
{
	long index = fat_dir_find(dir, name);
	const struct fat_entry *entry = index < 0 ? NULL : fat_dir_entry(dir, (size_t)index);

	free(spot->parent);
	free(spot->name);
	spot->parent = STEAL_POINTER(spot->called);
	if (!entry)
		spot_cut_dots(name);
	spot->exists = entry != NULL;
	spot->is_directory = false;
	spot->attributes = 0;
	spot->first_cluster = spot->size_bytes = 0;
	spot->name = strdup(entry ? entry->name : name);
	spot->called = entry ? called_there(spot->parent, entry) : called_new(spot->parent, name);
	if (!spot->name || !spot->called)
		return -ENOMEM;
	if (!entry) {
		spot->problem = spot_name_problem(name);
		if (!spot->problem && leads_elsewhere(dir, name))
			spot->problem = "mtools takes the name for a pattern of another";
		return spot->problem ? -EINVAL : 0;
	}
	spot->is_directory = entry->attributes & FAT_ATTR_DIRECTORY;
	spot->attributes = entry->attributes;
	spot->first_cluster = entry->first_cluster;
	spot->size_bytes = entry->size_bytes;
	return spot->is_directory && spot->first_cluster == 0 ? -EIO : 0;
}

static int start_at_root(struct spot *spot)
{
	*spot = (struct spot){
		.exists = true,
		.is_directory = true,
		.called = strdup("::"),
		.parent = strdup("::"),
		.name = strdup(""),
	};
	return spot->called && spot->parent && spot->name ? 0 : -ENOMEM;
}

int spot_find(const struct fat_volume *volume, struct source *source, const char *path, struct spot *spot)
{
	CLEANUP_FREE char *copy = strdup(path);
	char *rest = copy;
	int error = start_at_root(spot);

	if (!copy)
		return -ENOMEM;
	/* Bounded by the path. */
	for (char *name; error == 0 && (name = strsep(&rest, "/"));) {
		struct fat_dir *dir = NULL;

		if (*name == '\0' || strcmp(name, ".") == 0)
			continue;
		if (!spot->exists)
			return -ENOENT;
		if (!spot->is_directory)
			return -ENOTDIR;
		if (strcmp(name, "..") == 0) {
			spot->problem = "a path with \"..\"";
			return -EINVAL;
		}
		error = fat_dir_read(volume, source, spot->first_cluster, &dir);
		if (error == 0)
			error = step(dir, name, spot);
		fat_dir_free(dir);
	}
	return error;
}

void spot_free(struct spot *spot)
{
	free(spot->called);
	free(spot->parent);
	free(spot->name);
	*spot = (struct spot){ 0 };
}
