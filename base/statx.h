/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * statx(2) where a filter refuses it: that of a container whose libseccomp is older than the
 * call answers EPERM, or ENOSYS, which an old kernel answers, too. Then glibc does the same as
 * here, but says EINVAL where it is told how to ask: to force, or to spare, a question to a file
 * server. That is lost.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static inline struct statx_timestamp statx_time(const struct timespec *time)
{
	return (struct statx_timestamp){ .tv_sec = time->tv_sec, .tv_nsec = (unsigned)time->tv_nsec };
}

/* As statx; what fstatat(2) tells is filled in at least. 0, or -1 and errno. */
static inline int statx_or_stat(int fd, const char *path, int flags, unsigned mask, struct statx *stx)
{
	struct stat st;

	if (statx(fd, path, flags, mask, stx) == 0)
		return 0;
	if ((errno != EPERM && errno != ENOSYS && errno != EINVAL) ||
	    fstatat(fd, path, &st, flags & (AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) != 0)
		return -1;
	*stx = (struct statx){
		.stx_mask = STATX_BASIC_STATS,
		.stx_nlink = (unsigned)st.st_nlink,
		.stx_uid = st.st_uid,
		.stx_gid = st.st_gid,
		.stx_mode = (unsigned short)st.st_mode,
		.stx_ino = st.st_ino,
		.stx_size = (unsigned long long)st.st_size,
		.stx_mtime = statx_time(&st.st_mtim),
		.stx_ctime = statx_time(&st.st_ctim),
		.stx_rdev_major = major(st.st_rdev),
		.stx_rdev_minor = minor(st.st_rdev),
		.stx_dev_major = major(st.st_dev),
		.stx_dev_minor = minor(st.st_dev),
	};
	return 0;
}
