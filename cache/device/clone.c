/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/clone.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/statx.h"
#include "base/waits.h"
#include "cache/device/clone_map.h"
#include "cache/device/page_cache.h"
#include "cache/device/ring.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

enum sharing {
	SHARING_UNKNOWN,
	SHARING_NONE,
	SHARING_SOME,
};

struct clone {
	int fd;		      /* constant */
	dev_t device;	      /* constant: of the filesystem (of btrfs: of the subvolume) */
	int64_t ctime_lag_ns; /* constant */
	unsigned users;	      /* the table's lock: its owner, and who reads from it */

	_Atomic enum sharing sharing;		  /* as last asked, */
	_Atomic int64_t asked_ctime_ns, asked_ns; /* of the file as of that ctime; CLOCK_MONOTONIC */
	_Atomic unsigned asked_found;		  /* and as many files were known to share by then */
	_Atomic int64_t clean_ctime_ns;		  /* since this ctime there is little to be written out */
	atomic_bool follows;
	atomic_bool restless; /* it was written of late when it was last to be read through another */
};

/* ---- hints ------------------------------------------------------------------- */

/*
 * Who reads blocks through its page cache: one hint for each GRANULE_BYTES of the filesystem, 8 GiB of it in all, and for
 * each place in a file that they have. Clones have them all in the same place.
 */
#define GRANULE_BYTES ((uint64_t)1 << 20)
#define HINTS 8192

struct hint {
	struct clone *clone; /* NULL: none */
	uint64_t granule;
	uint64_t delta_bytes; /* from the address on the filesystem to the offset in the file; modulo 2^64 */
};

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER; /* held for no I/O */
static struct hint hints[HINTS];

static _Atomic unsigned found; /* files that were seen to share blocks */
static _Atomic uint64_t bytes_shared;

uint64_t clone_bytes_shared(void)
{
	return atomic_load(&bytes_shared);
}

/* What a hint says of blocks that `clone` has at that offset. */
static struct hint hint_for(struct clone *clone, const struct clone_map *map, uint64_t offset_bytes)
{
	const struct clone_run *first = clone_map_first(map);

	return (struct hint){ clone, first->physical_bytes / GRANULE_BYTES,
			      offset_bytes + first->offset_bytes - first->physical_bytes };
}

static struct hint *place_of(const struct hint *hint)
{
	return &hints[(hint->granule + (hint->delta_bytes / CACHE_BLOCK_BYTES) * 31 +
		       hint->clone->device * 127) %
		      HINTS];
}

/* Another one that is said to have these blocks there, too: a user of it. NULL: from now on `clone` is said to. */
static struct clone *find_other(struct clone *clone, const struct clone_map *map, uint64_t offset_bytes)
{
	struct hint wanted = hint_for(clone, map, offset_bytes), *hint = place_of(&wanted);

	LOCK_SCOPE(&table_lock);
	if (hint->clone && hint->clone != clone && hint->clone->device == clone->device &&
	    hint->granule == wanted.granule && hint->delta_bytes == wanted.delta_bytes) {
		hint->clone->users++;
		return hint->clone;
	}
	*hint = wanted;
	return NULL;
}

/* The other one was no good. */
static void replace_other(struct clone *clone, const struct clone_map *map, uint64_t offset_bytes)
{
	struct hint wanted = hint_for(clone, map, offset_bytes);

	LOCK_SCOPE(&table_lock);
	*place_of(&wanted) = wanted;
}

static void put(struct clone *clone)
{
	bool last;

	pthread_mutex_lock(&table_lock);
	last = --clone->users == 0;
	pthread_mutex_unlock(&table_lock);
	if (!last)
		return;
	close(clone->fd);
	free(clone);
}

/* ---- life -------------------------------------------------------------------- */

/* The addresses of a real-time device and those of the other are two spaces: of xfs, whose files are on one of them. */
static bool is_in_one_space(int fd)
{
	struct fsxattr attributes;

	return ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0 && !(attributes.fsx_xflags & FS_XFLAG_REALTIME);
}

struct clone *clone_new(int fd, int64_t ctime_lag_ns)
{
	struct statfs fs;
	struct stat st;
	struct clone *clone;

	if (fstatfs(fd, &fs) != 0 ||
	    ((uint32_t)fs.f_type != XFS_SUPER_MAGIC && (uint32_t)fs.f_type != BTRFS_SUPER_MAGIC))
		return NULL;
	if (fstat(fd, &st) != 0 || !is_in_one_space(fd))
		return NULL;
	clone = calloc(1, sizeof(*clone));
	if (!clone)
		return NULL;
	clone->fd = fd;
	clone->device = st.st_dev;
	clone->ctime_lag_ns = ctime_lag_ns;
	clone->users = 1;
	return clone;
}

void clone_close(struct clone *clone)
{
	if (!clone)
		return;
	pthread_mutex_lock(&table_lock);
	for (size_t i = 0; i < HINTS; i++)
		if (hints[i].clone == clone)
			hints[i].clone = NULL;
	pthread_mutex_unlock(&table_lock);
	put(clone);
}

/* ---- is it at rest, and does it share anything? ------------------------------- */

/* To be written out by a question, at most. */
#define DIRTY_BYTES_MAX ((uint64_t)4 << 20)

/* By then the kernel has written out what was written to a file (dirty_expire_centisecs, and some). */
#define WRITTEN_OUT_NS (60 * WAIT_S)

