/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/separate_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mountinfo.h"
#include "fuse/process/mount.h"

/* linux/stat.h, since 6.8: STATX_MNT_ID_UNIQUE. */
#define UNIQUE_ID 0x4000U

static struct separate_told mounts[SEPARATE_MOUNTS]; /* constant once it is: */
static atomic_bool is_told[SEPARATE_MOUNTS];
static _Atomic uint64_t mount_ids[SEPARATE_MOUNTS]; /* of those that are to be broken when the daemon is killed; 0: not */
static _Atomic uint64_t mount_devices[SEPARATE_MOUNTS]; /* of what is mounted there: st_dev; 0: not known */
static atomic_bool detached[SEPARATE_MOUNTS]; /* once and for all */
static bool sealed; /* of the first thread */

/* Of the mount that is seen there; never that of another one, before or since. 0: before Linux 6.8. */
static uint64_t unique_id_at(const char *directory)
{
	CLEANUP_FD int fd = open(directory, O_PATH | O_CLOEXEC);
	struct statx st;

	/* The daemon is not asked: it may be no more. */
	return fd >= 0 && statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, UNIQUE_ID, &st) == 0 && st.stx_mask & UNIQUE_ID ?
		       st.stx_mnt_id : 0;
}

/* Of the filesystem that is seen there: while it lives, no other one has that. 0: not known. */
static uint64_t device_at(const char *directory)
{
	CLEANUP_FD int fd = open(directory, O_PATH | O_CLOEXEC);
	struct statx st;

	return fd >= 0 && statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st) == 0 ?
		       makedev(st.stx_dev_major, st.stx_dev_minor) : 0;
}

/* What is seen there is that mount, not another daemon's, mounted there since. What is not known (0) does not count. */
static bool is_at(const char *directory, uint64_t id, uint64_t device)
{
	return (id == 0 || unique_id_at(directory) == id) && (device == 0 || device_at(directory) == device);
}

/* Somebody has moved it (mount --move). Where only the device is known it may be a copy, which would be as dead. */
static void detach_moved(uint64_t id, uint64_t device)
{
	FILE *file = device != 0 ? fopen("/proc/self/mountinfo", "re") : NULL;
	CLEANUP_FREE char *line = NULL;
	struct mountinfo mount;
	bool found = false;
	char number[64];
	size_t size = 0;

	snprintf(number, sizeof(number), "%u:%u", major(device), minor(device));
	while (file && !found && getline(&line, &size, file) > 0)
		found = mountinfo_parse(line, &mount) && strcmp(mount.device, number) == 0 &&
			strncmp(mount.type, "fuse.imagefs", strlen("fuse.imagefs")) == 0 && is_at(mount.point, id, device);
	if (found)
		mount_detach(mount.point);
	if (file)
		fclose(file);
}

int separate_mounts_detach(unsigned which, bool mounted)
{
	const struct separate_told *mount;
	uint64_t id, device;

	if (which >= SEPARATE_MOUNTS || !atomic_load(&is_told[which]) || atomic_exchange(&detached[which], true))
		return -ENOENT;
	mount = &mounts[which];
	id = atomic_exchange(&mount_ids[which], 0);
	device = atomic_load(&mount_devices[which]);
	if (mounted && is_at(mount->directory, id, device))
		mount_detach(mount->directory);
	else if (mounted)
		detach_moved(id, device);
	if (mount->remove)
		rmdir(mount->directory);
	return 0;
}

void separate_mounts_take(const struct separate_told *told)
{
	sealed = sealed || told->mount >= SEPARATE_MOUNTS;
	if (sealed)
		return;
	if (told->mounted) {
		atomic_store(&mount_ids[told->mount], unique_id_at(mounts[told->mount].directory));
		atomic_store(&mount_devices[told->mount], device_at(mounts[told->mount].directory));
		return;
	}
	if (!atomic_load(&is_told[told->mount]) && told->directory[0] != '\0' &&
	    memchr(told->directory, '\0', sizeof(told->directory))) {
		mounts[told->mount] = *told;
		atomic_store(&is_told[told->mount], true);
	}
}

/* What is mounted there now may be another daemon's. */
static void break_mount(unsigned which)
{
	uint64_t id = atomic_load(&mount_ids[which]); /* not 0: it is told */
	CLEANUP_FD int held = id != 0 ? open(mounts[which].directory, O_PATH | O_CLOEXEC) : -1; /* busy: broken, not taken away */

	if (held >= 0 && unique_id_at(mounts[which].directory) == id)
		umount2(mounts[which].directory, MNT_FORCE | UMOUNT_NOFOLLOW);
}

void separate_mounts_break(void)
{
	for (unsigned which = 0; which < SEPARATE_MOUNTS; which++)
		break_mount(which);
}
