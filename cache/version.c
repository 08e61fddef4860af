/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * version: one file's entry, chain and bytes as they were together at one time.
 *
 * What it is made of
 *   The entry is constant: another entry is another version (dir.c). The chain
 *   is constant once it was read: if the same entry has another chain, that is
 *   another version too. The bytes are known by the hashes of the chunks that
 *   were ever read for somebody; a chunk nobody saw is whatever the image holds
 *   the first time somebody looks, as long as all that was seen is still there.
 *   So a version is exactly what its readers saw, and it stands as long as the
 *   image holds all of that at once; reading further is then reading the same
 *   thing. The first difference ends it.
 *
 * How its bytes are read
 *   On a steady device, straight from the image; the generation after the read
 *   says whether they are the version's. Small files are read whole at the first
 *   read and kept while they are open, and so is any file that is read while its
 *   image is being written: what was validated stays readable, whatever the
 *   writer does to its clusters. What is gone before that answers -ESTALE.
 *
 * What is not here: waiting (the caller repeats), and any reading of the future:
 * an update that stops half way and leaves a sound file is that file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "cache/buffer.h"
#include "cache/hash.h"
#include "cache/tree.h"

/* One step of reading a whole file. A multiple of CHUNK_BYTES. */
#define STEP_BYTES ((uint64_t)1 << 20)
#define RETRY_BUSY_NS (2 * INT64_C(1000000))

/* So far ahead of a reading under way it is waited for; beyond, reading twice is quicker. */
#define FILLING_AHEAD_BYTES ((uint64_t)16 << 20)

/* ---- life ---------------------------------------------------------------- */

int version_new(struct cache_dir *dir, const struct fat_entry *entry, struct cache_version **out)
{
	struct cache_version *version = calloc(1, sizeof(*version));

	if (!version)
		return -ENOMEM;
	version->node.is_version = true;
	version->image = dir->image;
	version->dir = dir;
	version->id = cache_next_id();
	version->entry = *entry;
	version->entry.name = version->entry.short_name = NULL;
	version->fat = dir->volume->fat;
	version->volume_offset_bytes = dir->volume->entry.offset_bytes;
	*out = version;
	return 0;
}

static void version_free(struct cache_version *version)
{
	kept_unref(version->kept);
	footprint_clear(&version->chain_belief.footprint);
	fat_extents_free(&version->extents);
	free(version->hashes);
	free(version->known);
	free(version);
}

void version_detach(struct cache_version *version)
{
	version->detached = true;
	version->dir = NULL;
	if (node_idle(&version->node))
		version_free(version);
}

/* Openers or users went: what was kept for them goes, and the version if nothing holds it. */
void version_look(struct cache_version *version)
{
	if (atomic_load(&version->opens) == 0 && version->kept && !version->keeping) {
		kept_unref(version->kept);
		version->kept = NULL;
	}
	if (!node_idle(&version->node))
		return;
	if (version->detached)
		version_free(version);
	else
		image_count_idle(version->image);
}

void cache_version_put(struct cache_version *version)
{
	node_put(version->image, &version->node);
}

void cache_version_close(struct cache_version *version)
{
	if (atomic_fetch_sub(&version->opens, 1) == 1)
		node_look_later(version->image, &version->node);
}

void cache_version_attributes(const struct cache_version *version, struct cache_attributes *attributes)
{
	*attributes = (struct cache_attributes){
		.id = version->id,
		.size_bytes = version->entry.size_bytes,
		.cluster_bytes = version->fat.cluster_bytes,
		.cluster_count = version->fat.cluster_count,
		.fat_attributes = version->entry.attributes,
		.times = fat_entry_times(&version->entry, 0),
	};
}

/* It is no longer what the image holds: the next lookup of its name makes another. */
static int version_supersede(struct cache_version *version)
{
	if (version->dir)
		dir_drop_version(version->dir, version);
	return -ESTALE;
}

/* ---- chain --------------------------------------------------------------- */

