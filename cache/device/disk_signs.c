/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/disk_signs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/statx.h"
#include "cache/device/ahead.h"
#include "cache/device/disk_state.h"
#include "cache/device/watch.h"

/* Pages written through a device's node are written back within this time (dirty_expire and some). */
#define WRITEBACK_NS (60 * INT64_C(1000000000))

/* So far the two clocks may drift apart between two looks; more, and one was set. */
#define CLOCK_STEP_NS (100 * INT64_C(1000000))

static int read_numbers(int fd, uint64_t *numbers, size_t count)
{
	char text[512], *at = text, *end;
	ssize_t length = pread(fd, text, sizeof(text) - 1, 0);
	size_t found = 0;

	if (length <= 0)
		return 0;
	text[length] = '\0';
	for (; found < count; found++, at = end) {
		numbers[found] = strtoull(at, &end, 10);
		if (end == at)
			break;
	}
	return (int)found;
}

/*
 * Documentation/admin-guide/iostats.rst: field 5 writes completed, 7 sectors
 * written, 12 discards completed, 14 sectors discarded, 16 flushes completed.
 * Returns false when nothing can be believed: no counters, or a write in flight.
 */
static bool look_at_block(struct disk *disk, struct signs *signs)
{
	uint64_t stat[17] = { 0 }, inflight[2] = { 0 };

	if (disk->stat_fd < 0 || disk->inflight_fd < 0)
		return false;
	/* In flight first: a write that ends in between is then in the counters. */
	if (read_numbers(disk->inflight_fd, inflight, 2) < 2 || read_numbers(disk->stat_fd, stat, 17) < 11)
		return false;
	signs->counters[0] = stat[4];
	signs->counters[1] = stat[6];
	signs->counters[2] = stat[11];
	signs->counters[3] = stat[13];
	signs->counters[4] = stat[15];
	return inflight[1] == 0;
}

static int block_size_bytes(int fd, uint64_t *size_bytes)
{
	return ioctl(fd, BLKGETSIZE64, size_bytes) == 0 ? 0 : -EIO;
}

/* -errno, 0: nothing may be believed, 1: equal signs mean no change. */
static int look(struct disk *disk, int64_t since_ns, struct signs *signs)
{
	struct statx stx;
	int64_t age_ns;

	memset(signs, 0, sizeof(*signs));
	/*
	 * Events before ctime: an event that comes later than this look counts for the next one. So does one that comes
	 * between a look of this very request at the names of SOURCE, which is not taken once more, and the ctime: what
	 * is written then is nothing that the request has to see, and if its ctime tells of it all the same, that is a change.
	 */
	if (disk->target)
		signs->events = watch_events(disk->watch, disk->target, disk->is_block, since_ns);
	if (disk->is_block) {
		if (block_size_bytes(disk->fd, &signs->size_bytes) != 0)
			return -EIO;
		return look_at_block(disk, signs);
	}
	if (statx_or_stat(disk->fd, "", AT_EMPTY_PATH | (disk->kind == DISK_NOTHING ? AT_STATX_FORCE_SYNC : 0),
		  STATX_CTIME | STATX_SIZE, &stx) != 0)
		return -EIO;
	signs->size_bytes = stx.stx_size;
	signs->ctime_ns = stx.stx_ctime.tv_sec * 1000000000 + stx.stx_ctime.tv_nsec;
	/* A ctime in the future (a stepped clock) is not settled either. */
	age_ns = clock_now_ns(CLOCK_REALTIME) - signs->ctime_ns;
	return disk->kind == DISK_FILE && age_ns >= disk->ctime_lag_ns;
}

/*
 * Counters that move without an event, soon after there was one, are writeback
 * of what came through the device's node; our own direct reads cause it too.
 * What such a reader sees does not change by it, so that it is no sign that an
 * update is under way. It is verified all the same: this is not about belief.
 */
static bool is_writeback(const struct disk *disk, const struct signs *signs, int64_t now_ns)
{
	return disk->is_block && signs->events == disk->signs.events && disk->event_ns != 0 &&
	       now_ns - disk->event_ns < WRITEBACK_NS;
}

/*
 * When the change was that is seen now for the first time. A file's ctime tells,
 * unless a clock was set since the last look, or it is in the future.
 */
