/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /proc/self/mountinfo (proc(5)): what is mounted where. A line says where a mount
 * was put, not that it is what is seen there: another may have been mounted on it,
 * or on a directory above. Only the number of the mount tells.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define MOUNTINFO_NOBODY (~0U)

/* One line of it. */
struct mountinfo {
	int id;
	char device[64]; /* MAJOR:MINOR */
	char point[4096];
	char type[64];
	char source[4096];
	unsigned user; /* FUSE: who mounted it, which the kernel says; else 0 */
};

/* Space, tab, newline and backslash are three octal digits there. In place. */
static inline void mountinfo_unescape(char *text)
{
	char *to = text;

	for (; *text; text++, to++) {
		*to = *text;
		if (text[0] == '\\' && strspn(text + 1, "01234567") >= 3) {
			*to = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
			text += 3;
		}
	}
	*to = '\0';
}

/* What FUSE shows of its options (fs/fuse/inode.c, fuse_show_options) is numbers and words of its own. */
static inline unsigned mountinfo_user(const char *type, const char *options)
{
	const char *at = strstr(options, ",user_id=");
	unsigned user = MOUNTINFO_NOBODY;

	if (strncmp(type, "fuse", 4) != 0)
		return 0;
	return at && sscanf(at, ",user_id=%u", &user) == 1 ? user : MOUNTINFO_NOBODY;
}

/* False: the line is not understood. */
static inline bool mountinfo_parse(const char *line, struct mountinfo *mount)
{
	const char *rest = strstr(line, " - ");
	int end = 0;

	if (!rest || sscanf(line, "%d %*d %63s %*s %4095s", &mount->id, mount->device, mount->point) != 3 ||
	    sscanf(rest, " - %63s %4095s%n", mount->type, mount->source, &end) != 2)
		return false;
	/* A source that is longer than there is room for, or empty, must not pass for options. */
	mount->user = mountinfo_user(mount->type, rest[end] == ' ' ? rest + end : "");
	mountinfo_unescape(mount->point);
	mountinfo_unescape(mount->source);
	return true;
}

#define MOUNTINFO_UNKNOWN (-1) /* no /proc, or not allowed to go there */
#define MOUNTINFO_NOTHING (-2) /* there is no such path */

/* The number of the mount that is seen at `path`, or one of these. What is mounted there is not asked for anything. */
static inline int mountinfo_id_at(const char *path)
{
	CLEANUP_FD int fd = open(path, O_PATH | O_CLOEXEC);
	char name[64], line[128];
	int id = MOUNTINFO_UNKNOWN;
	FILE *file;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? MOUNTINFO_NOTHING : MOUNTINFO_UNKNOWN;
	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	file = fopen(name, "re");
	if (!file)
		return MOUNTINFO_UNKNOWN;
	while (id < 0 && fgets(line, sizeof(line), file))
		if (sscanf(line, "mnt_id: %d", &id) != 1)
			id = MOUNTINFO_UNKNOWN;
	fclose(file);
	return id;
}
