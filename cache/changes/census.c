/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/census.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/loop.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"

struct look {
	const struct census_file *files;
	size_t count;
	void (*found)(void *context, size_t index, pid_t process);
	void *context;
	int error; /* why something could not be looked at; the worse one of several */
};

static void note_error(struct look *look, int error)
{
	if (look->error == 0 || look->error == -EACCES)
		look->error = error == EPERM ? -EACCES : -error;
}

struct census_file census_file_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return (struct census_file){ 0 };
	if (S_ISBLK(st.st_mode))
		return (struct census_file){ st.st_rdev, 0 };
	return (struct census_file){ st.st_dev, st.st_ino };
}

static long index_of(const struct look *look, dev_t device, ino_t inode)
{
	for (size_t i = 0; i < look->count; i++)
		if (look->files[i].device == device && look->files[i].inode == inode)
			return (long)i;
	return -1;
}

/*
 * What is gone was no writer, and what a dead mount or a server answers for is
 * no file of this machine. Any other error hides something.
 */
static void note_failure(struct look *look)
{
	switch (errno) {
	case ENOENT:
	case ESRCH:
	case ENOTCONN:
	case ESTALE:
	case EIO:
		break;
	default:
		note_error(look, errno);
	}
}

/* Which of the files it is, or -1. Never asks a server on the network, which may hang. */
static long file_at(struct look *look, int directory, const char *name)
{
	struct statx stx;

	if (statx(directory, name, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &stx) != 0) {
		note_failure(look);
		return -1;
	}
	if (S_ISBLK(stx.stx_mode))
		return index_of(look, makedev(stx.stx_rdev_major, stx.stx_rdev_minor), 0);
	if (S_ISREG(stx.stx_mode))
		return index_of(look, makedev(stx.stx_dev_major, stx.stx_dev_minor), stx.stx_ino);
	return -1;
}

/* proc(5), fdinfo: a line "flags:\t0100002", octal. In doubt it is open for writing. */
static bool open_for_writing(int process, const char *name)
{
	char path[300], text[512], *at;
	ssize_t length;

	snprintf(path, sizeof(path), "fdinfo/%.255s", name);
	CLEANUP_FD int fd = openat(process, path, O_RDONLY | O_CLOEXEC);

	length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (length <= 0)
		return errno != ENOENT;
	text[length] = '\0';
	at = strstr(text, "flags:");
	return !at || (strtoul(at + strlen("flags:"), NULL, 8) & O_ACCMODE) != O_RDONLY;
}

static bool is_number(const char *name)
{
	return isdigit((unsigned char)name[0]);
}

/* The directory `name` below `parent`, or NULL. */
static DIR *open_directory(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;

	if (!directory && fd >= 0)
		close(fd);
	return directory;
}

/* Of a process, or of a thread with descriptors of its own: `name` below `proc`. */
static void look_at_descriptors(struct look *look, int proc, const char *name, pid_t owner)
{
	CLEANUP_FD int process = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *descriptors = process >= 0 ? open_directory(process, "fd") : NULL;
	struct dirent *entry;

	if (!descriptors) {
		note_failure(look);
		return;
	}
	/* Bounded by the descriptors the process has. */
	while ((entry = readdir(descriptors))) {
		long index = is_number(entry->d_name) ? file_at(look, dirfd(descriptors), entry->d_name) : -1;

		if (index >= 0 && open_for_writing(process, entry->d_name))
			look->found(look->context, (size_t)index, owner);
	}
	closedir(descriptors);
}

/* kcmp(2): has the thread the descriptors of its process? In doubt it has its own. */
static bool shares_descriptors(pid_t process, pid_t thread)
{
	return thread == process || syscall(SYS_kcmp, process, thread, KCMP_FILES, 0, 0) == 0;
}

static void look_at_process(struct look *look, int proc, const char *name)
{
	pid_t process = (pid_t)strtol(name, NULL, 10);
	struct dirent *entry;
	char path[300];
	DIR *threads;

	look_at_descriptors(look, proc, name, process);
	snprintf(path, sizeof(path), "%.255s/task", name);
	threads = open_directory(proc, path);
	while (threads && (entry = readdir(threads)))
		if (is_number(entry->d_name) && !shares_descriptors(process, (pid_t)strtol(entry->d_name, NULL, 10)))
			look_at_descriptors(look, dirfd(threads), entry->d_name, process);
	if (threads)
		closedir(threads);
}

/* ---- loop devices -------------------------------------------------------- */

/*
 * What a loop device stands on is asked once, and remembered by its diskseq
 * (Documentation/ABI/stable/sysfs-block), which is another whenever a device is
 * set up. To ask it is to open it, and whoever looks out for writers to that very
 * device is startled: another imagefs, of which it is an image, would take its
 * census, and open them all in its turn.
 */
