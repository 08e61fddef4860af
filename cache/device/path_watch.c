/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/path_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* A name comes, goes or is replaced. Of a directory that ends, or whose filesystem does, the kernel tells unasked. */
#define NAMES (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF)

#define LINKS_MAX 40 /* as the kernel */

static bool tells_names(int fd, bool on_the_way)
{
	static const uint32_t known[] = { EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC };
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if ((uint32_t)fs.f_type == known[i])
			return true;
	return on_the_way && (uint32_t)fs.f_type == OVERLAYFS_SUPER_MAGIC;
}

/* Returns the watch. -errno. */
static int add(const struct path_watch *watch, int dir_fd, bool on_the_way)
{
	char path[32];
	int added;

	if (!tells_names(dir_fd, on_the_way))
		return -EOPNOTSUPP;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir_fd);
	added = inotify_add_watch(watch->fd, path, NAMES | IN_ONLYDIR);
	return added < 0 ? -errno : added;
}

/* The walk: where it is, and what is left of the path. */
struct walk {
	int dir_fd;
	unsigned links;
	char rest[PATH_MAX];
};

/* Events name a directory as it is called on disk. Where case is folded, the path may spell it otherwise. */
static bool is_called(int fd, const char *name)
{
	char path[32], target[PATH_MAX];
	const char *last;
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	last = strrchr(target, '/');
	return last && strcmp(last + 1, name) == 0;
}

static int go_to(struct walk *walk, const char *name)
{
	bool is_named = strcmp(name, "/") != 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
	int fd = openat(walk->dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (is_named && !is_called(fd, name)) {
		close(fd);
		return -EOPNOTSUPP;
	}
	cleanup_close_fd(&walk->dir_fd);
	walk->dir_fd = fd;
	return 0;
}

/* The text of the link `name` goes before the rest. */
static int follow(struct walk *walk, const char *name)
{
	char text[PATH_MAX], rest[PATH_MAX];
	ssize_t length = readlinkat(walk->dir_fd, name, text, sizeof(text) - 1);

	if (length < 0)
		return -errno;
	if (walk->links++ == LINKS_MAX)
		return -ELOOP;
	text[length] = '\0';
	strcpy(rest, walk->rest);
	if (snprintf(walk->rest, sizeof(walk->rest), "%s/%s", text, rest) >= (int)sizeof(walk->rest))
		return -ENAMETOOLONG;
	return text[0] == '/' ? go_to(walk, "/") : 0;
}

/* Take the next component off the rest; false at the end. */
static bool next(struct walk *walk, char name[NAME_MAX + 1], int *error)
{
	const char *at = walk->rest + strspn(walk->rest, "/");
	size_t length = strcspn(at, "/");

	*error = length > NAME_MAX ? -ENAMETOOLONG : 0;
	if (length == 0 || *error != 0)
		return false;
	memcpy(name, at, length);
	name[length] = '\0';
	memmove(walk->rest, at + length, strlen(at + length) + 1);
	return true;
}

static int remember(struct path_watch *watch, const char *name)
{
	size_t bytes = strlen(name) + 1;

	if (bytes > sizeof(watch->names) - watch->names_bytes)
		return -ENAMETOOLONG;
	memcpy(watch->names + watch->names_bytes, name, bytes);
	watch->names_bytes += bytes;
	return 0;
}

/* First it is watched where the name is, then the name is looked up: what it leads to later is an event. */
static int step(struct path_watch *watch, struct walk *walk, const char *name)
{
	struct stat st;
	int error;

	/* What is above a directory changes only when its own name does. */
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return go_to(walk, name);
	error = add(watch, walk->dir_fd, true);
	if (error >= 0)
		error = remember(watch, name);
	if (error != 0)
		return error;
	if (fstatat(walk->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return -errno;
	return S_ISLNK(st.st_mode) ? follow(walk, name) : go_to(walk, name);
}

/* As many components as the path has, and 40 links. */
static int watch_all(const char *path, struct path_watch *watch)
{
	struct walk walk = { .dir_fd = -1 };
	char name[NAME_MAX + 1];
	int error = snprintf(walk.rest, sizeof(walk.rest), "%s", path) < (int)sizeof(walk.rest) ? 0 : -ENAMETOOLONG;

	if (error == 0)
		error = path[0] == '/' ? go_to(&walk, "/") : -EINVAL;
	while (error == 0 && next(&walk, name, &error))
		error = step(watch, &walk, name);
	if (error == 0)
		error = watch->directory = add(watch, walk.dir_fd, false);
	cleanup_close_fd(&walk.dir_fd);
	return error < 0 ? error : 0;
}

int path_watch_new(const char *path, struct path_watch *watch)
{
	int error;

	*watch = (struct path_watch){ .fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC) };
	if (watch->fd < 0)
		return -errno;
	error = watch_all(path, watch);
	if (error != 0) {
		close(watch->fd);
		watch->fd = -1;
	}
	return error;
}

static bool is_on_the_way(const struct path_watch *watch, const char *name)
{
	for (const char *at = watch->names; at < watch->names + watch->names_bytes; at += strlen(at) + 1)
		if (strcmp(at, name) == 0)
			return true;
	return false;
}

static enum path_change change_of(const struct path_watch *watch, const struct inotify_event *event)
{
	/* A directory ended (IN_DELETE_SELF, IN_UNMOUNT, IN_IGNORED), or more has happened than could be queued. */
	if (event->len == 0 || event->mask & (IN_Q_OVERFLOW | IN_UNMOUNT | IN_IGNORED | IN_DELETE_SELF) ||
	    is_on_the_way(watch, event->name))
		return PATH_ELSEWHERE;
	return event->wd == watch->directory ? PATH_NAMES : PATH_SAME;
}

enum path_change path_watch_read(const struct path_watch *watch)
{
	_Alignas(struct inotify_event) char buffer[4096];
	enum path_change change = PATH_SAME;
	ssize_t length;

	/* Ends with the queue, which has an end (max_queued_events). */
	while ((length = read(watch->fd, buffer, sizeof(buffer))) > 0 || (length < 0 && errno == EINTR)) {
		for (ssize_t at = 0; at < length;) {
			const struct inotify_event *event = (const void *)(buffer + at);
			enum path_change this = change_of(watch, event);

			change = this > change ? this : change;
			at += (ssize_t)(sizeof(*event) + event->len);
		}
	}
	return length < 0 && errno != EAGAIN ? PATH_ELSEWHERE : change;
}
