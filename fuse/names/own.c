/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/own.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "cache/device/opener.h"
#include "fuse/names/image_open.h"
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

/* Where a filesystem does not say what an entry is, it is tried. */
static bool is_regular(const char *directory, const struct dirent *entry)
{
	CLEANUP_FD int fd = -1;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_REG;
	fd = opener_own(directory, entry->d_name);
	return fd >= 0 || fd == -EACCES || fd == -EPERM;
}

static int take(const char *directory, const struct dirent *entry, struct fat_names *names)
{
	return entry->d_name[0] == '.' || !is_regular(directory, entry) ? 0 : fat_names_add(names, entry->d_name);
}

static int read_entries(const char *directory, DIR *dir, struct fat_names *names)
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

int own_names_read(const char *directory, struct cache_op *op, struct fat_names *names)
{
	int fd, error;
	DIR *dir;

	*names = (struct fat_names){ 0 };
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
	error = read_entries(directory, dir, names);
	closedir(dir);
	if (error == 0)
		fat_names_fold(names);
	else
		fat_names_free(names);
	return error;
}

bool own_names_is_served(const struct fat_names *names, const char *found)
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