static int chain_parse(void *owner, struct source *source, void **result)
{
	struct cache_version *version = owner;
	struct source_slice slice = source_slice_of(source, version->volume_offset_bytes,
						    source->size_bytes - version->volume_offset_bytes);
	struct fat_extents *extents = calloc(1, sizeof(*extents));
	int error;

	if (!extents)
		return -ENOMEM;
	error = fat_extents_of_file(&version->fat, &slice.source, version->entry.first_cluster,
				    version->entry.size_bytes, extents);
	if (error != 0) {
		free(extents);
		return error;
	}
	*result = extents;
	return 0;
}

/* The first chain is adopted; a different one later leaves `extents` as it is, and is told by since_ns. */
static bool chain_commit(void *owner, void *result)
{
	struct cache_version *version = owner;
	struct fat_extents *extents = result;
	bool first = version->extents.count == 0, changed = !first && !fat_extents_equal(&version->extents, extents);

	if (first)
		version->extents = *extents;
	else
		fat_extents_free(extents);
	free(extents);
	if (changed)
		version_supersede(version);
	return first || changed;
}

static void chain_discard(void *result)
{
	fat_extents_free(result);
	free(result);
}

static const struct belief_kind chain_kind = { chain_parse, chain_commit, chain_discard };

static int version_refresh_once(struct cache_version *version, struct cache_op *op)
{
	int error;

	if (version->detached)
		return -ESTALE;
	error = dir_refresh(version->dir, op);
	if (version->detached)
		return -ESTALE;
	if (error != 0)
		return error;
	if (version->volume_offset_bytes > version->image->seen.size_bytes)
		return -EIO;
	error = belief_refresh(version->image, op, &version->chain_belief, &chain_kind, version);
	return version->detached ? -ESTALE : error;
}

/* Entry and chain, both as of the generation seen. -ESTALE when the version is not the image's any more. */
static int version_refresh(struct cache_version *version, struct cache_op *op)
{
	struct cache_image *image = version->image;

	for (int try = 0; try < REFRESH_TRIES; try++) {
		uint64_t generation = image->seen.generation;
		int error = version_refresh_once(version, op);

		if (error != 0 || image->seen.generation == generation)
			return error;
	}
	op->retry_ns = RETRY_SOON_NS;
	return -EINPROGRESS;
}

/* ---- chunks -------------------------------------------------------------- */

