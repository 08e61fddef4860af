/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mountinfo.h"
#include "base/statx.h"
#include "base/waits.h"
#include "fuse/process/log.h"

/* Half a dozen requests of 1 MiB in flight; more than that and small files pay for it. */
#define READAHEAD_KIB "8192"

/* A crash may have been taken over more than once: at most this many mounts are peeled off. */
#define DEAD_MOUNTS_MAX 16

/*
 * The mount that is seen at `mountpoint`. Returns false when none was put there, or
 * when all that were are hidden below something else; as in a mount namespace with a
 * file system of its own over /run, which inherited what the others see.
 */
static bool find_mount(const char *mountpoint, struct mountinfo *found)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	CLEANUP_FREE char *line = NULL;
	int seen = mountinfo_id_at(mountpoint);
	struct mountinfo mount;
	size_t size = 0;
	bool any = false;

	if (!file)
		return false;
	while (getline(&line, &size, file) > 0) {
		if (!mountinfo_parse(line, &mount) || strcmp(mount.point, mountpoint) != 0 ||
		    (seen != MOUNTINFO_UNKNOWN && mount.id != seen))
			continue;
		*found = mount; /* if the number is not known, the last one is on top */
		any = true;
	}
	fclose(file);
	return any;
}

bool mount_run_fusermount(const char *mountpoint, bool lazily)
{
	char *const arguments[] = { (char *)"fusermount3", (char *)"-u", (char *)(lazily ? "-qz" : "-u"), (char *)"--",
				    (char *)mountpoint, NULL };
	extern char **environ;
	pid_t child;
	int status = -1;

	if (posix_spawnp(&child, arguments[0], NULL, NULL, arguments, environ) == 0)
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Where libmount keeps what the kernel does not know of a mount. */
#define UTAB "/run/mount/utab"
#define UMOUNT_HELPER "/sbin/umount.fuse.imagefs"

/* As long as it has a line: whose, and how old, does not matter for the way that umount(8) takes. */
static bool is_in_utab(const char *mountpoint)
{
	FILE *file = fopen(UTAB, "re");
	CLEANUP_FREE char *line = NULL;
	size_t size = 0;
	bool found = false;

	while (file && !found && getline(&line, &size, file) > 0) {
		char *target = strstr(line, " TARGET=");

		if (!target)
			continue;
		target += strlen(" TARGET=");
		target[strcspn(target, " \n")] = '\0';
		mountinfo_unescape(target);
		found = strcmp(target, mountpoint) == 0;
	}
	if (file)
		fclose(file);
	return found;
}

void mount_name_helper(const char *source, const char *mountpoint)
{
	char *const arguments[] = { (char *)"mount", (char *)"-i", (char *)"-f", (char *)"--no-canonicalize", (char *)"-t",
				    (char *)"fuse.imagefs", (char *)"-o", (char *)"ro,helper=fuse.imagefs", (char *)"--",
				    (char *)source, (char *)mountpoint, NULL };
	extern char **environ;
	posix_spawn_file_actions_t quiet;
	pid_t child;

	if (geteuid() != 0 || access(UMOUNT_HELPER, X_OK) != 0 || is_in_utab(mountpoint))
		return;
	/* A /run that is read-only, say: umount(8) then does as it does without. */
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
	if (posix_spawn(&child, "/bin/mount", &quiet, NULL, arguments, environ) == 0)
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	posix_spawn_file_actions_destroy(&quiet);
}

void mount_detach(const char *mountpoint)
{
	if (umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno == EPERM)
		mount_run_fusermount(mountpoint, true);
}

static bool refuse(const char *mountpoint, const char *why)
{
	log_line(LOG_LEVEL_ERROR, "%s: %s", mountpoint, why);
	return false;
}

/* Bounded by the depth of the path. */
bool mount_is_below(const char *inner, const struct stat *outer)
{
	CLEANUP_FD int fd = open(inner, O_PATH | O_CLOEXEC);
	struct stat st, up;

	for (int depth = 0; fd >= 0 && fstat(fd, &st) == 0 && depth < 4096; depth++) {
		int parent;

		if (st.st_dev == outer->st_dev && st.st_ino == outer->st_ino)
			return true;
		/* A file (SOURCE as one image) has no "..": its directory was asked for. */
		parent = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (parent < 0)
			return false;
		close(fd);
		fd = parent;
		if (fstat(fd, &up) == 0 && up.st_dev == st.st_dev && up.st_ino == st.st_ino)
			return false; /* the root */
	}
	return false;
}

/* stat that asks the file system: attributes that the kernel still believes outlive a daemon by a moment. */
static int stat_now(const char *path, struct stat *st)
{
	struct statx now;

	if (statx_or_stat(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_TYPE, &now) != 0)
		return -1;
	return stat(path, st);
}

bool mount_is_ours(const char *directory)
{
	CLEANUP_FREE char *real = realpath(directory, NULL);
	struct mountinfo mount;

	return find_mount(real ? real : directory, &mount) && strncmp(mount.type, "fuse.imagefs", 12) == 0;
}

static void *ask(void *path)
{
	struct stat st;

	stat_now(path, &st);
	return NULL;
}

static bool is_answered(pthread_t thread)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_TAKE_OVER_NS / WAIT_S;
	return pthread_timedjoin_np(thread, NULL, &until) == 0;
}

