/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/option_ignored.h"

#include <stddef.h>
#include <string.h>

#include "base/text.h"

/* Taken and not needed: what is always so here; mount(8)'s and systemd's own; what mount helpers pass. */
static const char *const dropped[] = {
	"ro", "dev", "nodev", "suid", "nosuid", "fsname=", "subtype=",
	"defaults", "auto", "noauto", "user", "user=", "nouser", "users", "owner", "group", "_netdev", "nofail",
	"comment=", "helper=", "uhelper=", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime",
	"nostrictatime", "lazytime", "nolazytime", "async", "sync", "dirsync", "mand", "nomand", "iversion",
	"noiversion", "silent", "loud", "nosymfollow", "-n", "-s",
};

/* What the kernel shows of every FUSE mount (/proc/mounts); mount(8) hands it back when it remounts. */
static const char *const of_kernel[] = { "user_id=", "group_id=", "rootmode=", "max_read=", "blksize=", "seclabel" };

bool option_is_dropped(const char *argument)
{
	for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
		if (strchr(dropped[i], '=') ? text_starts(argument, dropped[i]) : strcmp(argument, dropped[i]) == 0)
			return true;
	/* fuse_opt knows no templates for x-WHATEVER; "ro,,nofail" has an empty option. */
	return text_starts(argument, "x-") || text_starts(argument, "X-") || argument[0] == '\0';
}

bool option_is_kernels(const char *argument)
{
	for (size_t i = 0; i < sizeof(of_kernel) / sizeof(of_kernel[0]); i++)
		if (text_starts(argument, of_kernel[i]))
			return true;
	return false;
}
