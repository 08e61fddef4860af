/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/own.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cache/device/opener.h"
#include "fat/fat.h"
#include "fuse/names/images.h"
#include "fuse/names/source.h"

/* A directory with more entries than these is no directory for files of a board's own. */
#define ENTRIES_MAX 1024

bool own_directory(char *directory, const char *name)
{
	int length = snprintf(directory, NAME_MAX + 1, "%s.d", name);

	return length > 0 && length <= NAME_MAX;
}

int own_is_there(const struct cache_op *op, int dir_fd, const char *name, struct stat *st)
{
	char directory[NAME_MAX + 1];
	int error = own_directory(directory, name) ? view_source_lstat(op, dir_fd, directory, st) : -ENOENT;

	if (error != 0)
		return error == -ENOENT || error == -ENOTDIR || error == -ENAMETOOLONG ? 0 : error == -EAGAIN ? error : -EIO;
	return S_ISDIR(st->st_mode);
}

/* ---- names ------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
	const char *first = *(char *const *)a, *second = *(char *const *)b;
	int order = fat_name_compare(first, second);

	return order != 0 ? order : strcmp(first, second);
}

/* Where a filesystem does not say what an entry is, it is tried. */
static bool is_regular(const char *directory, const struct dirent *entry)
{
	CLEANUP_FD int fd = -1;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_REG;
	fd = opener_own(directory, entry->d_name);
	return fd >= 0 || fd == -EACCES || fd == -EPERM;
}

static int take(const char *directory, const struct dirent *entry, struct own_names *names)
{
	if (entry->d_name[0] == '.' || !is_regular(directory, entry))
		return 0;
	names->list[names->count] = strdup(entry->d_name);
	return names->list[names->count] ? (names->count++, 0) : -ENOMEM;
}

static int read_entries(const char *directory, DIR *dir, struct own_names *names)
{
	struct dirent *entry;
	int error = 0, left = ENTRIES_MAX;

	do {
		errno = 0;
		entry = readdir(dir);
		if (entry && left-- == 0)
			return OWN_TOO_MANY;
		error = entry ? take(directory, entry, names) : errno != 0 ? OWN_UNREADABLE : 0;
	} while (entry && error == 0);
	return error;
}

static void fold(struct own_names *names)
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

int own_names_read(const char *directory, struct cache_op *op, struct own_names *names)
{
	int fd, error;
	DIR *dir;

	*names = (struct own_names){ 0 };
	if (!op->may_block)
		return -EAGAIN;
	fd = opener_own(directory, "");
	if (fd == -ENOENT)
		return 0;
	error = fd < 0 ? view_shortage(op, fd) : 0;
	if (error == -EINPROGRESS)
		return error;
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		cleanup_close_fd(&fd);
		return OWN_UNREADABLE;
	}
	names->list = calloc(ENTRIES_MAX, sizeof(*names->list));
	error = names->list ? read_entries(directory, dir, names) : -ENOMEM;
	closedir(dir);
	if (error == 0)
		fold(names);
	else
		own_names_free(names);
	return error;
}

void own_names_free(struct own_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->list[i]);
	free(names->list);
	*names = (struct own_names){ 0 };
}

static int compare_name(const void *name, const void *at)
{
	return fat_name_compare(name, *(char *const *)at);
}

const char *own_names_find(const struct own_names *names, const char *name)
{
	char **found = names->count == 0 ? NULL :
					   bsearch(name, names->list, names->count, sizeof(*names->list), compare_name);

	return found ? *found : NULL;
}

bool own_names_is_served(const struct own_names *names, const char *found)
{
	for (size_t i = 0; i < names->count && i < OWN_FILES_MAX; i++)
		if (names->list[i] == found)
			return true;
	return false;
}

const char *own_why_not(int error)
{
	switch (error) {
	case OWN_UNREADABLE:
		return "it cannot be read";
	case OWN_TOO_LARGE:
		return "it is larger than 4 MiB";
	case OWN_TOO_MANY:
		return "there are more than 64 files of its own";
	case OWN_TOO_MUCH:
		return "more than 16 MiB of its own files, or 64 MiB of all, are open";
	default:
		return NULL;
	}
}