static int64_t time_of_change(struct disk *disk, const struct signs *signs, int64_t now_ns)
{
	int64_t real_ns = clock_now_ns(CLOCK_REALTIME), ahead_ns = real_ns - now_ns, age_ns = real_ns - signs->ctime_ns;
	bool stepped = llabs(ahead_ns - disk->real_ahead_ns) > CLOCK_STEP_NS;

	disk->real_ahead_ns = ahead_ns;
	if (disk->kind != DISK_FILE || stepped || age_ns < 0 || signs->ctime_ns == disk->signs.ctime_ns)
		return now_ns;
	return now_ns - age_ns;
}

int disk_signs_observe(struct cache_device *device, bool may_block, int64_t since_ns, struct cache_observation *out)
{
	struct disk *disk = disk_of(device);
	struct signs signs;
	int64_t start_ns = clock_now_ns(CLOCK_MONOTONIC), looked_ns = start_ns, now_ns;
	int believable, watched = 0;
	bool writeback;

	/* Asking a server on the network may take as long as it likes. */
	if (disk->kind == DISK_NOTHING && !may_block)
		return -EAGAIN;
	atomic_store(&disk->looked_ns, start_ns);
	/* What began behind this line is a look for it in any case. */
	if (since_ns > start_ns)
		since_ns = start_ns;
	/* Without the lock, under which others look: it may have to be asked for. */
	if (disk->target)
		watched = watch_wake(disk->watch, disk->target, disk->fd, may_block, disk->is_block, since_ns);
	if (watched != 0 && !may_block)
		return -EAGAIN;

	LOCK_SCOPE(&disk->lock);
	if (disk->ahead)
		looked_ns = ahead_begin(disk->ahead, disk->observed_ns);
	believable = look(disk, since_ns, &signs);
	/* What was prepared is of the size that the device had before. */
	if (disk->ahead && signs.size_bytes != disk->signs.size_bytes)
		looked_ns = ahead_begin(disk->ahead, INT64_MAX);
	/* No watch left: nothing is believed as long as there is none. */
	if (watched != 0 && believable > 0)
		believable = 0;
	if (believable < 0)
		return believable;
	now_ns = clock_now_ns(CLOCK_MONOTONIC);
	writeback = is_writeback(disk, &signs, now_ns);
	if (signs.events != disk->signs.events)
		disk->event_ns = now_ns;
	if (memcmp(&signs, &disk->signs, sizeof(signs)) != 0) {
		int64_t changed_ns = time_of_change(disk, &signs, now_ns);

		disk->signs = signs;
		if (!writeback)
			disk->changed_ns = changed_ns;
		disk->generation++;
	} else if (!believable || !disk->believable) {
		/* What was read under unsettled signs may be older than a write they show already. */
		disk->generation++;
	}
	disk->believable = believable;
	if (disk->is_block && !believable && disk->stat_fd >= 0 && !writeback)
		disk->changed_ns = now_ns;
	atomic_store(&disk->size_bytes, signs.size_bytes);
	/* What is read now may have been read then: nothing is the older for it. */
	if (disk->ahead)
		now_ns = looked_ns;
	disk->observed_ns = now_ns;
	atomic_store(&disk->device.slow, disk->ahead && ahead_is_slow(disk->ahead));
	*out = (struct cache_observation){
		.generation = disk->generation,
		.size_bytes = signs.size_bytes,
		.quiet_ns = now_ns - disk->changed_ns,
		.now_ns = now_ns,
		.looked_ns = disk->target ? since_ns : looked_ns,
		.steady = believable > 0,
		.blind = disk->kind == DISK_NOTHING,
		.signless = disk->kind == DISK_NOTHING && disk->is_block,
		.stamp_ns = signs.ctime_ns,
	};
	return 0;
}

void disk_signs_first_look(struct disk *disk)
{
	int64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);
	int believable = look(disk, CACHE_LOOK_ANEW, &disk->signs);

	disk->generation = 1;
	disk->real_ahead_ns = clock_now_ns(CLOCK_REALTIME) - now_ns;
	disk->changed_ns = now_ns;
	if (believable >= 0 && !disk->is_block) {
		int64_t age_ns = clock_now_ns(CLOCK_REALTIME) - disk->signs.ctime_ns;

		if (age_ns > 0)
			disk->changed_ns -= age_ns;
	}
	atomic_store(&disk->size_bytes, disk->signs.size_bytes);
}
