/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/source_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/statx.h"
#include "base/waits.h"
#include "cache/device/nbd_connect.h"
#include "cache/device/nbd_uri.h"
#include "cache/device/path_watch.h"
#include "cache/device/readable.h"

/* Constant once there are threads. */
static const char *source_directory, *source_file;
static const char *nbd_allowed = "any", *nbd_source;

void source_dir_set(const char *directory, const char *file)
{
	source_directory = directory;
	source_file = file;
}

void source_dir_set_nbd(const char *allowed, const char *source_uri)
{
	nbd_allowed = allowed;
	nbd_source = source_uri;
}

bool source_dir_is_known(void)
{
	return source_directory;
}

bool source_dir_is_one_image(void)
{
	return source_file;
}

int source_dir_open(int flags)
{
	int fd = source_directory ? open(source_directory, flags | O_DIRECTORY | O_CLOEXEC) : -1;

	return fd >= 0 ? fd : source_directory ? -errno : -EACCES;
}

int source_dir_watch(struct path_watch *watch)
{
	return source_directory && !source_file ? path_watch_new(source_directory, watch) : -EACCES;
}

static bool is_component(const char *name)
{
	return name[0] != '\0' && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

bool source_dir_has(const char *name)
{
	if (!is_component(name))
		return false;
	return !source_file || strcmp(name, source_file) == 0;
}

int source_dir_open_name(const char *name)
{
	CLEANUP_FD int dir_fd = source_dir_open(O_PATH);
	CLEANUP_FD int fd = -1;
	struct statx opened;
	struct stat st;

	if (dir_fd < 0)
		return dir_fd;
	/* What else there may be behind a link (a terminal, a tape) is not opened at all. */
	if (fstatat(dir_fd, name, &st, 0) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -EACCES;
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	return readable_check(fd, &opened) == 0 ? steal_fd(&fd) : -EACCES;
}

bool source_dir_is_own(const char *name)
{
	size_t length = strlen(name);

	return !source_file && is_component(name) && name[0] != '.' && length > 2 && strcmp(name + length - 2, ".d") == 0;
}

/* What a link put there leads to is the business of nobody here: neither component is followed. */
int source_dir_open_own(const char *directory, const char *file)
{
	CLEANUP_FD int source_fd = source_dir_open(O_PATH);
	CLEANUP_FD int dir_fd = -1;
	CLEANUP_FD int fd = -1;
	struct statx opened;
	struct stat st;

	if (source_fd < 0)
		return source_fd;
	dir_fd = openat(source_fd, directory,
			(file[0] == '\0' ? O_RDONLY : O_PATH) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir_fd < 0)
		return errno == ENOTDIR || errno == ELOOP ? -ENOENT : -errno;
	if (file[0] == '\0')
		return steal_fd(&dir_fd);
	if (!is_component(file) || file[0] == '.')
		return -ENOENT;
	/* A FIFO or a device is not opened at all. */
	if (fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOENT;
	fd = openat(dir_fd, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno == ELOOP ? -ENOENT : -errno;
	return readable_check(fd, &opened) == 0 && S_ISREG(opened.stx_mode) ? steal_fd(&fd) : -ENOENT;
}

static int read_link(int dir_fd, const char *name, char *text)
{
	ssize_t length = readlinkat(dir_fd, name, text, PATH_MAX);

	if (length < 0)
		return -errno;
	if (length >= PATH_MAX)
		return -ENAMETOOLONG;
	text[length] = '\0';
	return 0;
}

/* Relative to SOURCE, as a link in it is. */
static int stat_parent(int dir_fd, const char *name, struct stat *st)
{
	char text[PATH_MAX], *slash;
	int error = read_link(dir_fd, name, text);

	if (error != 0)
		return error;
	slash = strrchr(text, '/');
	if (!slash)
		return -ENOENT;
	slash[slash == text] = '\0';
	return fstatat(dir_fd, text, st, 0) == 0 ? 0 : -errno;
}

int source_dir_stat(const char *name, unsigned what, struct stat *st)
{
	CLEANUP_FD int dir_fd = source_dir_open(O_PATH);

	if (dir_fd < 0)
		return dir_fd;
	if (what == OPENER_PARENT)
		return stat_parent(dir_fd, name, st);
	if (what == OPENER_SOURCE)
		return fstatat(dir_fd, source_file ? source_file : "", st, source_file ? 0 : AT_EMPTY_PATH) == 0 ? 0 : -errno;
	return fstatat(dir_fd, name, st, what == OPENER_FOLLOWED ? 0 : AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

int source_dir_readlink(const char *name, char *text)
{
	CLEANUP_FD int dir_fd = source_dir_open(O_PATH);

	return dir_fd < 0 ? dir_fd : read_link(dir_fd, name, text);
}

int source_dir_connect(const char *name, char *text)
{
	struct nbd_uri uri;
	int error = 0;

	if (*name == '\0' && nbd_source)
		snprintf(text, PATH_MAX, "%s", nbd_source);
	else
		error = source_dir_has(name) ? source_dir_readlink(name, text) : -EACCES;
	if (error != 0)
		return error == -ENOENT || error == -EINVAL ? -ESTALE : error;
	if (nbd_uri_parse(text, &uri))
		return -EINVAL;
	error = *name == '\0' || nbd_uri_is_allowed(&uri, nbd_allowed) ?
			nbd_connect(&uri, WAIT_NBD_CONNECT_NS) : -EPERM;
	nbd_uri_free(&uri);
	return error;
}
