/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/waits.h"
#include "cache/device/ahead.h"
#include "cache/device/clone.h"
#include "cache/device/disk_bytes.h"
#include "cache/device/disk_signs.h"
#include "cache/device/disk_state.h"
#include "cache/device/opener.h"
#include "cache/device/watch.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* ---- life ---------------------------------------------------------------- */

static const char *disk_describe(struct cache_device *device)
{
	static const char *const words[] = {
		[DISK_FILE] = "inotify+ctime",
		[DISK_BLOCK] = "device counters",
		[DISK_NOTHING] = "none (everything is read again)",
	};

	return words[disk_of(device)->kind];
}

/*
 * A look that comes in between may find it resting: it is told of the first write, which is all it needs, and the next
 * look wakes it.
 */
static void disk_rest(struct cache_device *device)
{
	struct disk *disk = disk_of(device);

	if (disk->target && clock_now_ns(CLOCK_MONOTONIC) - atomic_load(&disk->looked_ns) >= WAIT_LISTEN_NS)
		watch_rest(disk->watch, disk->target, disk->fd);
}

static void disk_close(struct cache_device *device)
{
	struct disk *disk = disk_of(device);

	if (disk->target)
		watch_remove(disk->watch, disk->target);
	if (disk->clone)
		clone_close(disk->clone);
	else
		cleanup_close_fd(&disk->fd);
	if (atomic_load(&disk->direct_fd) >= 0)
		close(atomic_load(&disk->direct_fd));
	cleanup_close_fd(&disk->stat_fd);
	cleanup_close_fd(&disk->inflight_fd);
	ahead_free(disk->ahead);
	pthread_mutex_destroy(&disk->hints.lock);
	pthread_mutex_destroy(&disk->lock);
	free(disk);
}

static const struct cache_device_ops disk_ops = {
	.observe = disk_signs_observe,
	.prepare = disk_bytes_prepare,
	.read_blocks = disk_bytes_read_blocks,
	.read_pieces = disk_bytes_read_pieces,
	.will_need = disk_bytes_will_need,
	.describe = disk_describe,
	.rest = disk_rest,
	.close = disk_close,
};

/* ---- which kind --------------------------------------------------------------- */

/* Filesystems whose inotify and ctime were seen to tell the truth about every writer they can have. */
static bool tells_changes(const struct statfs *fs)
{
	static const uint32_t known[] = {
		EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, TMPFS_MAGIC, OVERLAYFS_SUPER_MAGIC, F2FS_SUPER_MAGIC,
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if ((uint32_t)fs->f_type == known[i])
			return true;
	return false;
}

bool disk_tells_changes(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && tells_changes(&fs);
}

static void become_block(struct disk *disk, const struct disk_options *options)
{
	int sector_bytes = 0, counter_fds[2];

	disk->is_block = true;
	if (ioctl(disk->fd, BLKSSZGET, &sector_bytes) == 0 && sector_bytes > 0)
		disk->sector_bytes = (uint32_t)sector_bytes;
	/*
	 * A server's buffered write to the device reaches the counters only at
	 * writeback; but it goes through the device node, and raises an event
	 * there. Writers below the node (direct I/O, in-kernel targets) raise
	 * none, and are in the counters when their writes are done.
	 */
	if (options->believe_nothing || !disk->watch || opener_counters(disk->fd, counter_fds) != 0)
		return;
	disk->stat_fd = counter_fds[0];
	disk->inflight_fd = counter_fds[1];
	if (watch_add(disk->watch, disk->fd, &disk->target) == 0)
		disk->kind = DISK_BLOCK;
}

static void become_file(struct disk *disk, const struct disk_options *options)
{
	struct statfs fs;

	if (options->believe_nothing || !disk->watch || fstatfs(disk->fd, &fs) != 0 || !tells_changes(&fs))
		return;
	/* No watch left: the limit is the administrator's to raise; until then nothing is believed. */
	if (watch_add(disk->watch, disk->fd, &disk->target) != 0)
		return;
	disk->kind = DISK_FILE;
	disk->in_memory = fs.f_type == TMPFS_MAGIC;
}

/* From here on it reads through a descriptor that raises no events, where there is one. */
static void become_silent(struct disk *disk, const struct disk_options *options)
{
	int fd;

	disk->silent_error = -EOPNOTSUPP;
	if (disk->kind != DISK_FILE || !options->silent_fd)
		return;
	fd = options->silent_fd(options->context, disk->fd);
	disk->silent_error = fd < 0 ? fd : 0;
	if (fd < 0)
		return;
	close(disk->fd);
	disk->fd = fd;
	disk->silent_fd = options->silent_fd;
	disk->context = options->context;
}

int disk_new(int fd, struct watch *watch, const struct disk_options *options, struct cache_device **device)
{
	CLEANUP_FD int owned = fd;
	struct stat st;
	struct disk *disk;

	*device = NULL;
	if (fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -EINVAL;
	disk = calloc(1, sizeof(*disk));
	if (!disk)
		return -ENOMEM;
	*disk = (struct disk){
		.device.ops = &disk_ops,
		.kind = DISK_NOTHING,
		.fd = steal_fd(&owned),
		.direct_fd = DIRECT_UNOPENED,
		.stat_fd = -1,
		.inflight_fd = -1,
		.ctime_lag_ns = options->ctime_lag_ns,
		.descriptors_low = options->descriptors_low,
		.watch = watch,
	};
	pthread_mutex_init(&disk->lock, NULL);
	pthread_mutex_init(&disk->hints.lock, NULL);
	if (S_ISBLK(st.st_mode))
		become_block(disk, options);
	else
		become_file(disk, options);
	become_silent(disk, options);
	if (disk->kind == DISK_NOTHING)
		disk->ahead = ahead_new();
	if (disk->kind == DISK_FILE)
		disk->clone = clone_new(disk->fd, disk->ctime_lag_ns);
	disk_signs_first_look(disk);
	*device = &disk->device;
	return 0;
}

int disk_silent_error(const struct cache_device *device)
{
	return ((const struct disk *)device)->silent_error;
}

uint32_t disk_sector_bytes(const struct cache_device *device)
{
	return ((const struct disk *)device)->sector_bytes;
}

int disk_fd(const struct cache_device *device)
{
	return ((const struct disk *)device)->fd;
}
