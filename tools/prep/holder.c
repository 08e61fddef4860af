/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/holder.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mountinfo.h"
#include "base/statx.h"
#include "base/text.h"

/* What is looked for, and who was found. */
struct search {
	const struct stat *st;
	const char *path;
	char *device; /* owned: where /sys has the block device, or NULL */
	FILE *names;
	bool any;
};

/* ---- the lease ------------------------------------------------------------ */

int holder_lease(int fd)
{
	/* Who opens the file makes the kernel send a signal: one that is ignored. */
	if (fcntl(fd, F_SETSIG, SIGURG) == 0 && fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
		return 0;
	if (errno == EAGAIN)
		return -EBUSY;
	return errno == EACCES ? -EACCES : -EOPNOTSUPP;
}

bool holder_lease_end(int fd)
{
	bool wanted = fcntl(fd, F_GETLEASE) == F_UNLCK;

	fcntl(fd, F_SETLEASE, F_UNLCK);
	return !wanted;
}

/* ---- names ---------------------------------------------------------------- */

static void name(struct search *search, const char *before, const char *what, const char *after)
{
	CLEANUP_FREE char *plain = strdup(what);

	if (!plain)
		return;
	text_make_plain(plain);
	fprintf(search->names, "%s%s%s%s", search->any ? ", " : "", before, plain, after);
	search->any = true;
}

/* One line of a file of /proc or /sys, without its end. */
static bool read_line(int directory, const char *path, char *line, size_t size)
{
	CLEANUP_FD int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, line, size - 1);

	if (length < 0)
		return false;
	line[length] = '\0';
	line[strcspn(line, "\n")] = '\0';
	return true;
}

/* ---- block devices -------------------------------------------------------- */

static char *device_in_sys(unsigned long long number)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(number), minor(number));
	return realpath(path, NULL);
}

/* Is it that device, a partition of it, or the disk that it is a partition of? */
static bool is_related(const struct search *search, unsigned long long number)
{
	CLEANUP_FREE char *other = NULL;
	size_t ours, theirs;

	if (number == search->st->st_rdev)
		return true;
	other = search->device ? device_in_sys(number) : NULL;
	if (!other)
		return false;
	ours = strlen(search->device);
	theirs = strlen(other);
	return ours < theirs ? strncmp(search->device, other, ours) == 0 && other[ours] == '/'
			     : strncmp(search->device, other, theirs) == 0 && search->device[theirs] == '/';
}

/* Filesystems that the kernel has mounted from it. */
static void find_mounts(struct search *search,
			bool (*is_it)(const struct search *search, unsigned long long number))
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	CLEANUP_FREE struct mountinfo *mount = malloc(sizeof(*mount));
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;
	unsigned first, second;

	while (file && mount && getline(&line, &size, file) > 0)
		if (mountinfo_parse(line, mount) && sscanf(mount->device, "%u:%u", &first, &second) == 2 &&
		    is_it(search, makedev(first, second)))
			name(search, "mounted on ", mount->point, "");
	if (file)
		fclose(file);
}

/* Device mapper, md and others that stand on it. */
static void find_stacked(struct search *search)
{
	CLEANUP_FREE char *path = NULL;
	DIR *directory;

	if (!search->device || asprintf(&path, "%s/holders", search->device) < 0)
		return;
	directory = opendir(path);
	if (!directory)
		return;
	for (const struct dirent *entry; (entry = readdir(directory));)
		if (entry->d_name[0] != '.')
			name(search, "/dev/", entry->d_name, "");
	closedir(directory);
}

/* ---- loop devices and targets of the kernel ------------------------------- */

static bool is_loop_itself(const struct search *search, unsigned long long number)
{
	CLEANUP_FREE char *device = device_in_sys(number);
	size_t length = search->device ? strlen(search->device) : 0;

	return device && length > 0 && strncmp(device, search->device, length) == 0 &&
	       (device[length] == '\0' || device[length] == '/');
}