struct loop {
	uint64_t diskseq; /* 0: empty */
	dev_t device, rdevice;
	ino_t inode;
	bool writable;
};

#define LOOPS_KNOWN 256 /* more may mean to ask again */

static pthread_mutex_t loops_lock = PTHREAD_MUTEX_INITIALIZER; /* leaf */
static struct loop loops[LOOPS_KNOWN];

static bool recall_loop(uint64_t diskseq, struct loop *loop)
{
	LOCK_SCOPE(&loops_lock);
	*loop = loops[diskseq % LOOPS_KNOWN];
	return loop->diskseq == diskseq;
}

static void remember_loop(const struct loop *loop)
{
	LOCK_SCOPE(&loops_lock);
	loops[loop->diskseq % LOOPS_KNOWN] = *loop;
}

/* 0: before Linux 5.15, or it is gone. */
static uint64_t diskseq_of(const char *name)
{
	char path[300], text[32];
	ssize_t length;

	snprintf(path, sizeof(path), "/sys/block/%.200s/diskseq", name);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (length <= 0)
		return 0;
	text[length] = '\0';
	return strtoull(text, NULL, 10);
}

/* loop(4): LOOP_GET_STATUS64 names the file behind a device by device and inode number. */
static bool ask_loop(struct look *look, const char *name, struct loop *loop)
{
	struct loop_info64 info;
	char path[300];

	snprintf(path, sizeof(path), "/dev/%.200s", name);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) != 0) {
		/* Without a file behind it by now, or (in a container) without a node to ask. */
		if (fd < 0)
			note_error(look, EACCES);
		else if (errno != ENXIO)
			note_failure(look);
		return false;
	}
	loop->device = (dev_t)info.lo_device;
	loop->rdevice = (dev_t)info.lo_rdevice;
	loop->inode = info.lo_inode;
	loop->writable = !(info.lo_flags & LO_FLAGS_READ_ONLY);
	return true;
}

static void look_at_loop(struct look *look, const char *name)
{
	uint64_t diskseq = diskseq_of(name);
	struct loop loop;
	char path[300];
	long index;

	snprintf(path, sizeof(path), "/sys/block/%.200s/loop", name);
	if (access(path, F_OK) != 0)
		return;
	if (diskseq == 0 || !recall_loop(diskseq, &loop)) {
		if (!ask_loop(look, name, &loop))
			return;
		loop.diskseq = diskseq;
		/* The answer is this one's only if it was there all the time. */
		if (diskseq != 0 && diskseq_of(name) == diskseq)
			remember_loop(&loop);
	}
	index = index_of(look, loop.device, loop.inode);
	if (index < 0 && loop.rdevice != 0)
		index = index_of(look, loop.rdevice, 0);
	if (index >= 0 && loop.writable)
		look->found(look->context, (size_t)index, 0);
}

static void look_at_loops(struct look *look)
{
	DIR *blocks = open_directory(AT_FDCWD, "/sys/block");
	struct dirent *entry;

	if (!blocks)
		return;
	while ((entry = readdir(blocks)))
		if (strncmp(entry->d_name, "loop", 4) == 0)
			look_at_loop(look, entry->d_name);
	closedir(blocks);
}

int census(const struct census_file *files, size_t count, void (*found)(void *context, size_t index, pid_t process),
	    void *context)
{
	struct look look = { files, count, found, context, 0 };
	DIR *proc = open_directory(AT_FDCWD, "/proc");
	struct dirent *entry;
	pid_t self = getpid();

	if (!proc)
		return -errno;
	while ((entry = readdir(proc)))
		if (is_number(entry->d_name) && strtol(entry->d_name, NULL, 10) != self)
			look_at_process(&look, dirfd(proc), entry->d_name);
	closedir(proc);
	look_at_loops(&look);
	return look.error;
}

/* ---- block devices ------------------------------------------------------- */

/* Has the directory an entry, or one that has the file `inside`? */
static bool has_entry(const char *path, const char *inside)
{
	DIR *directory = open_directory(AT_FDCWD, path);
	struct dirent *entry;
	bool found = false;

	if (!directory)
		return errno != ENOENT;
	while (!found && (entry = readdir(directory))) {
		char below[512];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(below, sizeof(below), "%.255s/%s", entry->d_name, inside);
		found = faccessat(dirfd(directory), *inside ? below : entry->d_name, F_OK, 0) == 0;
	}
	closedir(directory);
	return found;
}

bool census_has_back_doors(dev_t device)
{
	char path[64], holders[80];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(device), minor(device));
	snprintf(holders, sizeof(holders), "%s/holders", path);
	return has_entry(path, "partition") || has_entry(holders, "");
}
