/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/umount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mountinfo.h"
#include "fuse/process/log.h"
#include "fuse/process/mount.h"
#include "fuse/remount.h"

#define NAME "umount.fuse.imagefs"

/* A daemon that is stopped does not answer; one that ends is given what its mounts may take. */
#define ASK_MS 4000
#define END_MS 5000

/* mount(8), "Exit status". */
enum { USAGE = 1, FAILED = 32 };

bool umount_is_asked(const char *program)
{
	const char *slash = program ? strrchr(program, '/') : NULL;

	return program && strcmp(slash ? slash + 1 : program, NAME) == 0;
}

struct server {
	pid_t pids[2]; /* the daemon, and the process that opens images for it */
	dev_t device;
};

static bool wait_for(int pidfd, int ms)
{
	return poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, ms) != 0;
}

/* As long as it lives it is in the mount, which is busy; and of what the daemon has read already nobody gets it out. */
static void end_of(pid_t child)
{
	CLEANUP_FD int fd = (int)syscall(SYS_pidfd_open, child, 0);

	if (wait_for(fd, ASK_MS))
		waitpid(child, NULL, 0);
}

/* By a process of its own: who waits for the daemon's answer is in the mount, and only a kill gets him out of it. */
static bool ask_server(const char *mountpoint, struct server *server)
{
	struct pollfd answered = { .events = POLLIN };
	bool known = false;
	int fds[2];
	pid_t child;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return false;
	child = fork();
	if (child == 0) {
		known = remount_ask_server(mountpoint, server->pids, &server->device);
		_exit(known && write(fds[1], server, sizeof(*server)) == sizeof(*server) ? 0 : 1);
	}
	close(fds[1]);
	answered.fd = fds[0];
	if (child > 0) {
		known = poll(&answered, 1, ASK_MS) == 1 && read(fds[0], server, sizeof(*server)) == sizeof(*server);
		kill(child, SIGKILL);
		end_of(child);
	}
	close(fds[0]);
	return known;
}

/* In another PID namespace that number is somebody else's, or nobody's. */
static bool is_imagefs(pid_t pid)
{
	char path[64], name[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(name, sizeof(name), file))
		name[0] = '\0';
	fclose(file);
	return strstr(name, "imagefs") != NULL;
}

/*
 * In fusectl (Documentation/filesystems/fuse.rst), which knows of all namespaces, if it is mounted. 0: it is not
 * there. The number of a device is used again at once, that of an inode is not.
 */
static ino_t connection_of(dev_t device)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u", minor(device));
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* A bind mount of it, or a container's copy: then nothing ends. */
static bool is_mounted_elsewhere(dev_t device, ino_t connection)
{
	CLEANUP_FREE char *line = NULL;
	struct mountinfo mount;
	char number[64];
	bool found = false;
	size_t size = 0;
	FILE *file;

	if (connection != 0)
		return connection_of(device) == connection;
	file = fopen("/proc/self/mountinfo", "re");
	snprintf(number, sizeof(number), "%u:%u", major(device), minor(device));
	while (file && !found && getline(&line, &size, file) > 0)
		found = mountinfo_parse(line, &mount) && strcmp(mount.device, number) == 0;
	if (file)
		fclose(file);
	return found;
}

/* -N NAMESPACE: a process, or a file of it. */
static bool enter(const char *namespace)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FD int fd = -1;

	if (asprintf(&path, strchr(namespace, '/') ? "%s" : "/proc/%s/ns/mnt", namespace) < 0)
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && setns(fd, CLONE_NEWNS) == 0)
		return true;
	log_line(LOG_LEVEL_ERROR, "%s: %s", namespace, strerror(errno));
	return false;
}

static int unmount(const char *mountpoint, int flags)
{
	if (umount2(mountpoint, flags) == 0)
		return 0;
	if (errno == EPERM)
		return mount_run_fusermount(mountpoint, flags & MNT_DETACH) ? 0 : FAILED;
	log_line(LOG_LEVEL_ERROR, "%s: cannot be unmounted: %s", mountpoint, strerror(errno));
	return FAILED;
}

/* umount(8) hands over what a symlink leads to; who calls us himself may name the link. To be freed; NULL: as it was given. */
static char *behind_link(const char *mountpoint)
{
	char target[2];

	return readlink(mountpoint, target, sizeof(target)) > 0 ? realpath(mountpoint, NULL) : NULL;
}

int umount_run(int argc, char **argv)
{
	CLEANUP_FREE char *resolved = NULL;
	int ends[2] = { -1, -1 };
	const char *mountpoint = NULL;
	int flags = UMOUNT_NOFOLLOW, option, status;
	struct server server;
	ino_t connection = 0;

	/* What umount(8) passes: MOUNTPOINT [-flnrv] [-N NAMESPACE] [-t TYPE]. */
	while ((option = getopt(argc, argv, "flnrvN:t:")) != -1) {
		if (option == '?')
			return USAGE;
		if (option == 'N' && !enter(optarg))
			return FAILED;
		flags |= option == 'f' ? MNT_FORCE : option == 'l' ? MNT_DETACH : 0;
	}
	mountpoint = argv[optind];
	if (!mountpoint || argv[optind + 1]) {
		log_line(LOG_LEVEL_ERROR, "usage: " NAME " [-fl] MOUNTPOINT");
		return USAGE;
	}
	resolved = behind_link(mountpoint);
	if (resolved)
		mountpoint = resolved;
	if (!(flags & (MNT_FORCE | MNT_DETACH)) && ask_server(mountpoint, &server) && is_imagefs(server.pids[0])) {
		connection = connection_of(server.device);
		for (int i = 0; i < 2; i++)
			ends[i] = (int)syscall(SYS_pidfd_open, server.pids[i], 0);
	}
	status = unmount(mountpoint, flags);
	if (status == 0 && ends[0] >= 0 && !is_mounted_elsewhere(server.device, connection) &&
	    !(wait_for(ends[0], END_MS) && (ends[1] < 0 || wait_for(ends[1], END_MS))))
		log_line(LOG_LEVEL_WARNING, "%s: unmounted, and its daemon has not ended yet", mountpoint);
	return status;
}