/* /sys shows the path as it was when the loop device was made. */
static void find_loop(struct search *search, int sys, const char *loop)
{
	char path[NAME_MAX + 32], line[PATH_MAX], number[32];
	struct search mounts = *search;
	unsigned first, second;

	snprintf(path, sizeof(path), "%s/loop/backing_file", loop);
	if (!read_line(sys, path, line, sizeof(line)) || strcmp(line, search->path) != 0)
		return;
	snprintf(path, sizeof(path), "%s/ro", loop);
	if (read_line(sys, path, number, sizeof(number)) && strcmp(number, "1") == 0)
		return;
	name(search, "/dev/", loop, "");
	snprintf(path, sizeof(path), "%s/dev", loop);
	if (!read_line(sys, path, number, sizeof(number)) || sscanf(number, "%u:%u", &first, &second) != 2)
		return;
	mounts.device = device_in_sys(makedev(first, second));
	mounts.any = search->any;
	find_mounts(&mounts, is_loop_itself);
	free(mounts.device);
}

static void find_loops(struct search *search)
{
	DIR *directory = opendir("/sys/block");

	if (!directory)
		return;
	for (const struct dirent *entry; (entry = readdir(directory));)
		if (strncmp(entry->d_name, "loop", 4) == 0)
			find_loop(search, dirfd(directory), entry->d_name);
	closedir(directory);
}

/* ---- processes ------------------------------------------------------------ */

static bool is_open_for_writing(int process, const char *number)
{
	char path[NAME_MAX + 8], text[256];
	CLEANUP_FD int fd = -1;
	unsigned flags = 0;
	const char *at;

	snprintf(path, sizeof(path), "fdinfo/%s", number);
	fd = openat(process, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t length = read(fd, text, sizeof(text) - 1);

		text[length > 0 ? length : 0] = '\0';
		at = strstr(text, "flags:");
		if (at && sscanf(at, "flags: %o", &flags) == 1)
			return (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH);
	}
	return false;
}

/* What a file server would have to be asked for is taken as it is known. */
static bool is_image(const struct search *search, int process, const char *number)
{
	char path[NAME_MAX + 8];
	struct statx stx;

	snprintf(path, sizeof(path), "fd/%s", number);
	if (statx_or_stat(process, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO,
			  &stx) != 0)
		return false;
	if (S_ISBLK(search->st->st_mode))
		return S_ISBLK(stx.stx_mode) &&
		       is_related(search, makedev(stx.stx_rdev_major, stx.stx_rdev_minor));
	return S_ISREG(stx.stx_mode) && stx.stx_ino == search->st->st_ino &&
	       makedev(stx.stx_dev_major, stx.stx_dev_minor) == search->st->st_dev;
}

static void find_in_process(struct search *search, int proc, const char *pid)
{
	char command[64], after[NAME_MAX + 16];
	CLEANUP_FD int process = openat(proc, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int descriptors = process < 0 ? -1 : openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = descriptors < 0 ? NULL : fdopendir(descriptors);
	bool found = false;

	if (!directory)
		return;
	for (const struct dirent *entry; !found && (entry = readdir(directory));)
		found = isdigit((unsigned char)entry->d_name[0]) &&
			is_image(search, process, entry->d_name) &&
			is_open_for_writing(process, entry->d_name);
	closedir(directory);
	if (!found)
		return;
	if (!read_line(process, "comm", command, sizeof(command)))
		strcpy(command, "somebody");
	snprintf(after, sizeof(after), " (process %s)", pid);
	name(search, "", command, after);
}

static void find_processes(struct search *search)
{
	DIR *directory = opendir("/proc");

	if (!directory)
		return;
	for (const struct dirent *entry; (entry = readdir(directory));)
		if (isdigit((unsigned char)entry->d_name[0]) && atoi(entry->d_name) != getpid())
			find_in_process(search, dirfd(directory), entry->d_name);
	closedir(directory);
}

char *holder_names(const struct stat *st, const char *path)
{
	struct search search = { .st = st, .path = path };
	char *text = NULL;
	size_t size;

	search.names = open_memstream(&text, &size);
	if (!search.names)
		return NULL;
	find_processes(&search);
	if (S_ISBLK(st->st_mode)) {
		search.device = device_in_sys(st->st_rdev);
		find_mounts(&search, is_related);
		find_stacked(&search);
		free(search.device);
	} else {
		find_loops(&search);
	}
	fclose(search.names);
	if (!search.any) {
		free(text);
		return NULL;
	}
	return text;
}
