/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/disk_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "cache/device/ahead.h"
#include "cache/device/buffer.h"
#include "cache/device/clone.h"
#include "cache/device/disk_state.h"
#include "cache/device/opener.h"
#include "cache/device/page_cache.h"
#include "cache/device/ring.h"

/* A small file is compared with each open where nothing is believed: with all else that is read then. */
#define AHEAD_DATA_BYTES ((uint64_t)64 << 10)

/* ---- through the page cache ---------------------------------------------- */

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

/* ---- by O_DIRECT --------------------------------------------------------------- */

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

/* ---- what was asked for -------------------------------------------------------- */

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

int disk_bytes_prepare(struct cache_device *device, int64_t since_ns, int64_t until_ns)
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
int disk_bytes_read_blocks(struct cache_device *device, bool may_block, uint64_t offset_bytes, void *buffer,
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
int disk_bytes_read_pieces(struct cache_device *device, struct cache_piece *pieces, size_t count)
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
void disk_bytes_will_need(struct cache_device *device, uint64_t offset_bytes, uint64_t length_bytes)
{
	struct disk *disk = disk_of(device);

	if (disk->kind != DISK_FILE || disk->in_memory || clone_follows(disk->clone))
		return;
	if (posix_fadvise(disk->fd, (off_t)offset_bytes, (off_t)length_bytes, POSIX_FADV_WILLNEED) == 0)
		hints_add(&disk->hints, &(struct cache_range){ offset_bytes, length_bytes });
}