static uint64_t chunk_count(const struct cache_version *version)
{
	return (version->entry.size_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES;
}

static struct chunk_hash hash_chunk(const unsigned char *data, size_t length_bytes)
{
	XXH128_hash_t hash = XXH3_128bits(data, length_bytes);

	return (struct chunk_hash){ hash.low64, hash.high64 };
}

static bool chunk_known(const struct cache_version *version, uint64_t chunk)
{
	return version->known && (version->known[chunk / 8] & (1U << chunk % 8));
}

static bool chunk_equal(const struct cache_version *version, uint64_t chunk, const struct chunk_hash *hash)
{
	return version->hashes[chunk].low == hash->low && version->hashes[chunk].high == hash->high;
}

static int chunks_allocate(struct cache_version *version)
{
	uint64_t count = chunk_count(version);

	if (version->hashes)
		return 0;
	version->hashes = calloc(count, sizeof(*version->hashes));
	version->known = calloc((count + 7) / 8, 1);
	if (version->hashes && version->known)
		return 0;
	free(version->hashes);
	free(version->known);
	version->hashes = NULL;
	version->known = NULL;
	return -ENOMEM;
}

static void chunk_remember(struct cache_version *version, uint64_t chunk, const struct chunk_hash *hash)
{
	if (!chunk_known(version, chunk))
		version->known_count++;
	version->known[chunk / 8] |= (unsigned char)(1U << chunk % 8);
	version->hashes[chunk] = *hash;
}

/* ---- bytes of the image -------------------------------------------------- */

/* The run at `offset_bytes` of the file: where it is in the image, and how far it goes. */
static int map_run(const struct cache_version *version, uint64_t offset_bytes, struct fat_cursor *cursor,
		   uint64_t *image_bytes, uint64_t *run_bytes)
{
	uint64_t volume_bytes;

	if (!fat_extents_map(&version->fat, &version->extents, offset_bytes, cursor, &volume_bytes, run_bytes) ||
	    !add_u64(version->volume_offset_bytes, volume_bytes, image_bytes))
		return -EIO;
	return 0;
}

/*
 * Read a range of the file, without the lock: extents, geometry and offset of a
 * version never change. `buffer` is aligned and has
 * cache_device_buffer_bytes(length_bytes). One run of clusters is read where it
 * is to be used; several are gathered.
 */
static int read_range(const struct cache_version *version, struct fat_cursor *cursor, uint64_t offset_bytes,
		      size_t length_bytes, void *buffer, unsigned char **bytes)
{
	struct cache_device *device = version->image->device;
	uint64_t image_bytes, run_bytes;
	size_t part_buffer_bytes = cache_device_buffer_bytes(length_bytes), done = 0;
	void *part_buffer;
	int error = map_run(version, offset_bytes, cursor, &image_bytes, &run_bytes);

	if (error != 0)
		return error;
	if (run_bytes >= length_bytes)
		return device->ops->read_data(device, image_bytes, length_bytes, buffer, bytes);
	part_buffer = cache_buffer_get(part_buffer_bytes);
	if (!part_buffer)
		return -ENOMEM;
	*bytes = buffer;
	/* Each turn copies one run of at least one byte. */
	while (error == 0 && done < length_bytes) {
		unsigned char *part;
		size_t want;

		error = map_run(version, offset_bytes + done, cursor, &image_bytes, &run_bytes);
		if (error != 0)
			break;
		want = (size_t)min_u64(run_bytes, length_bytes - done);
		error = device->ops->read_data(device, image_bytes, want, part_buffer, &part);
		if (error == 0)
			memcpy((unsigned char *)buffer + done, part, want);
		done += want;
	}
	cache_buffer_put(part_buffer, part_buffer_bytes);
	return error;
}

/* ---- the whole content --------------------------------------------------- */

/*
 * One reading of the whole file: a hash of each chunk, and the bytes if they are
 * to be kept. `filled_bytes` only grows, and what is below it does not change
 * any more, so that others may be served from it while the rest comes in.
 */
struct reading {
	struct chunk_hash *hashes;
	struct kept *kept;
	struct fat_cursor cursor;
	uint64_t generation; /* under which it began */
	_Atomic uint64_t filled_bytes;
};

static int read_step(const struct cache_version *version, uint64_t offset_bytes, size_t length_bytes, void *buffer,
		     struct reading *reading)
{
	unsigned char *bytes;
	int error = read_range(version, &reading->cursor, offset_bytes, length_bytes, buffer, &bytes);

	for (size_t at = 0; error == 0 && at < length_bytes; at += CHUNK_BYTES) {
		size_t part = (size_t)min_u64(CHUNK_BYTES, length_bytes - at);

		reading->hashes[(offset_bytes + at) / CHUNK_BYTES] = hash_chunk(bytes + at, part);
	}
	if (error == 0 && reading->kept)
		error = kept_write(reading->kept, offset_bytes, bytes, length_bytes);
	if (error == 0)
		atomic_store(&reading->filled_bytes, offset_bytes + length_bytes);
	return error;
}

/* Without the lock. */
static int read_whole(const struct cache_version *version, struct reading *reading)
{
	uint64_t size_bytes = version->entry.size_bytes;
	size_t buffer_bytes = cache_device_buffer_bytes((size_t)min_u64(size_bytes, STEP_BYTES));
	void *buffer = cache_buffer_get(buffer_bytes);
	int error = buffer ? 0 : -ENOMEM;

	for (uint64_t at = 0; error == 0 && at < size_bytes; at += STEP_BYTES)
		error = read_step(version, at, (size_t)min_u64(STEP_BYTES, size_bytes - at), buffer, reading);
	cache_buffer_put(buffer, buffer_bytes);
	return error;
}

static void reading_free(struct reading *reading)
{
	free(reading->hashes);
	kept_unref(reading->kept);
	reading->hashes = NULL;
	reading->kept = NULL;
}

static int reading_new(const struct cache_version *version, bool keep, struct reading *reading)
{
	*reading = (struct reading){ .hashes = calloc(chunk_count(version), sizeof(*reading->hashes)) };
	if (!reading->hashes)
		return -ENOMEM;
	if (!keep)
		return 0;
	return kept_new(version->image->cache->budget, version->entry.size_bytes, &reading->kept);
}

/* Read the file with the lock let go, then observe, and look at entry and chain again. */
static int read_unlocked(struct cache_version *version, struct cache_op *op, struct reading *reading)
{
	struct cache_image *image = version->image;
	uint64_t generation = image->seen.generation;
	int error, again;

	reading->generation = generation;
	image_leave(image);
	error = read_whole(version, reading);
	pthread_mutex_lock(&image->lock);
	again = image_observe(image, op);
	if (again == 0 && image->seen.generation != generation)
		again = version_refresh(version, op);
	/* That the version is gone, or in flux, explains a failed read better than the failure. */
	return again != 0 ? again : error;
}

/* Does the reading hold what is known of the version? Unknown chunks fit anything. */
static bool reading_matches(const struct cache_version *version, const struct reading *reading)
{
	uint64_t count = chunk_count(version);

	for (uint64_t chunk = 0; chunk < count; chunk++)
		if (chunk_known(version, chunk) && !chunk_equal(version, chunk, &reading->hashes[chunk]))
			return false;
	return true;
}

/* Note the unknown chunks, without knowing them yet: are they what the reading before this one noted? */
static bool reading_repeats(struct cache_version *version, const struct reading *reading)
{
	uint64_t count = chunk_count(version);
	bool same = true;

	for (uint64_t chunk = 0; chunk < count; chunk++) {
		if (chunk_equal(version, chunk, &reading->hashes[chunk]))
			continue;
		version->hashes[chunk] = reading->hashes[chunk];
		same = false;
	}
	return same;
}

/* Make the reading what is known of the version. */
static void reading_adopt(struct cache_version *version, const struct reading *reading)
{
	uint64_t count = chunk_count(version);

	for (uint64_t chunk = 0; chunk < count; chunk++)
		chunk_remember(version, chunk, &reading->hashes[chunk]);
	/* Not a newer one: what came with that may have overwritten what was read before it. */
	version->data_checked = reading->generation;
}

/* What was noted has to last, or the image to become quiet. */
static int wait_for_unknown(const struct cache_version *version, struct cache_op *op, int64_t start_ns)
{
	struct cache_image *image = version->image;

	if (image_settled(image, op, version->since_ns))
		op->retry_ns = RETRY_BUSY_NS;
	/* Patience is for writers: the time our own reading takes does not count. */
	op->busy = image->seen.now_ns - start_ns > image->cache->settings.flux_ns / 8;
	return -EINPROGRESS;
}

/* A quiet image whose device cannot say that nothing changed during a reading: a second one must be equal. */
static int read_twice(struct cache_version *version, struct cache_op *op)
{
	int64_t start_ns = version->image->seen.now_ns;
	struct reading second;
	int error = reading_new(version, false, &second);

	if (error == 0)
		error = read_unlocked(version, op, &second);
	if (error == 0 && !reading_matches(version, &second))
		error = version_supersede(version);
	if (error == 0 && !reading_repeats(version, &second))
		error = wait_for_unknown(version, op, start_ns);
	reading_free(&second);
	return error;
}

/*
 * Is a reading that began at `start_ns` under `generation` to be believed where
 * it shows chunks that nobody knows yet? If the image is quiet and the reading of
 * one moment, or if it repeats one that ended long before it began. The time that
 * a reading takes is no such time: a writer can overtake it.
 */
static int settle_unknown(struct cache_version *version, struct cache_op *op, const struct reading *reading,
			  uint64_t generation, int64_t start_ns)
{
	struct cache_image *image = version->image;
	int64_t flux_ns = image->cache->settings.flux_ns;

	if (!reading_repeats(version, reading))
		version->since_ns = image->seen.now_ns;
	else if (start_ns - version->since_ns >= LASTING_FLUX_TIMES * flux_ns)
		return 0;
	if (image->seen.quiet_ns < flux_ns)
		return wait_for_unknown(version, op, start_ns);
	return image->seen.generation == generation ? 0 : read_twice(version, op);
}

/*
 * Read the version whole and hold it against what is known of it. A known chunk
 * that differs ends the version; equal ones need no second look, whenever they
 * were read. Of an unknown one nobody has seen a byte, so other bytes are no
 * contradiction, only a sign that the writer is still at it: what is new must
 * last. Entry and chain were looked at before, and are again after each reading.
 */
static int version_validate(struct cache_version *version, struct cache_op *op, struct reading *reading)
{
	struct cache_image *image = version->image;
	uint64_t generation = image->seen.generation;
	int64_t start_ns = image->seen.now_ns;
	int error = read_unlocked(version, op, reading);

	if (error == 0)
		error = chunks_allocate(version);
	if (error == 0 && !reading_matches(version, reading))
		error = version_supersede(version);
	if (error == 0 && version->known_count < chunk_count(version))
		error = settle_unknown(version, op, reading, generation, start_ns);
	if (error == 0)
		reading_adopt(version, reading);
	return error;
}

/* The same, once at a time for each version; the content stays with it if wanted. */
static int version_keep(struct cache_version *version, struct cache_op *op, bool keep)
{
	struct reading reading;
	int error;

	if (!op->may_block)
		return -EAGAIN;
	if (version->keeping) {
		op->retry_ns = RETRY_BUSY_NS;
		op->busy = true;
		return -EINPROGRESS;
	}
	error = reading_new(version, keep, &reading);
	if (error != 0) {
		reading_free(&reading);
		return error;
	}
	version->keeping = true;
	version->filling = &reading;
	error = version_validate(version, op, &reading);
	version->filling = NULL;
	version->keeping = false;
	if (error == 0 && reading.kept && !version->kept) {
		version->kept = reading.kept;
		reading.kept = NULL;
	}
	reading_free(&reading);
	return error;
}

/* ---- open ---------------------------------------------------------------- */

static int open_locked(struct cache_version *version, struct cache_op *op)
{
	struct cache_image *image = version->image;
	int error = version_refresh(version, op);

	if (error != 0)
		return error;
	if (version->entry.size_bytes == 0 || version->data_checked == image->seen.generation)
		return 0;
	/* Nothing handed out, nothing moving: the bytes can come when they are asked for. */
	if (image->seen.steady && version->known_count == 0 && image_settled(image, op, image->seen.now_ns)) {
		version->data_checked = image->seen.generation;
		return 0;
	}
	return version_keep(version, op, true);
}

int cache_version_open(struct cache_version *version, struct cache_op *op)
{
	int error = image_enter(version->image, op);

	if (error != 0)
		return error;
	/* Counted first, so that what is kept on the way stays. */
	atomic_fetch_add(&version->opens, 1);
	error = open_locked(version, op);
	image_leave(version->image);
	if (error != 0)
		cache_version_close(version);
	return error;
}

/* ---- read ---------------------------------------------------------------- */

void cache_bytes_release(struct cache_bytes *bytes)
{
	cache_buffer_put(bytes->owner, bytes->owner_bytes);
	kept_unref(bytes->kept);
	*bytes = (struct cache_bytes){ 0 };
}

static int bytes_allocate(struct cache_bytes *bytes, size_t length_bytes)
{
	bytes->owner_bytes = cache_device_buffer_bytes(length_bytes);
	bytes->owner = cache_buffer_get(bytes->owner_bytes);
	return bytes->owner ? 0 : -ENOMEM;
}

/* From what is kept; takes over the reference to it. */
static int read_kept(struct kept *kept, struct cache_op *op, uint64_t offset_bytes, size_t length_bytes,
		     struct cache_bytes *bytes)
{
	int error;

	bytes->kept = kept;
	bytes->length_bytes = length_bytes;
	bytes->data = kept_memory(kept, offset_bytes);
	if (bytes->data)
		return 0;
	if (!op->may_block)
		return -EAGAIN;
	error = bytes_allocate(bytes, length_bytes);
	if (error != 0)
		return error;
	bytes->data = bytes->owner;
	return kept_read(kept, offset_bytes, bytes->owner, length_bytes);
}

/* A range widened to whole chunks. */
struct span {
	uint64_t offset_bytes;
	size_t length_bytes;
};

static struct span widen(const struct cache_version *version, uint64_t offset_bytes, size_t length_bytes)
{
	uint64_t start = offset_bytes / CHUNK_BYTES * CHUNK_BYTES;
	uint64_t end = (offset_bytes + length_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES * CHUNK_BYTES;

	end = min_u64(end, version->entry.size_bytes);
	return (struct span){ start, (size_t)(end - start) };
}

enum span_verdict {
	SPAN_KNOWN, /* every chunk is known, and what was read is what it was */
	SPAN_NEW,   /* the same, but for chunks that are not known */
	SPAN_OTHER, /* a known chunk differs */
};

static enum span_verdict span_judge(const struct cache_version *version, const struct span *span,
				    const struct chunk_hash *hashes)
{
	enum span_verdict verdict = SPAN_KNOWN;

	for (size_t at = 0; at < span->length_bytes; at += CHUNK_BYTES) {
		uint64_t chunk = (span->offset_bytes + at) / CHUNK_BYTES;

		if (!chunk_known(version, chunk))
			verdict = SPAN_NEW;
		else if (!chunk_equal(version, chunk, &hashes[at / CHUNK_BYTES]))
			return SPAN_OTHER;
	}
	return verdict;
}

static int span_remember(struct cache_version *version, const struct span *span, const struct chunk_hash *hashes)
{
	int error = chunks_allocate(version);

	for (size_t at = 0; error == 0 && at < span->length_bytes; at += CHUNK_BYTES)
		chunk_remember(version, (span->offset_bytes + at) / CHUNK_BYTES, &hashes[at / CHUNK_BYTES]);
	return error;
}

/*
 * Straight from the image. 0: the bytes are the version's, known by their hashes
 * or by a generation that stands; 1: that cannot be said, the slow way must tell.
 */
static int read_straight(struct cache_version *version, struct cache_op *op, const struct span *span,
			 struct cache_bytes *bytes)
{
	struct cache_image *image = version->image;
	struct fat_cursor cursor = { 0 };
	struct chunk_hash *hashes = calloc(span->length_bytes / CHUNK_BYTES + 1, sizeof(*hashes));
	enum span_verdict verdict = SPAN_OTHER;
	unsigned char *data;
	int error = hashes ? bytes_allocate(bytes, span->length_bytes) : -ENOMEM;

	image_leave(image);
	if (error == 0)
		error = read_range(version, &cursor, span->offset_bytes, span->length_bytes, bytes->owner, &data);
	for (size_t at = 0; error == 0 && at < span->length_bytes; at += CHUNK_BYTES)
		hashes[at / CHUNK_BYTES] = hash_chunk(data + at, (size_t)min_u64(CHUNK_BYTES, span->length_bytes - at));
	pthread_mutex_lock(&image->lock);
	if (error == 0) {
		bytes->data = data;
		error = image_observe(image, op);
	}
	if (error == 0)
		verdict = span_judge(version, span, hashes);
	if (error == 0 && verdict == SPAN_NEW && !version->detached && version->data_checked == image->seen.generation)
		error = span_remember(version, span, hashes);
	else if (error == 0 && verdict != SPAN_KNOWN)
		error = 1;
	free(hashes);
	if (error == -EIO)
		return 1;
	return error;
}

/* Read everything, keep it, and serve from that; or learn that the version is gone. */
static int read_by_keeping(struct cache_version *version, struct cache_op *op, uint64_t offset_bytes,
			   size_t length_bytes, struct cache_bytes *bytes)
{
	int error = version_refresh(version, op);

	if (error == 0 && !version->kept)
		error = version_keep(version, op, true);
	if (error != 0)
		return error;
	return read_kept(kept_ref(version->kept), op, offset_bytes, length_bytes, bytes);
}

/*
 * From a reading of the whole that is under way in another thread: its bytes are
 * the version's as long as the generation stands that it began under, and that
 * the version was checked under. 0, 1: not to be had there, -EINPROGRESS: it will be in a moment.
 */
static int read_filling(struct cache_version *version, struct cache_op *op, const struct span *span,
			uint64_t offset_bytes, size_t length_bytes, struct cache_bytes *bytes)
{
	struct reading *reading = version->filling;
	const struct chunk_hash *hashes;
	uint64_t filled_bytes;
	int error;

	if (!reading || !reading->kept || version->detached ||
	    version->data_checked != version->image->seen.generation ||
	    reading->generation != version->image->seen.generation)
		return 1;
	filled_bytes = atomic_load(&reading->filled_bytes);
	if (span->offset_bytes + span->length_bytes > filled_bytes) {
		op->retry_ns = RETRY_SOON_NS / 5;
		op->busy = true;
		return span->offset_bytes < filled_bytes + FILLING_AHEAD_BYTES ? -EINPROGRESS : 1;
	}
	hashes = reading->hashes + span->offset_bytes / CHUNK_BYTES;
	if (span_judge(version, span, hashes) == SPAN_OTHER)
		return 1;
	error = span_remember(version, span, hashes);
	return error != 0 ? error : read_kept(kept_ref(reading->kept), op, offset_bytes, length_bytes, bytes);
}

/*
 * Is the version to be kept, though nothing is wrong with its image? Yes if it is
 * small, there is more to it than this read, and not all of it was read before.
 */
static bool worth_keeping(const struct cache_version *version, size_t length_bytes)
{
	return version->entry.size_bytes <= version->image->cache->settings.keep_limit_bytes &&
	       length_bytes < version->entry.size_bytes && !version->detached && !version->keeping &&
	       version->known_count < chunk_count(version);
}

static int read_locked(struct cache_version *version, struct cache_op *op, uint64_t offset_bytes,
		       size_t length_bytes, struct cache_bytes *bytes)
{
	struct span span = widen(version, offset_bytes, length_bytes);
	int result;

	if (version->kept)
		return read_kept(kept_ref(version->kept), op, offset_bytes, length_bytes, bytes);
	if (!op->may_block)
		return -EAGAIN;
	result = read_filling(version, op, &span, offset_bytes, length_bytes, bytes);
	if (result != 1)
		return result;
	if (worth_keeping(version, length_bytes)) {
		op->keep_wanted = true;
		if (!op->keep_later) {
			result = read_by_keeping(version, op, offset_bytes, length_bytes, bytes);
			if (result != -ESTALE)
				return result;
		}
	}
	/* Without a chain nothing was ever handed out, and nothing can be read. */
	if (version->extents.count == 0)
		return version->detached ? -ESTALE : -EIO;
	result = read_straight(version, op, &span, bytes);
	if (result == 0) {
		bytes->data += offset_bytes - span.offset_bytes;
		bytes->length_bytes = length_bytes;
	}
	if (result != 1)
		return result;
	cache_bytes_release(bytes);
	return read_by_keeping(version, op, offset_bytes, length_bytes, bytes);
}

int cache_version_keep(struct cache_version *version, struct cache_op *op)
{
	int error = image_enter(version->image, op);

	if (error != 0)
		return error;
	error = version_refresh(version, op);
	if (error == 0 && !version->kept && !version->keeping && atomic_load(&version->opens) > 0)
		error = version_keep(version, op, true);
	image_leave(version->image);
	return error;
}

int cache_version_read(struct cache_version *version, struct cache_op *op, uint64_t offset_bytes, size_t length_bytes,
		       struct cache_bytes *bytes)
{
	int error;

	*bytes = (struct cache_bytes){ 0 };
	if (offset_bytes >= version->entry.size_bytes)
		return 0;
	length_bytes = (size_t)min_u64(length_bytes, version->entry.size_bytes - offset_bytes);
	error = image_enter(version->image, op);
	if (error != 0)
		return error;
	error = read_locked(version, op, offset_bytes, length_bytes, bytes);
	image_leave(version->image);
	if (error != 0)
		cache_bytes_release(bytes);
	return error;
}
