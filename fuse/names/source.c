/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cache/changes/kernel.h"
#include "cache/device/nbd_uri.h"
#include "cache/device/opener.h"
#include "cache/tree/types.h"
#include "fuse/process/daemon.h"
#include "fuse/process/mount.h"

struct view_source {
	char *path;		      /* absolute */
	char *directory;	      /* of the images, absolute */
	char *file;		      /* of the one image, in the directory; or NULL */
	bool remote;		      /* it is none of a directory: the path is a URI, and */
	struct stat st;		      /* this is what it is */
	struct kernel_events *kernel; /* or NULL */
};

/*
 * Behind the last ".." before which the path leads into MOUNTPOINT: to look that up when it is mounted would be to ask
 * ourselves, and to wait for the answer for ever. `path` where there is none.
 */
static char *behind_mountpoint(char *path, const struct stat *mountpoint)
{
	char *behind = path;

	for (char *at = path; (at = strstr(at, "/..")); at += strlen("/..")) {
		if (at[3] != '/' && at[3] != '\0')
			continue;
		*at = '\0';
		if (at > path && mount_is_below(path, mountpoint))
			behind = at + strlen("/..");
		*at = '/';
	}
	return behind;
}

/*
 * The daemon's working directory is "/" later. All is resolved at each look (N8), but what leads through MOUNTPOINT
 * (`cd MOUNTPOINT; imagefs ../images .`): that now, and once.
 */
static char *absolute(const char *path, const char *mountpoint)
{
	CLEANUP_FREE char *here = NULL, *before = NULL, *real = NULL;
	char *given, *joined, *rest;
	struct stat st;

	if (path[0] == '/')
		given = strdup(path);
	else if (!(here = getcwd(NULL, 0)) || asprintf(&given, "%s/%s", here, path) < 0)
		given = NULL;
	rest = given && strstr(given, "/..") && stat(mountpoint, &st) == 0 ? behind_mountpoint(given, &st) : given;
	if (rest == given)
		return given;
	before = strndup(given, (size_t)(rest - given));
	real = before ? realpath(before, NULL) : NULL;
	if (!real) /* said by who opens it */
		return given;
	if (asprintf(&joined, "%s%s", strcmp(real, "/") == 0 && *rest ? "" : real, rest) < 0)
		joined = NULL;
	free(given);
	return joined;
}

/* What a user may not read shall be said at once. */
static int check_readable(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? -errno : 0;
}

/* The text is split, not what it leads to: a link to an image is followed at each look. */
static int split(struct view_source *source, const struct stat *st)
{
	char *slash = strrchr(source->path, '/');

	if (S_ISDIR(st->st_mode)) {
		source->directory = strdup(source->path);
		return source->directory ? 0 : -ENOMEM;
	}
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return -ENOTDIR;
	source->directory =
		slash == source->path ? strdup("/") : strndup(source->path, (size_t)(slash - source->path));
	source->file = strdup(slash + 1);
	return source->directory && source->file ? 0 : -ENOMEM;
}

/* The last word of the export's name, or the host's. */
static int become_remote(struct view_source *source)
{
	struct timespec now;
	struct nbd_uri uri = { 0 };
	const char *problem = nbd_uri_parse(source->path, &uri), *name = problem ? "" : uri.export, *slash = strrchr(name, '/');

	source->remote = true;
	clock_gettime(CLOCK_REALTIME, &now);
	view_remote_stat(source->path, &(struct stat){ .st_atim = now, .st_mtim = now, .st_ctim = now }, &source->st);
	name = slash ? slash + 1 : name;
	source->directory = strdup("/");
	source->file = strdup(*name ? name : !problem && uri.host ? uri.host : "image");
	nbd_uri_free(&uri);
	return source->directory && source->file ? 0 : -ENOMEM;
}

static int become_local(struct view_source *source)
{
	struct stat st;
	int error = stat(source->path, &st) == 0 ? check_readable(source->path) : -errno;

	return error != 0 ? error : split(source, &st);
}