/* Little of it is to be written out. As long as its ctime stays so, that can only become less. */
static bool is_clean(struct clone *clone, int64_t ctime_ns, int64_t age_ns)
{
	uint64_t bytes;

	if (atomic_load(&clone->clean_ctime_ns) == ctime_ns)
		return true;
	if (page_cache_unwritten(clone->fd, &bytes) ? bytes > DIRTY_BYTES_MAX : age_ns < WRITTEN_OUT_NS)
		return false;
	atomic_store(&clone->clean_ctime_ns, ctime_ns);
	return true;
}

/* Was nothing written to it of late, as its ctime says? Takes no lock of the file's. */
static bool is_at_rest(struct clone *clone, int64_t *ctime_ns)
{
	struct statx stx;
	int64_t age_ns;

	if (statx_or_stat(clone->fd, "", AT_EMPTY_PATH, STATX_CTIME, &stx) != 0)
		return false;
	*ctime_ns = stx.stx_ctime.tv_sec * WAIT_S + stx.stx_ctime.tv_nsec;
	age_ns = clock_now_ns(CLOCK_REALTIME) - *ctime_ns;
	return age_ns >= clone->ctime_lag_ns && is_clean(clone, *ctime_ns, age_ns);
}

/* What shares nothing is asked again after this, though it did not change; or when another file was found to share. */
#define ASK_AGAIN_NS (60 * WAIT_S)

static bool is_asked(const struct clone *clone, int64_t ctime_ns)
{
	enum sharing sharing = atomic_load(&clone->sharing);

	return sharing != SHARING_UNKNOWN && atomic_load(&clone->asked_ctime_ns) == ctime_ns &&
	       (sharing == SHARING_SOME ||
		(atomic_load(&clone->asked_found) == atomic_load(&found) &&
		 clock_now_ns(CLOCK_MONOTONIC) - atomic_load(&clone->asked_ns) < ASK_AGAIN_NS));
}

/* At rest. Two threads may ask at the same time, of the same. */
static bool shares_any(struct clone *clone, int64_t ctime_ns)
{
	bool some;

	if (is_asked(clone, ctime_ns))
		return atomic_load(&clone->sharing) == SHARING_SOME;
	atomic_store(&clone->asked_found, atomic_load(&found));
	some = clone_map_shares_any(clone->fd);
	if (some && atomic_load(&clone->sharing) != SHARING_SOME) {
		atomic_fetch_add(&found, 1);
		/* What was not asked for may be what others have: nothing is read around it. */
		posix_fadvise(clone->fd, 0, 0, POSIX_FADV_RANDOM);
	}
	atomic_store(&clone->asked_ctime_ns, ctime_ns);
	atomic_store(&clone->asked_ns, clock_now_ns(CLOCK_MONOTONIC));
	atomic_store(&clone->sharing, some ? SHARING_SOME : SHARING_NONE);
	return some;
}

bool clone_is_likely(const struct clone *clone)
{
	return clone && atomic_load(&clone->sharing) != SHARING_NONE && !atomic_load(&clone->restless);
}

bool clone_follows(const struct clone *clone)
{
	return clone && atomic_load(&clone->follows);
}

/* ---- bytes ------------------------------------------------------------------- */

static bool read_range(int fd, const struct cache_range *range, void *buffer)
{
	return read_all(fd, range->offset_bytes, buffer, (size_t)range->length_bytes) ==
	       (ssize_t)range->length_bytes;
}

static bool is_mapped_so(const struct clone *clone, const struct cache_range *range,
			 const struct clone_map *wanted)
{
	struct clone_map map;
	bool shared;

	return clone_map_read(&map, clone->fd, range, &shared) == range->length_bytes && shared &&
	       clone_map_equal(&map, wanted);
}

/* Steps 2 to 5 of the header; `map` is what 1 gave. */
static bool read_from(struct clone *other, const struct clone *clone, const struct cache_range *range,
		      const struct clone_map *map, void *buffer)
{
	int64_t before_ns, after_ns;

	return is_at_rest(other, &before_ns) && is_mapped_so(other, range, map) &&
	       read_range(other->fd, range, buffer) && is_mapped_so(other, range, map) &&
	       is_at_rest(other, &after_ns) && after_ns == before_ns && is_mapped_so(clone, range, map);
}

/* All of the range is shared, in these blocks. */
static bool read_shared(struct clone *clone, const struct cache_range *range, const struct clone_map *map,
			void *buffer)
{
	struct clone *other = find_other(clone, map, range->offset_bytes);
	bool done = other && read_from(other, clone, range, map, buffer);

	atomic_store(&clone->follows, done);
	if (done)
		atomic_fetch_add(&bytes_shared, range->length_bytes);
	if (other && !done)
		replace_other(clone, map, range->offset_bytes);
	if (other)
		put(other);
	return done || read_range(clone->fd, range, buffer);
}

bool clone_read(struct clone *clone, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	struct cache_range left = { offset_bytes, length_bytes };
	struct clone_map map;
	int64_t ctime_ns;
	bool shared, rests = is_at_rest(clone, &ctime_ns), done = rests && shares_any(clone, ctime_ns);

	atomic_store(&clone->restless, !rests);
	/* Each turn takes at least a byte. */
	while (done && left.length_bytes > 0) {
		struct cache_range part = { left.offset_bytes,
					    clone_map_read(&map, clone->fd, &left, &shared) };

		/* All of it is its own: as any file is read. */
		if (part.length_bytes == 0 || (!shared && part.length_bytes == length_bytes))
			return false;
		done = shared ? read_shared(clone, &part, &map, buffer)
			      : read_range(clone->fd, &part, buffer);
		buffer = (unsigned char *)buffer + part.length_bytes;
		left.offset_bytes += part.length_bytes;
		left.length_bytes -= part.length_bytes;
	}
	return done;
}
