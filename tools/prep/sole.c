/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/sole.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tools/prep/holder.h"

/* ---- messages ------------------------------------------------------------- */

static int say(char **problem, int error, const char *path, const char *before, const char *what,
	       const char *after)
{
	free(*problem);
	if (asprintf(problem, "%s: %s%s%s", path, before, what, after) < 0)
		*problem = NULL;
	return error;
}

static int say_error(const struct sole *sole, char **problem, int error)
{
	return say(problem, error, sole->path, "", strerror(-error), "");
}

/* -EBUSY and who it is. */
static int say_held(const struct sole *sole, char **problem)
{
	CLEANUP_FREE char *names = holder_names(&sole->st, sole->path);

	return say(
		problem, -EBUSY, sole->path, "is open for writing by ",
		names ? names
		      : "somebody whom /proc does not show (a server in the kernel, or in another container)",
		": end that first (--force writes all the same, and both may destroy the filesystem)");
}

static int say_unknown(const struct sole *sole, char **problem)
{
	return say(problem, -EACCES, sole->path,
		   "is another user's, so it is not known whether somebody has it open for writing", "",
		   ": be that user or root (--force writes all the same)");
}

/* ---- looking -------------------------------------------------------------- */

static int see_names(const struct sole *sole, char **problem)
{
	CLEANUP_FREE char *names = holder_names(&sole->st, sole->path);

	return names ? say_held(sole, problem) : 0;
}

static int see_lease(struct sole *sole, char **problem)
{
	int error = holder_lease(sole->reading);

	sole->leased = error == 0;
	if (error == -EBUSY)
		return say_held(sole, problem);
	if (error == -EOPNOTSUPP || error == -EACCES) {
		int seen = see_names(sole, problem);

		return seen != 0 ? seen : error == -EACCES ? say_unknown(sole, problem) : 0;
	}
	return error;
}

/* Of a block device: O_EXCL says whether it is mounted, or part of something. */
static int see_device(struct sole *sole, char **problem)
{
	sole->writing = open(sole->path, O_RDWR | O_CLOEXEC | (sole->forced ? 0 : O_EXCL));
	if (sole->writing < 0)
		return errno == EBUSY ? say_held(sole, problem) : say_error(sole, problem, -errno);
	return sole->forced ? 0 : see_names(sole, problem);
}

/* ---- opening -------------------------------------------------------------- */

int sole_open(struct sole *sole, const char *path, bool force, char **problem)
{
	*sole = (struct sole){ .path = realpath(path, NULL), .reading = -1, .writing = -1, .forced = force };
	*problem = NULL;
	if (!sole->path)
		return say(problem, -errno, path, "", strerror(errno), "");
	sole->reading = open(sole->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (sole->reading < 0 || fstat(sole->reading, &sole->st) != 0)
		return say_error(sole, problem, -errno);
	if (!S_ISREG(sole->st.st_mode) && !S_ISBLK(sole->st.st_mode))
		return say(problem, -EINVAL, sole->path, "is neither a regular file nor a block device", "",
			   "");
	if (access(sole->path, W_OK) != 0)
		return say_error(sole, problem, -errno);
	if (flock(sole->reading, LOCK_EX | LOCK_NB) != 0)
		return errno == EWOULDBLOCK
			       ? say(problem, -EBUSY, sole->path,
				     "is being changed by another imagefsctl or imagefs-prep", "", "")
			       : say_error(sole, problem, -errno);
	if (S_ISBLK(sole->st.st_mode))
		return see_device(sole, problem);
	return force ? 0 : see_lease(sole, problem);
}

/* What was looked at has that name no more: a change of it would be written over another. */
static int see_same(const struct sole *sole, char **problem)
{
	struct stat now;

	if (fstat(sole->writing, &now) != 0)
		return say_error(sole, problem, -errno);
	if (S_ISBLK(now.st_mode) || (now.st_dev == sole->st.st_dev && now.st_ino == sole->st.st_ino))
		return 0;
	return say(problem, -EBUSY, sole->path, "was replaced by another meanwhile: nothing was changed", "",
		   "");
}

int sole_writable(struct sole *sole, char **problem)
{
	int error;

	bool wanted = sole->leased && !holder_lease_end(sole->reading);

	sole->leased = false;
	if (wanted)
		return say(problem, -EBUSY, sole->path,
			   "is just being opened for writing by somebody else: nothing was changed", "", "");
	if (sole->writing < 0) {
		sole->writing = open(sole->path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (sole->writing < 0)
			return say_error(sole, problem, -errno);
	}
	error = see_same(sole, problem);
	return error != 0 || sole->forced ? error : see_names(sole, problem);
}

void sole_close(struct sole *sole)
{
	if (sole->writing >= 0)
		close(sole->writing);
	if (sole->reading >= 0)
		close(sole->reading);
	free(sole->path);
	*sole = (struct sole){ .reading = -1, .writing = -1 };
}
