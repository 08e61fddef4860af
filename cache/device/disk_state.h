/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disk_state: a disk inside, for the files that are made of it: disk.c (what kind it is, its life), disk_signs.c (what
 * shows a change) and disk_bytes.c (reading). To everybody else it is a cache_device (disk.h).
 *
 * Locking: one lock for each disk, held across a look at its signs, which may ask a server on the network: where that
 * may take long only who may block comes here. Reads take no lock; what they need is constant, atomic, or
 * has a lock of its own (hints, ahead, clone, watch).
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/device/device.h"
#include "cache/device/hints.h"

struct ahead;
struct clone;
struct watch;
struct watch_target;

enum disk_kind {
	DISK_FILE,
	DISK_BLOCK,
	DISK_NOTHING,
};

/* What is looked at (disk_signs.h) to see a change. Equal signs, no change known. */
struct signs {
	uint64_t events;
	uint64_t size_bytes;
	int64_t ctime_ns;
	uint64_t counters[6]; /* block: writes, sectors written, discards, sectors discarded, flushes, diskseq */
};

/* Of direct_fd, which is opened when first needed. */
#define DIRECT_UNOPENED (-1)
#define DIRECT_NONE (-2) /* the filesystem has none */

struct disk {
	struct cache_device device; /* first: a cache_device is a disk */
	enum disk_kind kind;
	bool is_block;
	bool in_memory;	   /* constant: a tmpfs */
	int fd;		   /* O_RDONLY */
	_Atomic int direct_fd; /* O_RDONLY | O_DIRECT, opened when first needed */
	int stat_fd;	   /* block: sysfs stat, or -1 */
	int inflight_fd;   /* block: sysfs inflight, or -1 */
	uint32_t sector_bytes;
	int64_t ctime_lag_ns;
	int (*silent_fd)(void *context, int fd); /* constant, as the next; or NULL */
	void *context;
	int silent_error; /* constant: why there is none */
	int descriptors_low; /* constant, as in disk_options */
	struct watch *watch;
	struct watch_target *target; /* DISK_FILE */
	struct ahead *ahead;	     /* DISK_NOTHING; or NULL */
	struct clone *clone;	     /* DISK_FILE, where it may share blocks with others: `fd` is closed with it; or NULL */
	struct hints hints;	     /* DISK_FILE */
	_Atomic int64_t looked_ns;   /* CLOCK_MONOTONIC: when it was observed last */

	pthread_mutex_t lock; /* held across the look at the signs, so that looks and generations have one order */
	struct signs signs;   /* lock */
	uint64_t generation;  /* lock */
	atomic_bool believable; /* written under the lock: could the last look be believed? */
	int64_t changed_ns;   /* lock: CLOCK_MONOTONIC, when a change was last noticed */
	int64_t event_ns;     /* lock: the same of an event */
	int64_t observed_ns;  /* lock: now_ns of the last observation */
	int64_t real_ahead_ns; /* lock: by how much CLOCK_REALTIME was ahead of CLOCK_MONOTONIC at the last look */
	_Atomic uint64_t size_bytes; /* as last observed */
};

/* Of a device whose ops are a disk's. */
static inline struct disk *disk_of(struct cache_device *device)
{
	return (struct disk *)device;
}
