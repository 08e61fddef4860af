/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/statx.h"
#include "base/waits.h"
#include "cache/device/ahead.h"
#include "cache/device/buffer.h"
#include "cache/device/clone.h"
#include "cache/device/hints.h"
#include "cache/device/opener.h"
#include "cache/device/page_cache.h"
#include "cache/device/ring.h"
#include "cache/device/watch.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

enum disk_kind {
	DISK_FILE,
	DISK_BLOCK,
	DISK_NOTHING,
};

/* What is looked at to see a change. Equal signs, no change known. */
struct signs {
	uint64_t events;
	uint64_t size_bytes;
	int64_t ctime_ns;
	uint64_t counters[6]; /* block: writes, sectors written, discards, sectors discarded, flushes, diskseq */
};

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

static struct disk *disk_of(struct cache_device *device)
{
	return (struct disk *)device;
}

/* ---- signs of change ----------------------------------------------------- */

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

/* Pages written through a device's node are written back within this time (dirty_expire and some). */
#define WRITEBACK_NS (60 * INT64_C(1000000000))

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

/* So far the two clocks may drift apart between two looks; more, and one was set. */
#define CLOCK_STEP_NS (100 * INT64_C(1000000))

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

static int disk_observe(struct cache_device *device, bool may_block, int64_t since_ns, struct cache_observation *out)
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

/*
 * How long a new disk has been quiet: a file's ctime tells; of a device nothing
 * is known yet, so it counts as changed now.
 */
static void first_look(struct disk *disk)
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

/* ---- bytes --------------------------------------------------------------- */

/* A read that must be whole: anything less is an I/O error to the reader of the mount. */
static int whole(ssize_t got, size_t wanted)
{
	return got >= 0 && (size_t)got >= wanted ? 0 : -EIO;
}

static ssize_t read_buffered(struct disk *disk, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	/* No direct reads here and not our own page cache either: drop what may be stale. */
	if (disk->kind != DISK_FILE)
		posix_fadvise(disk->fd, (off_t)offset_bytes, (off_t)length_bytes, POSIX_FADV_DONTNEED);
	return read_all(disk->fd, offset_bytes, buffer, length_bytes);
}

/*
 * How much of the range the page cache has, read without waiting; 0 when in doubt. A tmpfs
 * is the page cache, and refuses RWF_NOWAIT; what it swapped out is read back, as we may be.
 */
static size_t read_nowait(struct disk *disk, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	struct iovec iov = { buffer, length_bytes };
	ssize_t got;

	/* On anything but a local file the page cache may hold what is no longer true. */
	if (disk->kind != DISK_FILE)
		return 0;
	got = preadv2(disk->fd, &iov, 1, (off_t)offset_bytes, disk->in_memory ? 0 : RWF_NOWAIT);
	return got > 0 ? (size_t)got : 0;
}

/*
 * Does the page cache hold the whole range? Asked before file data is read from
 * it, because RWF_NOWAIT starts a readahead of what it misses, and the direct
 * read that follows then reads it a second time. Where the kernel does not tell,
 * the answer is no, but for what we asked for ourselves (hints.h).
 */
static bool is_in_page_cache(struct disk *disk, uint64_t offset_bytes, size_t length_bytes)
{
	if (disk->in_memory)
		return true;
	return disk->kind == DISK_FILE && (hints_cover(&disk->hints, &(struct cache_range){ offset_bytes, length_bytes }) ||
					   page_cache_holds(disk->fd, offset_bytes, length_bytes));
}

#define DIRECT_UNOPENED (-1)
#define DIRECT_NONE (-2) /* the filesystem has none */

/*
 * Most images of a large farm are listed and looked up, but not read from in a
 * long time: they cost one descriptor, and a second when they are read.
 */
static int direct_fd_of(struct disk *disk)
{
	int fd = atomic_load(&disk->direct_fd), unopened = DIRECT_UNOPENED;

	if (fd != DIRECT_UNOPENED)
		return fd;
	if (disk->silent_fd && (fd = disk->silent_fd(disk->context, disk->fd)) >= 0) {
		if (fcntl(fd, F_SETFL, O_DIRECT | O_NONBLOCK) != 0) {
			close(fd);
			fd = DIRECT_NONE;
		}
	} else {
		fd = opener_reopen(disk->fd, O_DIRECT);
		if (fd < 0)
			fd = fd == -EINVAL ? DIRECT_NONE : DIRECT_UNOPENED;
	}
	if (fd >= disk->descriptors_low && disk->descriptors_low > 0 && !disk->is_block) {
		close(fd);
		return DIRECT_UNOPENED;
	}
	if (fd == DIRECT_UNOPENED || atomic_compare_exchange_strong(&disk->direct_fd, &unopened, fd))
		return fd;
	/* Another thread was faster. */
	cleanup_close_fd(&fd);
	return unopened;
}

