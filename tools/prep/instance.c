/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/instance.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <linux/fs.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "tools/prep/output.h"
#include "tools/prep/progress.h"

#define SUFFIX ".imagefs-prep"
#define COPY_BYTES ((size_t)1 << 20)

static int failed(int error, const char *path, struct problem *problem)
{
	return problem_set(problem, error, "%s: %s", path, strerror(-error));
}

/* ---- names ---------------------------------------------------------------- */

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *instance_path(const char *path, struct problem *problem)
{
	char *real = realpath(path, NULL), *joined = NULL;
	CLEANUP_FREE char *directory = NULL;
	CLEANUP_FREE char *real_directory = NULL;
	struct stat st;

	if (real)
		return real;
	if (errno == ENOENT && lstat(path, &st) == 0) {
		problem_set(problem, -ENOENT, "%s: is a link that leads to nothing", path);
		return NULL;
	}
	directory = errno == ENOENT ? directory_of(path) : NULL;
	real_directory = directory ? realpath(directory, NULL) : NULL;
	if (!real_directory) {
		failed(-errno, directory ? directory : path, problem);
		return NULL;
	}
	if (!*last_part(path) ||
	    asprintf(&joined, "%s/%s", strcmp(real_directory, "/") == 0 ? "" : real_directory,
		     last_part(path)) < 0) {
		problem_set(problem, -EINVAL, "%s: is no name of a file", path);
		return NULL;
	}
	return joined;
}

/* ---- may it be made? ------------------------------------------------------ */

/* Does a device hold anything where tables and file systems begin? */
static int is_device_empty(const char *path, bool *empty)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP_FREE unsigned char *bytes = malloc(OUTPUT_HEAD_BYTES);
	ssize_t got = fd >= 0 && bytes ? pread(fd, bytes, OUTPUT_HEAD_BYTES, 0) : -1;

	if (got < 0)
		return bytes ? -errno : -ENOMEM;
	*empty = true;
	for (ssize_t i = 0; i < got; i++)
		*empty = *empty && bytes[i] == 0;
	return 0;
}

int instance_allowed(const char *path, bool replace, struct problem *problem)
{
	struct stat st;
	bool empty = false;
	int error;

	if (stat(path, &st) != 0)
		return errno == ENOENT ? 0 : failed(-errno, path, problem);
	if (S_ISDIR(st.st_mode))
		return problem_set(problem, -EISDIR,
				   "%s: is a directory: give the image's file in it, as %s/NAME.img", path,
				   path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return problem_set(problem, -EINVAL, "%s: is neither a regular file nor a block device",
				   path);
	if (replace)
		return 0;
	if (S_ISREG(st.st_mode))
		return problem_set(problem, -EEXIST, "%s: is there already; --force replaces it", path);
	error = is_device_empty(path, &empty);
	if (error != 0)
		return failed(error, path, problem);
	return empty ? 0
		     : problem_set(problem, -EEXIST,
				   "%s: the device holds something already; --force overwrites all of it",
				   path);
}

/* ---- the temporary name --------------------------------------------------- */

/* Is it `.NAME.XXXXXX.imagefs-prep`? */
static bool is_left_of(const char *entry, const char *name)
{
	size_t length = strlen(name);

	return entry[0] == '.' && strncmp(entry + 1, name, length) == 0 && entry[1 + length] == '.' &&
	       strlen(entry) == 1 + length + 1 + 6 + strlen(SUFFIX) &&
	       strcmp(entry + length + 8, SUFFIX) == 0;
}

/* Not flock(2), which those take who change an image (sole.h). It ends with the process. */
static bool lock(int fd)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_SETLK, &whole) == 0;
}

/* What one that was killed has left is nobody's: its lock is free. */
static void remove_left(const char *directory, const char *name)
{
	DIR *list = opendir(directory);

	for (struct dirent *entry; list && (entry = readdir(list));) {
		CLEANUP_FD int fd = -1;

		if (!is_left_of(entry->d_name, name))
			continue;
		fd = openat(dirfd(list), entry->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd >= 0 && lock(fd))
			unlinkat(dirfd(list), entry->d_name, 0);
	}
	if (list)
		closedir(list);
}

