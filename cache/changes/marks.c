/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/marks.h"

#include <errno.h>
#include <stdint.h>
#include <sys/fanotify.h>
#include <sys/stat.h>

#include "cache/device/opener.h"

/* linux/fanotify.h since 6.0. */
#ifndef FAN_MARK_IGNORE
#define FAN_MARK_IGNORE 0x00000400
#endif
#ifndef FAN_MARK_EVICTABLE
#define FAN_MARK_EVICTABLE 0x00000200
#endif

#define EVENTS (FAN_PRE_ACCESS | FAN_MODIFY | FAN_ACCESS)

/* What is ignored stays so when the file is modified. */
#define IGNORE (FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY)
#define IGNORE_NO_MORE (FAN_MARK_REMOVE | FAN_MARK_IGNORED_MASK)

/* Of a directory's children: the older flag cannot say that. */
#define IGNORE_CHILDREN (FAN_MARK_ADD | FAN_MARK_IGNORE | FAN_MARK_IGNORED_SURV_MODIFY)

/* Only ever ignored: a mark that asks for it would have every reader wait. */
#define ARMS FAN_ACCESS_PERM

static int mark(const struct marks *marks, unsigned flags, uint64_t mask, int fd)
{
	return opener_mark(marks->fd, flags, mask, fd);
}

int marks_test(const struct marks *marks, int fd)
{
	struct stat st;
	int error;

	if (fstat(fd, &st) != 0)
		return -errno;
	/* Nobody answers yet: who writes in between waits until somebody does. */
	if (S_ISDIR(st.st_mode)) {
		error = mark(marks, FAN_MARK_ADD, EVENTS | FAN_EVENT_ON_CHILD, fd);
		mark(marks, FAN_MARK_REMOVE, EVENTS | FAN_EVENT_ON_CHILD, fd);
		return error;
	}
	error = mark(marks, IGNORE, EVENTS, fd);
	if (error == 0)
		error = mark(marks, FAN_MARK_ADD, EVENTS, fd);
	mark(marks, FAN_MARK_REMOVE, EVENTS, fd);
	mark(marks, IGNORE_NO_MORE, EVENTS, fd);
	return error;
}

int marks_try(const struct marks *marks, int fd)
{
	int noisy = opener_mark_and_reopen(marks->fd, IGNORE, 0, ARMS, fd);

	if (noisy >= 0)
		mark(marks, FAN_MARK_ADD, EVENTS, fd);
	return noisy;
}

int marks_arm_directory(const struct marks *marks, int fd)
{
	if (marks->apart)
		return mark(marks, IGNORE_CHILDREN, ARMS | FAN_EVENT_ON_CHILD, fd);
	return mark(marks, FAN_MARK_ADD, EVENTS | FAN_EVENT_ON_CHILD, fd);
}

int marks_arm(const struct marks *marks, int fd)
{
	return marks->apart ? mark(marks, IGNORE, ARMS, fd) : mark(marks, FAN_MARK_ADD, EVENTS, fd);
}

int marks_heed(const struct marks *marks, int fd)
{
	return marks->apart ? mark(marks, FAN_MARK_ADD, EVENTS, fd) : mark(marks, IGNORE_NO_MORE, EVENTS, fd);
}

int marks_heed_and_reopen(const struct marks *marks, int fd)
{
	return opener_mark_and_reopen(marks->fd, FAN_MARK_ADD, marks->apart ? 0 : IGNORE_NO_MORE, EVENTS, fd);
}

void marks_rest(const struct marks *marks, int fd)
{
	if (marks->apart)
		mark(marks, FAN_MARK_REMOVE, EVENTS, fd);
	else
		mark(marks, IGNORE, EVENTS, fd);
}

/* A mark of its own (one that a link leads to) keeps a file in memory anyway, and the kernel refuses to have it evictable. */
void marks_rest_other(const struct marks *marks, int fd)
{
	if (marks->apart)
		mark(marks, FAN_MARK_REMOVE, EVENTS, fd);
	else if (mark(marks, IGNORE | FAN_MARK_EVICTABLE, EVENTS, fd) == -EEXIST)
		mark(marks, IGNORE, EVENTS, fd);
}

void marks_leave(const struct marks *marks, int fd)
{
	uint64_t ignored = marks->apart ? ARMS : EVENTS;

	mark(marks, FAN_MARK_REMOVE, EVENTS, fd);
	mark(marks, IGNORE_NO_MORE, ignored, fd);
	mark(marks, IGNORE | FAN_MARK_EVICTABLE, ignored, fd);
}