int view_source_new(const char *path, const char *mountpoint, struct view_source **out)
{
	struct view_source *source = calloc(1, sizeof(*source));
	bool remote = nbd_uri_is_one(path);
	int error = source && (source->path = remote ? strdup(path) : absolute(path, mountpoint)) ? 0 : -ENOMEM;

	if (error == 0)
		error = remote ? become_remote(source) : become_local(source);
	if (error == 0) {
		*out = source;
		return 0;
	}
	if (source) {
		free(source->path);
		free(source->directory);
		free(source->file);
	}
	free(source);
	return error;
}

void view_source_tell(struct view_source *source, struct kernel_events *kernel)
{
	source->kernel = kernel;
}

const char *view_source_path(const struct view_source *source)
{
	return source->path;
}

const char *view_source_directory(const struct view_source *source)
{
	return source->directory;
}

const char *view_source_file(const struct view_source *source)
{
	return source->file;
}

const char *view_source_uri(const struct view_source *source)
{
	return source->remote ? source->path : NULL;
}

void view_remote_stat(const char *uri, const struct stat *link, struct stat *st)
{
	*st = (struct stat){
		.st_mode = S_IFREG,
		.st_nlink = 1,
		.st_dev = VIEW_REMOTE_DEVICE,
		.st_ino = (ino_t)nbd_uri_number(uri),
		.st_atim = link->st_atim,
		.st_mtim = link->st_mtim,
		.st_ctim = link->st_ctim,
	};
}

/* A descriptor that names only; -errno. */
static int open_path(const char *directory)
{
	int fd;

	daemon_walk_begin();
	fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	daemon_walk_end();
	return fd;
}

int view_source_stat_at(int dir_fd, const char *path, int flags, struct stat *st)
{
	int error;

	daemon_walk_begin();
	error = fstatat(dir_fd, path, st, flags) == 0 ? 0 : -errno;
	daemon_walk_end();
	return error;
}

int view_source_ask(const struct cache_op *op, int error)
{
	if (error != -EACCES)
		return error;
	return op && !op->may_block ? -EAGAIN : 0;
}

int view_source_open(const struct cache_op *op, const struct view_source *source, int flags)
{
	int fd = flags == O_PATH ? open_path(source->directory) : -EACCES, error;

	if (fd < 0) {
		error = view_source_ask(op, fd);
		fd = error != 0 ? error : opener_directory();
	}
	if (fd < 0)
		return fd;
	/* What is opened in it from now on is listened to: a directory that took its place, too. */
	if (!source->kernel || source->file || kernel_events_has_directory(source->kernel, fd))
		return fd;
	if (op && !op->may_block) {
		close(fd);
		return -EAGAIN;
	}
	kernel_events_directory(source->kernel, fd);
	return fd;
}

int view_source_stat(const struct cache_op *op, const struct view_source *source, struct stat *st)
{
	int error, asked;

	if (source->remote) {
		*st = source->st;
		return 0;
	}
	error = view_source_stat_at(AT_FDCWD, source->path, 0, st);
	asked = view_source_ask(op, error);
	return error != 0 && asked == 0 ? opener_stat("", OPENER_SOURCE, st) : asked;
}

int view_source_lstat(const struct cache_op *op, int dir_fd, const char *name, struct stat *st)
{
	int error = view_source_stat_at(dir_fd, name, AT_SYMLINK_NOFOLLOW, st), asked = view_source_ask(op, error);

	return error != 0 && asked == 0 ? opener_stat(name, OPENER_ENTRY, st) : asked;
}

static void listen_behind(const struct view_source *source, const char *name)
{
	CLEANUP_FD int fd = opener_open(name);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		kernel_events_file(source->kernel, fd);
}

void view_source_listen(const struct view_source *source)
{
	int fd = source->kernel && !source->file ? view_source_open(NULL, source, O_RDONLY) : -1;
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir && fd >= 0)
		close(fd);
	if (!dir)
		return;
	for (struct dirent *entry; (entry = readdir(dir));)
		if (entry->d_type == DT_LNK)
			listen_behind(source, entry->d_name);
	closedir(dir);
}