static int make_file(struct instance *instance, struct problem *problem)
{
	CLEANUP_FREE char *directory = directory_of(instance->path);
	struct stat st = { 0 };
	mode_t mask = umask(022);

	umask(mask);
	if (!directory ||
	    asprintf(&instance->work, "%s/.%s.XXXXXX%s", directory, last_part(instance->path), SUFFIX) < 0) {
		instance->work = NULL;
		return failed(-ENOMEM, instance->path, problem);
	}
	remove_left(directory, last_part(instance->path));
	/* Between making it and locking it somebody may take it for one that was left. */
	do {
		cleanup_close_fd(&instance->fd);
		memset(instance->work + strlen(instance->work) - strlen(SUFFIX) - 6, 'X', 6);
		instance->fd = mkostemps(instance->work, (int)strlen(SUFFIX), O_CLOEXEC);
		if (instance->fd < 0)
			break;
	} while (!lock(instance->fd) || fstat(instance->fd, &st) != 0 || st.st_nlink == 0);
	if (instance->fd < 0 || fchmod(instance->fd, 0666 & ~mask) != 0)
		return failed(-errno, instance->work, problem);
	return 0;
}

int instance_begin(struct instance *instance, const char *path, bool replace, struct problem *problem)
{
	struct stat st;
	int error;

	*instance = (struct instance){ .fd = -1, .replace = replace };
	instance->path = instance_path(path, problem);
	if (!instance->path)
		return -ENOENT;
	error = instance_allowed(instance->path, replace, problem);
	if (error != 0)
		return error;
	instance->is_device = stat(instance->path, &st) == 0 && S_ISBLK(st.st_mode);
	if (!instance->is_device) {
		error = make_file(instance, problem);
		/* Who may use the one that is replaced, may use this one. */
		if (error == 0 && replace) {
			CLEANUP_FD int old = open(instance->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

			if (old >= 0)
				instance_look_like(instance, old);
		}
		return error;
	}
	instance->work = strdup(instance->path);
	/* O_EXCL: not one that is mounted, or part of another device. */
	instance->fd = open(instance->path, O_RDWR | O_CLOEXEC | O_EXCL);
	if (instance->fd >= 0 && instance->work)
		return 0;
	return problem_set(problem, -errno, "%s: %s%s", path, strerror(errno),
			   errno == EBUSY ? " (is it mounted, or part of another device?)" : "");
}

/* ---- a copy --------------------------------------------------------------- */

/* Where data is from `at` on, [*data, *end); *data is `size` if there is none. */
static void find_data(int fd, uint64_t at, uint64_t size, uint64_t *data, uint64_t *end)
{
	off_t found = lseek(fd, (off_t)at, SEEK_DATA);

	*data = found >= 0 ? (uint64_t)found : errno == ENXIO ? size : at;
	found = *data < size ? lseek(fd, (off_t)*data, SEEK_HOLE) : -1;
	*end = found >= 0 ? min_u64((uint64_t)found, size) : size;
}

static int copy_range(int from, uint64_t end, struct output *output, unsigned char *buffer,
		      struct progress *progress, volatile sig_atomic_t *interrupted, struct problem *problem)
{
	int error = 0;

	while (output->at < end && error == 0) {
		ssize_t got =
			pread(from, buffer, (size_t)min_u64(COPY_BYTES, end - output->at), (off_t)output->at);

		if (*interrupted)
			return problem_set(problem, -EINTR, "interrupted");
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return problem_set(problem, got < 0 ? -errno : -EIO, "reading: %s",
					   got < 0 ? strerror(errno) : "it became shorter");
		error = output_add(output, buffer, (size_t)got, problem);
		progress_move(progress, output->at, output->at);
	}
	return error;
}

static int copy_bytes(int from, uint64_t size, struct output *output, struct progress *progress,
		      volatile sig_atomic_t *interrupted, struct problem *problem)
{
	CLEANUP_FREE unsigned char *buffer = malloc(COPY_BYTES);
	int error = buffer ? 0 : problem_set(problem, -ENOMEM, "%s", strerror(ENOMEM));

	while (output->at < size && error == 0) {
		uint64_t data, end;

		find_data(from, output->at, size, &data, &end);
		if (data > output->at)
			error = output_add_zeros(output, data - output->at, problem);
		if (error == 0)
			error = copy_range(from, end, output, buffer, progress, interrupted, problem);
	}
	return error == 0 ? output_finish(output, problem) : error;
}

static int size_of(int fd, uint64_t *size)
{
	off_t end = lseek(fd, 0, SEEK_END); /* of a device as well */

	*size = end < 0 ? 0 : (uint64_t)end;
	return end < 0 ? -errno : 0;
}

int instance_copy(struct instance *instance, int from, const char *name, bool progress,
		  volatile sig_atomic_t *interrupted, bool *reflinked, struct problem *problem)
{
	struct progress bar;
	struct output output;
	uint64_t size, room;
	int error;

	*reflinked = !instance->is_device && ioctl(instance->fd, FICLONE, from) == 0;
	if (*reflinked)
		return 0;
	error = size_of(from, &size);
	if (error == 0)
		error = size_of(instance->fd, &room);
	if (error != 0)
		return failed(error, name, problem);
	/* As long as nothing is lost. */
	if (instance->is_device && size > room)
		return problem_set(problem, -ENOSPC,
				   "the image is larger than the device, which has %llu bytes",
				   (unsigned long long)room);
	error = output_begin(&output, instance->fd, problem);
	if (error == 0) {
		progress_begin(&bar, progress, name, size);
		error = copy_bytes(from, size, &output, &bar, interrupted, problem);
		progress_end(&bar);
	}
	output_end(&output);
	return error;
}

void instance_look_like(struct instance *instance, int like)
{
	char names[4096], value[4096];
	ssize_t length = flistxattr(like, names, sizeof(names));
	struct stat st;

	if (fstat(like, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	if (fchown(instance->fd, st.st_uid, st.st_gid) == 0 ||
	    fchown(instance->fd, (uid_t)-1, st.st_gid) == 0)
		fchmod(instance->fd, st.st_mode & 07777);
	for (const char *at = names; length > 0 && at < names + length; at += strlen(at) + 1) {
		ssize_t got = fgetxattr(like, at, value, sizeof(value));

		if (got >= 0)
			fsetxattr(instance->fd, at, value, (size_t)got, 0);
	}
}

/* ---- the end -------------------------------------------------------------- */

static int rename_over(const struct instance *instance)
{
	if (renameat2(AT_FDCWD, instance->work, AT_FDCWD, instance->path,
		      instance->replace ? 0 : RENAME_NOREPLACE) == 0)
		return 0;
	/* A filesystem that does not know the flag (NFS): the moment between these two is what it costs. */
	if (errno != EINVAL || instance->replace)
		return -errno;
	if (access(instance->path, F_OK) == 0)
		return -EEXIST;
	return rename(instance->work, instance->path) == 0 ? 0 : -errno;
}

int instance_settle(struct instance *instance, struct problem *problem)
{
	return fsync(instance->fd) == 0 ? 0 : failed(-errno, instance->work, problem);
}

int instance_publish(struct instance *instance, struct problem *problem)
{
	CLEANUP_FREE char *directory = directory_of(instance->path);
	CLEANUP_FD int parent = -1;
	int error;

	if (instance->is_device) {
		ioctl(instance->fd, BLKRRPART);
		instance->published = true;
		return 0;
	}
	error = rename_over(instance);
	if (error != 0)
		return failed(error, instance->path, problem);
	instance->published = true;
	parent = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (parent >= 0)
		fsync(parent);
	return 0;
}

void instance_end(struct instance *instance)
{
	if (!instance->published && !instance->is_device && instance->fd >= 0)
		unlink(instance->work);
	cleanup_close_fd(&instance->fd);
	free(instance->work);
	free(instance->path);
	*instance = (struct instance){ .fd = -1 };
}
