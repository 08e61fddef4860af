/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/opener_marks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/statx.h"
#include "cache/device/readable.h"
#include "cache/device/source_dir.h"

/* linux/fanotify.h, since 6.14: FAN_PRE_ACCESS. */
#define PRE_ACCESS UINT64_C(0x00100000)

/* Likewise, since 6.0: FAN_MARK_IGNORE. */
#define MARK_IGNORE 0x00000400U

/* The second one if the first went well. */
static int add_marks(const struct opener_request *request, int fd)
{
	char path[32];

	/* A descriptor that is a name only cannot be marked, but by its path. */
	for (int i = 0; i < 2 && (i == 0 || request->flags[i] != 0); i++)
		if (fanotify_mark(request->fds[0], request->flags[i], request->mask, AT_FDCWD, readable_path(fd, path)) != 0)
			return -errno;
	return 0;
}

/*
 * Of a directory only SOURCE, and by what SOURCE is now. What is beside one image is not to be heard
 * of: an event comes with a descriptor of the file that it is about.
 */
static int mark_directory(const struct opener_request *request, const struct statx *wanted)
{
	CLEANUP_FD int dir_fd = source_dir_is_one_image() ? -EACCES :
				source_dir_is_known()	  ? source_dir_open(O_PATH) : dup(request->fds[1]);
	struct statx st;

	if (dir_fd < 0 || readable_look(dir_fd, &st) != 0)
		return dir_fd < 0 ? dir_fd : -EIO;
	if (st.stx_ino != wanted->stx_ino || st.stx_dev_major != wanted->stx_dev_major ||
	    st.stx_dev_minor != wanted->stx_dev_minor)
		return -EACCES;
	return add_marks(request, dir_fd);
}

/* Who asked for FAN_ACCESS_PERM would have every reader wait; to ignore it is what arms a file (cache/changes/marks.h). */
static bool may_mark(const struct opener_request *request)
{
	uint64_t events = PRE_ACCESS | FAN_MODIFY | FAN_ACCESS | FAN_EVENT_ON_CHILD;

	/* Of whole filesystems and mounts, and of opens, one hears of everything. */
	if ((request->flags[0] | request->flags[1]) & (FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM))
		return false;
	if (request->flags[1] == 0 && request->flags[0] & (FAN_MARK_IGNORED_MASK | MARK_IGNORE))
		events |= FAN_ACCESS_PERM;
	return !(request->mask & ~events);
}

int opener_marks_set(const struct opener_request *request)
{
	struct statx st;
	int error = readable_check(request->fds[1], &st);

	if (!may_mark(request))
		return -EACCES;
	if (error == -EACCES && S_ISDIR(st.stx_mode))
		return mark_directory(request, &st);
	return error != 0 ? error : add_marks(request, request->fds[1]);
}
