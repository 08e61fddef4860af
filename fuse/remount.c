/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/remount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mountinfo.h"
#include "fuse/process/log.h"
#include "fuse/process/mount.h"
#include "fuse/process/options_text.h"
#include "fuse/process/separate.h"

/* Of options_describe. A path, and words. The size is part of the number: a daemon with another one says ENOTTY. */
struct described {
	char text[8192];
};

#define ASK_OPTIONS _IOR('I', 1, struct described)

void remount_answer(fuse_req_t fuse, const struct options *options, const char *source, unsigned command,
		    size_t room_bytes)
{
	struct described described;

	if (command != ASK_OPTIONS || room_bytes < sizeof(described)) {
		fuse_reply_err(fuse, ENOTTY);
		return;
	}
	memset(&described, 0, sizeof(described));
	snprintf(described.text, sizeof(described.text), "pids=%d %d\n", (int)getpid(), (int)separate_pid());
	options_describe(options, source, described.text + strlen(described.text),
			 sizeof(described.text) - strlen(described.text));
	fuse_reply_ioctl(fuse, 0, &described, sizeof(described));
}

void remount_say_read_only(const struct options *options)
{
	if (options->rw_asked && options->fuse_fd >= 0)
		log_line(LOG_LEVEL_NOTICE, "rw: mounted rw, and nothing can be written: write ro");
	else if (options->rw_asked)
		log_line(LOG_LEVEL_NOTICE, "%s: rw: an imagefs is always read-only; mounted ro", options->mountpoint);
}

static int refuse(const struct options *options, const char *why)
{
	log_line(LOG_LEVEL_ERROR, "%s: cannot be remounted: %s", options->mountpoint, why);
	return 1;
}

/* The value at the line that begins with `name`, up to its end, or NULL. */
static const char *value_of(const char *text, const char *name, size_t name_length)
{
	for (; text && *text; text = strchr(text, '\n'), text += text != NULL)
		if (strncmp(text, name, name_length) == 0 && text[name_length] == '=')
			return text + name_length + 1;
	return NULL;
}

static bool same_value(const char *a, const char *b)
{
	size_t length = strcspn(a, "\n");

	return length == strcspn(b, "\n") && strncmp(a, b, length) == 0;
}

/* By the text, or by where it leads to. */
static bool same_source(const char *running, const char *wanted)
{
	char path[sizeof(struct described)];
	struct stat a, b;

	snprintf(path, sizeof(path), "%.*s", (int)strcspn(running, "\n"), running);
	mountinfo_unescape(path);
	return strcmp(path, wanted) == 0 || (stat(path, &a) == 0 && stat(wanted, &b) == 0 && a.st_dev == b.st_dev &&
					     a.st_ino == b.st_ino);
}

/* Ends with the names that were given. */
static bool is_unchanged(const struct options *options, const char *running, const char *wanted)
{
	const char *source = value_of(running, "source", 6);

	if (!source || !same_source(source, options->source)) {
		log_line(LOG_LEVEL_ERROR, "%s: shows %.*s: to show %s instead, umount it and mount it again", options->mountpoint,
			 source ? (int)strcspn(source, "\n") : 0, source ? source : "", options->source);
		return false;
	}
	for (const char *name = options->given; name && name[1]; name = strchr(name + 1, '\n')) {
		size_t length = strcspn(name + 1, "\n");
		const char *now = value_of(running, name + 1, length), *then = value_of(wanted, name + 1, length);

		if (!now || !then || same_value(now, then))
			continue;
		if (*now == '\n')
			log_line(LOG_LEVEL_ERROR, "%s: %.*s=%.*s: it is mounted without it; umount it and mount it again",
				 options->mountpoint, (int)length, name + 1, (int)strcspn(then, "\n"), then);
		else
			log_line(LOG_LEVEL_ERROR, "%s: %.*s=%.*s: it is mounted with %.*s=%.*s; umount it and mount it again",
				 options->mountpoint, (int)length, name + 1, (int)strcspn(then, "\n"), then, (int)length,
				 name + 1, (int)strcspn(now, "\n"), now);
		return false;
	}
	return true;
}

bool remount_ask_server(const char *mountpoint, pid_t pids[2], dev_t *device)
{
	CLEANUP_FD int fd = open(mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct described running;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0 || ioctl(fd, ASK_OPTIONS, &running) != 0 ||
	    sscanf(running.text, "pids=%d %d\n", &pids[0], &pids[1]) != 2)
		return false;
	*device = st.st_dev;
	return true;
}

/* noexec is all that is not always the same. */
static int change_flags(const struct options *options)
{
	unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOATIME | (options->noexec ? MS_NOEXEC : 0);
	struct statvfs now;

	if (statvfs(options->mountpoint, &now) != 0)
		return -errno;
	if (((now.f_flag & ST_NOEXEC) != 0) == options->noexec)
		return 0;
	return mount(NULL, options->mountpoint, NULL, MS_REMOUNT | MS_BIND | flags, NULL) == 0 ? 0 : -errno;
}

int remount(const struct options *options)
{
	struct described running, wanted;
	CLEANUP_FD int fd = open(options->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error;

	if (fd < 0)
		return refuse(options, strerror(errno));
	if (!mount_is_ours(options->mountpoint))
		return refuse(options, "it is not mounted");
	if (ioctl(fd, ASK_OPTIONS, &running) != 0)
		return refuse(options, errno == ENOTTY ? "another version of imagefs serves it: umount it and mount it again" :
							 strerror(errno));
	running.text[sizeof(running.text) - 1] = '\0';
	options_describe(options, options->source, wanted.text, sizeof(wanted.text));
	if (!is_unchanged(options, running.text, wanted.text))
		return 1;
	error = change_flags(options);
	if (error != 0)
		return refuse(options, strerror(-error));
	remount_say_read_only(options);
	return 0;
}