void mount_break_silent(const char *directory)
{
	pthread_t thread;

	if (!mount_is_ours(directory) || pthread_create(&thread, NULL, ask, (void *)directory) != 0 || is_answered(thread))
		return;
	log_line(LOG_LEVEL_WARNING, "%s: the mount does not answer, and is taken over", directory);
	umount2(directory, MNT_FORCE | UMOUNT_NOFOLLOW);
	pthread_join(thread, NULL);
}

const char *mount_take_over(const char *directory, struct stat *st)
{
	CLEANUP_FREE char *real = NULL;
	struct mountinfo mount;

	mount_break_silent(directory);
	for (int i = 0; stat_now(directory, st) != 0; i++) {
		if (errno != ENOTCONN && errno != ECONNABORTED)
			return strerror(errno);
		if (i == DEAD_MOUNTS_MAX)
			return "a dead mount is there and cannot be detached";
		mount_detach(directory);
	}
	if (!S_ISDIR(st->st_mode))
		return strerror(ENOTDIR);
	real = realpath(directory, NULL);
	if (find_mount(real ? real : directory, &mount) && strncmp(mount.type, "fuse", 4) == 0)
		return "already mounted or mount point busy";
	return NULL;
}

char *mount_of_source(const char *type, const char *source)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	CLEANUP_FREE char *line = NULL;
	struct mountinfo mount;
	size_t size = 0;
	char *found = NULL;

	while (file && !found && getline(&line, &size, file) > 0) {
		int seen;

		if (!mountinfo_parse(line, &mount) || strcmp(mount.type, type) != 0 || strcmp(mount.source, source) != 0 ||
		    mount.user != getuid())
			continue;
		seen = mountinfo_id_at(mount.point);
		if (seen == mount.id || seen == MOUNTINFO_UNKNOWN)
			found = strdup(mount.point);
	}
	if (file)
		fclose(file);
	return found;
}

bool mount_prepare(const char *mountpoint, const char *source_directory, const struct stat *source)
{
	char parent[4096];
	struct stat st;
	const char *problem = mount_take_over(mountpoint, &st);

	if (problem)
		return refuse(mountpoint, problem);
	if (st.st_dev == source->st_dev && st.st_ino == source->st_ino)
		return refuse(mountpoint, "is the directory of images itself; mount elsewhere");
	/* To look into SOURCE would then be to ask ourselves: nobody is there to answer. */
	if (mount_is_below(source_directory, &st))
		return refuse(mountpoint, "the images are below it; mount elsewhere");
	if (snprintf(parent, sizeof(parent), "%s/..", mountpoint) < (int)sizeof(parent) && stat(parent, &st) == 0 &&
	    st.st_dev == source->st_dev && st.st_ino == source->st_ino)
		return refuse(mountpoint, "is in the directory of images; mount elsewhere");
	return true;
}

void mount_say_if_private(const char *mountpoint)
{
	FILE *file = fopen("/proc/1/mountinfo", "re");
	CLEANUP_FREE char *line = NULL;
	struct mountinfo ours, mount;
	bool known = file && find_mount(mountpoint, &ours), any = false, seen = false;
	size_t size = 0;

	while (known && !seen && getline(&line, &size, file) > 0) {
		if (!mountinfo_parse(line, &mount))
			continue;
		any = true;
		seen = strcmp(mount.device, ours.device) == 0;
	}
	if (file)
		fclose(file);
	if (any && !seen)
		log_line(LOG_LEVEL_WARNING,
			 "%s: is mounted in a mount namespace of its own, and not seen outside: in a service, PrivateMounts=no "
			 "(and no ProtectSystem=, PrivateTmp= or the like) changes that", mountpoint);
}

bool mount_is_answered(int fd)
{
	struct stat st;

	return fstatat(fd, "", &st, AT_EMPTY_PATH) == 0;
}

int mount_open_readahead(const char *mountpoint)
{
	struct mountinfo mount;
	char path[128];

	if (!find_mount(mountpoint, &mount))
		return -1;
	snprintf(path, sizeof(path), "/sys/class/bdi/%s/read_ahead_kb", mount.device);
	return open(path, O_WRONLY | O_CLOEXEC);
}

void mount_set_readahead(int fd)
{
	/* Not root, or no sysfs: 128 KiB stays, and it is only slower. */
	if (fd >= 0 && write(fd, READAHEAD_KIB, strlen(READAHEAD_KIB)) < 0)
		return;
}
