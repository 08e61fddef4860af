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

/* One line of it. */
struct mountinfo {
	int id;
	char device[64]; /* MAJOR:MINOR */
	char point[4096];
	char type[64];
	char source[4096];
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

/* False: the line is not understood. */
static inline bool mountinfo_parse(const char *line, struct mountinfo *mount)
{
	const char *rest = strstr(line, " - ");

	if (!rest || sscanf(line, "%d %*d %63s %*s %4095s", &mount->id, mount->device, mount->point) != 3 ||
	    sscanf(rest, " - %63s %4095s", mount->type, mount->source) != 2)
		return false;
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
