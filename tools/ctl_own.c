/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/ctl_own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cache/device/nbd_uri.h"
#include "tools/ctl_image.h"

/* Links that lead to links: no further than this, as in ctl_image.c. */
#define LINKS_MAX 8

/* ---- where they are --------------------------------------------------------- */

static char *directory_of(const char *parent, const char *name)
{
	char *path;
	struct stat st;

	if (asprintf(&path, "%s/%s.d", parent, name) < 0)
		return NULL;
	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return path;
	free(path);
	return NULL;
}

/* What the link of that name leads to, if that is in the same directory: *name becomes it. */
static bool follow(const char *parent, char name[PATH_MAX])
{
	static const char *const suffixes[] = { "", ".img", ".raw" };
	char target[PATH_MAX];
	ssize_t length = -1;

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]) && length <= 0; i++) {
		char path[PATH_MAX];

		if ((size_t)snprintf(path, sizeof(path), "%s/%s%s", parent, name, suffixes[i]) < sizeof(path))
			length = readlink(path, target, sizeof(target) - 1);
	}
	if (length <= 0)
		return false;
	target[length] = '\0';
	strcpy(name, image_name_in(parent, target));
	return *name != '.' && !strchr(name, '/');
}

/* None for a URI: no name in a directory says that it is that image's. */
static char *find_directory(const struct image_place *place, const char *argument)
{
	const char *slash = strrchr(argument, '/');
	char name[PATH_MAX];
	char *found = NULL;

	if (nbd_uri_is_one(argument))
		return NULL;
	if ((size_t)snprintf(name, sizeof(name), "%s", slash ? slash + 1 : argument) >= sizeof(name))
		return NULL;
	for (int i = 0; i < LINKS_MAX && !found; i++) {
		image_cut_suffix(name);
		found = directory_of(place->directory, name);
		if (!found && !follow(place->directory, name))
			break;
	}
	return found;
}

/* ---- which there are ----------------------------------------------------------- */

static int take(struct own *own, int dir_fd, const char *name)
{
	struct stat st;

	if (name[0] == '.' || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return 0;
	return fat_names_add(&own->names, name);
}

int own_open(const struct image_place *place, const char *argument, struct own *own)
{
	struct dirent *entry;
	int error = 0;
	DIR *dir;

	*own = (struct own){ .directory = find_directory(place, argument) };
	if (!own->directory)
		return 0;
	dir = opendir(own->directory);
	if (!dir)
		return -errno;
	while (error == 0 && (entry = readdir(dir)))
		error = take(own, dirfd(dir), entry->d_name);
	closedir(dir);
	fat_names_fold(&own->names);
	return error;
}

void own_close(struct own *own)
{
	fat_names_free(&own->names);
	free(own->directory);
	*own = (struct own){ 0 };
}

/* ---- one of them ------------------------------------------------------------- */

const char *own_find(const struct own *own, const char *path)
{
	while (*path == '/' || strncmp(path, "./", 2) == 0)
		path++;
	return fat_names_find(&own->names, path);
}

int own_file(const struct own *own, const char *name, struct stat *st)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FD int fd = -1;

	if (asprintf(&path, "%s/%s", own->directory, name) < 0)
		return -ENOMEM;
	fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, st) != 0)
		return -errno;
	return S_ISREG(st->st_mode) ? steal_fd(&fd) : -ENOENT;
}

char *own_read(const struct own *own, const char *name, size_t most_bytes, size_t *length_bytes)
{
	struct stat st;
	CLEANUP_FD int fd = own_file(own, name, &st);
	CLEANUP_FREE char *text = calloc(1, most_bytes + 1);
	ssize_t got = 1;

	*length_bytes = 0;
	/* Each turn reads at least a byte of what is left. */
	while (fd >= 0 && text && got > 0 && *length_bytes < most_bytes) {
		got = read(fd, text + *length_bytes, most_bytes - *length_bytes);
		*length_bytes += got > 0 ? (size_t)got : 0;
	}
	return fd >= 0 && got >= 0 ? STEAL_POINTER(text) : NULL;
}
