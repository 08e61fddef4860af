/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any bytes as a line of /proc/self/mountinfo: in it stand the names of mount points and
 * sources that any user may have chosen, of file systems that say of themselves what they are.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mountinfo.h"
#include "tests/fuzz/promise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As the kernel writes it (seq_path, show_type): what parts words is three octal digits. */
static void escape(const char *text, char *out)
{
	for (; *text; text++) {
		if (strchr(" \t\n\\", *text))
			out += sprintf(out, "\\%03o", (unsigned)(unsigned char)*text);
		else
			*out++ = *text;
	}
	*out = '\0';
}

/* What the kernel writes of any name comes back as that name. */
static void check_round_trip(const char *name)
{
	static char escaped[4 * 1024], line[9 * 1024];
	static struct mountinfo mount;

	escape(name, escaped);
	snprintf(line, sizeof(line), "36 35 98:0 / /%s rw,noatime - fuse.imagefs-control %s rw\n", escaped, escaped);
	promise(mountinfo_parse(line, &mount));
	promise(mount.id == 36 && strcmp(mount.device, "98:0") == 0);
	promise(strcmp(mount.type, "fuse.imagefs-control") == 0);
	promise(strcmp(mount.point + 1, name) == 0 && strcmp(mount.source, name) == 0);
}

/* No byte of a name that the C library takes for space, but those that are escaped. */
static bool is_plain(const char *name)
{
	return *name && strlen(name) < 1024 && !strpbrk(name, "\r\v\f");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mountinfo mount;
	char *line = malloc(size + 1);

	promise(line);
	memcpy(line, data, size);
	line[size] = '\0';
	if (mountinfo_parse(line, &mount)) {
		promise(strlen(mount.point) < sizeof(mount.point) && strlen(mount.source) < sizeof(mount.source));
		promise(mount.type[0] && mount.device[0]);
	}
	if (is_plain(line))
		check_round_trip(line);
	free(line);
	return 0;
}
