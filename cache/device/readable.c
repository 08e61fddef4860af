/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/readable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/statx.h"

int readable_look(int fd, struct statx *st)
{
	return statx_or_stat(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, st) == 0 ? 0 : -errno;
}

int readable_check(int fd, struct statx *st)
{
	int flags = fcntl(fd, F_GETFL), error = readable_look(fd, st);

	if (flags < 0 || error != 0)
		return flags < 0 ? -EBADF : error;
	if (flags & O_PATH || (flags & O_ACCMODE) == O_WRONLY)
		return -EACCES;
	return S_ISREG(st->stx_mode) || S_ISBLK(st->stx_mode) ? 0 : -EACCES;
}

const char *readable_path(int fd, char path[32])
{
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return path;
}

int readable_reopen(int fd, unsigned flags)
{
	char path[32];
	struct statx st;
	int error = readable_check(fd, &st), again;

	if (error != 0)
		return error;
	again = open(readable_path(fd, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | ((int)flags & O_DIRECT));
	return again < 0 ? -errno : again;
}

static int open_sysfs(const struct statx *device, const char *attribute)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", device->stx_rdev_major, device->stx_rdev_minor, attribute);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* A partition has no queue of its own: its disk is the directory above. */
static bool counters_kept(const struct statx *device)
{
	char on = '0';
	CLEANUP_FD int fd = open_sysfs(device, "queue/iostats");

	if (fd < 0)
		fd = open_sysfs(device, "../queue/iostats");
	return fd >= 0 && read(fd, &on, 1) == 1 && on == '1';
}

int readable_counters(int fd, int fds[2])
{
	struct statx st;
	int error = readable_check(fd, &st);

	if (error != 0)
		return error;
	if (!S_ISBLK(st.stx_mode) || !counters_kept(&st))
		return -ENODATA;
	fds[0] = open_sysfs(&st, "stat");
	fds[1] = open_sysfs(&st, "inflight");
	return fds[0] >= 0 && fds[1] >= 0 ? 0 : -ENODATA;
}

int readable_watch(int inotify_fd, int fd, bool once)
{
	char path[32];
	struct statx st;
	int error = readable_check(fd, &st), watch;

	if (error != 0)
		return error;
	/* IN_ATTRIB: a truncation to the same size, a changed ctime. */
	watch = inotify_add_watch(inotify_fd, readable_path(fd, path),
				  IN_MODIFY | IN_ATTRIB | (once ? IN_ONESHOT | IN_MASK_CREATE : 0));
	return watch < 0 ? -errno : watch;
}
