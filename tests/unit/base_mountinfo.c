/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines of /proc/self/mountinfo: whose mount is it, whatever its maker calls it. */
#include <criterion/criterion.h>

#include "base/mountinfo.h"

static struct mountinfo mount;

static bool parsed(const char *line)
{
	memset(&mount, 0xff, sizeof(mount));
	return mountinfo_parse(line, &mount);
}

Test(mountinfo, a_line)
{
	cr_assert(parsed("76 27 0:48 / /srv/my\\040boot ro,nosuid shared:7 - fuse.imagefs /srv/my\\040images ro,user_id=0,group_id=0,allow_other\n"));
	cr_expect_eq(mount.id, 76);
	cr_expect_str_eq(mount.device, "0:48");
	cr_expect_str_eq(mount.point, "/srv/my boot");
	cr_expect_str_eq(mount.type, "fuse.imagefs");
	cr_expect_str_eq(mount.source, "/srv/my images");
	cr_expect_eq(mount.user, 0);
	cr_assert(parsed("22 27 0:21 / /proc rw,relatime - proc proc rw\n"));
	cr_expect_eq(mount.user, 0);
	cr_expect(!parsed("22 27 0:21 / /proc rw,relatime\n"));
	cr_expect(!parsed(""));
}

Test(mountinfo, the_user_is_the_kernels_word)
{
	char line[8192];
	int length;

	cr_assert(parsed("1 2 0:3 / /m rw - fuse.imagefs-control imagefs:/m rw,user_id=1000,group_id=1000\n"));
	cr_expect_eq(mount.user, 1000);
	cr_assert(parsed("1 2 0:3 / /m rw - fuse.imagefs-control ,user_id=0 rw,user_id=1000,group_id=1000\n"));
	cr_expect_eq(mount.user, 1000);
	/* Without a name: the options stand where it would be. */
	cr_assert(parsed("1 2 0:3 / /m rw - fuse.imagefs-control  rw,user_id=0,group_id=0\n"));
	cr_expect_eq(mount.user, MOUNTINFO_NOBODY);
	/* A name that is longer than there is room for, with what looks like options at its end. */
	length = snprintf(line, sizeof(line), "1 2 0:3 / /m rw - fuse.imagefs-control ");
	memset(line + length, 'x', 4095);
	snprintf(line + length + 4095, sizeof(line) - (size_t)length - 4095, ",user_id=0 rw,user_id=1000,group_id=1000\n");
	cr_assert(parsed(line));
	cr_expect_eq(mount.user, MOUNTINFO_NOBODY);
}