/* An aligned range by O_DIRECT; where the file system refuses, through the page cache. */
static ssize_t read_direct(struct disk *disk, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	int fd = direct_fd_of(disk);
	ssize_t got = fd >= 0 ? ring_read(fd, offset_bytes, buffer, length_bytes) : -EINVAL;

	if (got == -EINVAL || got == -EOPNOTSUPP)
		got = read_buffered(disk, offset_bytes, buffer, length_bytes);
	return got;
}

/* A read came back, with `result`. */
static int answered(struct disk *disk, int result)
{
	atomic_store(&disk->device.answered_ns, clock_now_ns(CLOCK_MONOTONIC));
	return result;
}

static void read_pieces(void *context, struct ring_piece *pieces, size_t count)
{
	struct disk *disk = context;
	int fd = direct_fd_of(disk);

	if (fd >= 0)
		ring_read_pieces(fd, pieces, count);
	/* Each by itself, where the filesystem refuses. */
	for (size_t i = 0; i < count; i++)
		if (fd < 0 || pieces[i].result == -EINVAL || pieces[i].result == -EOPNOTSUPP)
			pieces[i].result = read_buffered(disk, pieces[i].offset_bytes, pieces[i].buffer,
							 pieces[i].length_bytes);
	answered(disk, 0);
}

static struct ahead_source ahead_source_of(struct disk *disk)
{
	return (struct ahead_source){ read_pieces, disk, atomic_load(&disk->size_bytes) };
}

static int disk_prepare(struct cache_device *device, int64_t since_ns, int64_t until_ns)
{
	struct disk *disk = disk_of(device);
	struct ahead_source source = ahead_source_of(disk);

	return disk->ahead ? ahead_prepare(disk->ahead, &source, since_ns, until_ns) : 0;
}

static int read_blocks_direct(struct disk *disk, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	size_t aligned_bytes = cache_device_buffer_bytes(length_bytes);
	void *aligned = cache_buffer_get(aligned_bytes);
	ssize_t got;

	if (!aligned)
		return -ENOMEM;
	got = read_direct(disk, offset_bytes, aligned,
			  round_down_u64(length_bytes + CACHE_BLOCK_BYTES - 1, CACHE_BLOCK_BYTES));
	if (whole(got, length_bytes) == 0)
		memcpy(buffer, aligned, length_bytes);
	cache_buffer_put(aligned, aligned_bytes);
	return whole(got, length_bytes);
}

/*
 * A local file's metadata is read through the page cache: as coherent as
 * O_DIRECT there, a fiftieth of its time, and most of it the kernel holds
 * anyway since the server wrote it through the same cache.
 */
static int disk_read_blocks(struct cache_device *device, bool may_block, uint64_t offset_bytes, void *buffer,
			    size_t length_bytes)
{
	struct disk *disk = disk_of(device);
	struct ahead_source source = ahead_source_of(disk);

	if (!range_within(offset_bytes, length_bytes, source.size_bytes))
		return -EIO;
	/* What it misses is not to be read ahead (RWF_NOWAIT does) where another image may have it. */
	if ((!clone_is_likely(disk->clone) || is_in_page_cache(disk, offset_bytes, length_bytes)) &&
	    read_nowait(disk, offset_bytes, buffer, length_bytes) == length_bytes)
		return 0;
	if (!may_block)
		return -EAGAIN;
	if (disk->clone && clone_read(disk->clone, offset_bytes, buffer, length_bytes))
		return answered(disk, 0);
	if (disk->ahead && offset_bytes % CACHE_BLOCK_BYTES == 0 && length_bytes % CACHE_BLOCK_BYTES == 0)
		return ahead_read(disk->ahead, &source, offset_bytes, buffer, length_bytes);
	if (disk->kind == DISK_FILE)
		return answered(disk, whole(read_buffered(disk, offset_bytes, buffer, length_bytes), length_bytes));
	return answered(disk, read_blocks_direct(disk, offset_bytes, buffer, length_bytes));
}

/* A small file is compared with each open where nothing is believed: with all else that is read then. */
#define AHEAD_DATA_BYTES ((uint64_t)64 << 10)

