/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disk: a cache_device (cache/device/device.h) on a regular file or block device.
 *
 * Three kinds, chosen per image:
 *   file     on a filesystem of this machine whose change signs were verified
 *            (ext4, xfs, btrfs, tmpfs, overlay, f2fs): inotify, ctime and size;
 *   block    a block device: inotify on its node, its write, discard and flush
 *            counters and what is in flight. Only direct reads see its truth;
 *   nothing  every other filesystem (NFS, SMB, FUSE, ...), or when told so:
 *            every observation is a new generation.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/device/device.h"

struct watch;

struct disk_options {
	bool believe_nothing; /* treat every image as the kind `nothing` */
	int64_t ctime_lag_ns; /* a change younger than this makes every observation new */
	/*
	 * Another descriptor of the same file, read-only, that raises none of the
	 * events that somebody listens to; NULL: there is no such thing. Blocks. -errno.
	 */
	int (*silent_fd)(void *context, int fd);
	void *context; /* borrowed, as long as the device */
	int descriptors_low; /* who gets this descriptor knows that few are left: a file has no second one; 0: no such */
};

/*
 * Take over `fd`, an O_RDONLY descriptor of the image. It is closed with the
 * device, and also when this fails. `watch` is borrowed, may be NULL, and must
 * outlive the device.
 * -EINVAL: neither a regular file nor a block device. `*device` is NULL when this fails.
 */
int disk_new(int fd, struct watch *watch, const struct disk_options *options, struct cache_device **device);

/* Is the file on a filesystem whose changes can be told (the kind `file`)? */
bool disk_tells_changes(int fd);

/* The descriptor it reads from; borrowed. */
int disk_fd(const struct cache_device *device);

/* 0: it reads through descriptors that raise no events; else what silent_fd said, or -EOPNOTSUPP. */
int disk_silent_error(const struct cache_device *device);

/* The logical sector size of a block device in bytes, 0 for a file. */
uint32_t disk_sector_bytes(const struct cache_device *device);