/* What is left to be read of one piece, by O_DIRECT. */
static int left_of_piece(struct disk *disk, struct cache_piece *piece, struct ring_piece *left)
{
	struct ahead_source source = ahead_source_of(disk);
	uint64_t size_bytes = source.size_bytes;
	uint64_t start = round_down_u64(piece->offset_bytes, CACHE_BLOCK_BYTES), end;
	size_t head = (size_t)(piece->offset_bytes - start), have;

	if (!range_within(piece->offset_bytes, piece->length_bytes, size_bytes) ||
	    !round_up_u64(piece->offset_bytes + piece->length_bytes, CACHE_BLOCK_BYTES, &end))
		return -EIO;
	piece->bytes = (unsigned char *)piece->buffer + head;
	*left = (struct ring_piece){ 0 };
	if (disk->ahead && end <= size_bytes && end - start <= AHEAD_DATA_BYTES)
		return ahead_read(disk->ahead, &source, start, piece->buffer, (size_t)(end - start));
	end = min_u64(end, size_bytes);
	/*
	 * What is read of a file that is changing is read again soon, to be
	 * compared: then the page cache serves the second reading, and the
	 * server's dirty pages need not be written first.
	 */
	if (disk->kind == DISK_FILE && !atomic_load(&disk->believable))
		return answered(disk, whole(read_buffered(disk, piece->offset_bytes, piece->bytes, piece->length_bytes),
					    piece->length_bytes));
	if (is_in_page_cache(disk, start, (size_t)(end - start))) {
		have = read_nowait(disk, start, piece->buffer, (size_t)(end - start));
		if (have >= head + piece->length_bytes)
			return 0;
		/* It is being read into the page cache: sooner there than by a read of our own. */
		return answered(disk, whole(read_all(disk->fd, piece->offset_bytes, piece->bytes, piece->length_bytes),
					    piece->length_bytes));
	}
	if (disk->clone && clone_read(disk->clone, start, piece->buffer, (size_t)(end - start)))
		return answered(disk, 0);
	/* O_DIRECT wants whole blocks; what is asked for beyond the end does not come. */
	left->offset_bytes = start;
	left->buffer = piece->buffer;
	left->length_bytes = (size_t)round_down_u64(end - start + CACHE_BLOCK_BYTES - 1, CACHE_BLOCK_BYTES);
	return 0;
}

/* Does it hold the end of the piece now? */
static bool is_read(const struct cache_piece *piece, const struct ring_piece *left)
{
	const unsigned char *end = piece->bytes + piece->length_bytes;

	return whole(left->result, (size_t)(end - (unsigned char *)left->buffer)) == 0;
}

/*
 * File data: what the page cache has of it (just written by a server, it would
 * otherwise be written back first), the rest by O_DIRECT.
 */
static int disk_read_pieces(struct cache_device *device, struct cache_piece *pieces, size_t count)
{
	struct disk *disk = disk_of(device);
	struct ring_piece left[CACHE_PIECES_MAX];
	struct cache_piece *of[CACHE_PIECES_MAX];
	size_t left_count = 0;
	bool all = true;

	for (size_t i = 0; i < count; i++) {
		int error = left_of_piece(disk, &pieces[i], &left[left_count]);

		if (error != 0)
			return error;
		if (left[left_count].length_bytes > 0)
			of[left_count++] = &pieces[i];
	}
	if (left_count == 0)
		return 0;
	/* A large one is split. */
	if (left_count == 1)
		left[0].result = read_direct(disk, left[0].offset_bytes, left[0].buffer, left[0].length_bytes);
	else
		read_pieces(disk, left, left_count);
	for (size_t i = 0; i < left_count; i++)
		all = all && is_read(of[i], &left[i]);
	return answered(disk, all ? 0 : -EIO);
}

/* Where the page cache is the file: a local file's. */
static void disk_will_need(struct cache_device *device, uint64_t offset_bytes, uint64_t length_bytes)
{
	struct disk *disk = disk_of(device);

	if (disk->kind != DISK_FILE || disk->in_memory || clone_follows(disk->clone))
		return;
	if (posix_fadvise(disk->fd, (off_t)offset_bytes, (off_t)length_bytes, POSIX_FADV_WILLNEED) == 0)
		hints_add(&disk->hints, &(struct cache_range){ offset_bytes, length_bytes });
}

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
	.observe = disk_observe,
	.prepare = disk_prepare,
	.read_blocks = disk_read_blocks,
	.read_pieces = disk_read_pieces,
	.will_need = disk_will_need,
	.describe = disk_describe,
	.rest = disk_rest,
	.close = disk_close,
};

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
	first_look(disk);
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
