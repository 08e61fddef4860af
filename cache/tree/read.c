/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/read.h"

#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/waits.h"
#include "cache/device/buffer.h"
#include "cache/tree/chunk.h"
#include "cache/tree/compare.h"
#include "cache/tree/copy.h"
#include "cache/tree/open.h"
#include "cache/tree/path.h"
#include "cache/tree/read_on.h"
#include "cache/tree/settle.h"
#include "cache/tree/stream.h"

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

/* One read, under the lock and without it by turns. */
struct reading {
	struct cache_version *version;
	struct cache_op *op;
	struct span span;	   /* what was asked for, widened to whole chunks */
	struct cache_bytes *bytes; /* of the span */
	struct chunk_hash *hashes; /* of its chunks */
	struct guard *guard;	   /* a reference: the version may get another while it is read; or NULL */
	struct span next;	   /* what is to be read ahead */
};

static int come_back(struct reading *reading, int64_t retry_ns, const char *rule)
{
	reading->op->retry_ns = retry_ns;
	reading->op->rule = rule;
	return -EINPROGRESS;
}

static int come_back_soon(struct reading *reading, const char *rule)
{
	reading->op->busy = true;
	return come_back(reading, WAIT_RETRY_BUSY_NS, rule);
}

/* From a copy; takes over the reference to it. */
static int read_copy(struct kept *copy, struct cache_op *op, uint64_t offset_bytes, size_t length_bytes,
		     struct cache_bytes *bytes)
{
	int error;

	op->rule = "from a copy";
	bytes->kept = copy;
	bytes->length_bytes = length_bytes;
	bytes->data = kept_memory(copy, offset_bytes);
	if (bytes->data)
		return 0;
	if (!op->may_block)
		return -EAGAIN;
	error = bytes_allocate(bytes, length_bytes);
	if (error != 0)
		return error;
	bytes->data = bytes->owner;
	return kept_read(copy, offset_bytes, bytes->owner, length_bytes);
}

/* The span as it is in the image now, and what is behind it ahead of its turn. Without the lock. */
static int read_bytes(struct reading *reading, unsigned char **data)
{
	const struct cache_version *version = reading->version;
	struct cache_device *device = version->image->device;

	extents_will_need(version->extents, device, reading->next.offset_bytes, reading->next.length_bytes);
	return extents_read(version->extents, device, reading->span.offset_bytes, reading->span.length_bytes,
			    reading->bytes->owner, data);
}

/* Read the span with the lock let go, and observe. -EIO: that of the read, or what explains it better. */
static int read_span(struct reading *reading)
{
	struct cache_version *version = reading->version;
	struct cache_image *image = version->image;
	unsigned char *data;
	int64_t read_ns;
	int error, again;

	image_leave(image);
	error = read_bytes(reading, &data);
	if (error == 0) {
		reading->bytes->data = data;
		span_hash(&reading->span, data, reading->hashes);
	}
	read_ns = image_lock_again(image);
	again = image_observe_since(image, reading->op, read_ns);
	if (again == 0 && error != 0 && !version->detached)
		again = path_refresh_version(version, reading->op);
	return again != 0 ? again : error;
}

/* ---- guarded -------------------------------------------------------------- */

/*
 * What was read from the image, put right by the guard: chunks that were saved
 * are taken from there. Asked after the read, so that a write which came in
 * between is known. 0, -ESTALE: lost; 1: other bytes than were handed out before.
 */
static int overlay(struct reading *reading, unsigned char *data)
{
	struct cache_version *version = reading->version;
	size_t count = span_chunk_count(&reading->span);
	int error = 0;

	for (size_t i = 0; error == 0 && i < count; i++) {
		uint64_t chunk = reading->span.offset_bytes / CHUNK_BYTES + i;
		size_t length_bytes = extents_chunk_bytes(version->extents, chunk);
		enum guard_state state = guard_state(reading->guard, chunk);

		if (state == GUARD_LOST) {
			reading->op->rule = "overwritten before it could be preserved";
			return -ESTALE;
		}
		if (state == GUARD_SAVED)
			error = guard_read(reading->guard, chunk * CHUNK_BYTES, data + i * CHUNK_BYTES, length_bytes);
	}
	if (error != 0)
		return error;
	span_hash(&reading->span, data, reading->hashes);
	if (!span_agrees(version, &reading->span, reading->hashes))
		return 1;
	span_remember(version, &reading->span, reading->hashes);
	return 0;
}

/* Is what is new in it half of an update, of somebody who had begun before writers told? Since `start_ns`. */
static bool may_be_half(struct reading *reading, int64_t start_ns, uint64_t generation)
{
	struct cache_version *version = reading->version;
	struct cache_image *image = version->image;

	if (image->seen.exact || span_known(version, &reading->span) ||
	    version_must_last_ns(version, start_ns, generation) == 0)
		return false;
	if (image_settled(image, reading->op, image->seen.now_ns, &version->place.range))
		reading->op->retry_ns = WAIT_RETRY_BUSY_NS;
	return true;
}

/* Is what was handed out still the version's, where a write that was begun before it was guarded may land yet? */
static int compare_unless_exact(struct reading *reading)
{
	struct cache_version *version = reading->version;
	int error;

	if (version->detached ||
	    (version->image->seen.exact && version_untouched(version, version->image->seen.generation)))
		return 0;
	if (version->comparing)
		return come_back_soon(reading, "another reader compares it");
	version->comparing = true;
	error = read_on(version, reading->op, &reading->span, reading->guard);
	if (error == 0)
		error = compare_known(version, reading->op, COMPARE_HANDED_OUT, WAIT_COMPARE_ALL_NS);
	version->comparing = false;
	reading->op->rule = "guarded, and compared with what was handed out";
	return error;
}

static bool all_saved(const struct reading *reading)
{
	size_t count = span_chunk_count(&reading->span);

	for (size_t i = 0; i < count; i++)
		if (guard_state(reading->guard, reading->span.offset_bytes / CHUNK_BYTES + i) != GUARD_SAVED)
			return false;
	return true;
}

/* One that the version has no more is not told of writes. */
static int guard_stands(const struct reading *reading)
{
	const struct cache_version *version = reading->version;

	return version->guard == reading->guard ? write_log_guard_stands(version->image->log, version->guard) : -ENOTSUP;
}

/*
 * Of a version whose writers wait for what it needs. 1: they do not any more, or
 * did not all; what is known of its bytes must tell.
 */
static int read_guarded(struct reading *reading)
{
	struct cache_version *version = reading->version;
	struct cache_image *image = version->image;
	unsigned char *data = reading->bytes->owner;
	int64_t start_ns = image->seen.now_ns;
	uint64_t generation = image->seen.generation;
	int error, stands = guard_stands(reading);
	bool known;

	reading->op->rule = "exact: guarded";
	if (stands == 0) {
		image_leave(image);
		error = read_bytes(reading, &data);
		pthread_mutex_lock(&image->lock);
		stands = image_observe(image, reading->op);
		if (stands != 0)
			return stands;
		stands = guard_stands(reading);
		reading->bytes->data = data;
		/* A write may have grown or cut the image meanwhile: not this guard's matter, if it stands. */
		if (stands == 0 && error == 0 && may_be_half(reading, start_ns, generation))
			return come_back(reading, reading->op->retry_ns, "new content has not lasted yet");
		known = span_known(version, &reading->span);
		if (stands == 0 && error == 0)
			error = overlay(reading, data);
		/* What was handed out before mixes with nothing new. */
		if (stands == 0)
			return error != 0 || known ? error : compare_unless_exact(reading);
	}
	if (stands == -EAGAIN)
		return come_back_soon(reading, "exact: being written, or in doubt");
	/* Another open found the image the same again (open.c): what it needs is preserved there from now on. */
	if (version->guard && version->guard != reading->guard)
		return come_back_soon(reading, "guarded anew meanwhile");
	/*
	 * What was saved is the version's if it is what was handed out before. Of the rest nobody knows:
	 * who did not tell may have written it before it was saved.
	 */
	reading->bytes->data = reading->bytes->owner;
	return version->guard == reading->guard && all_saved(reading) && span_known(version, &reading->span) ?
		       overlay(reading, reading->bytes->owner) : 1;
}

/* ---- straight from the image --------------------------------------------- */

static int differs(struct reading *reading)
{
	image_differs(reading->version->image);
	reading->op->rule = "bytes that were handed out are others by now";
	return dir_supersede(reading->version);
}

static int wait_for_copy(struct reading *reading)
{
	reading->op->busy = true;
	reading->op->moves = stream_moves(reading->version);
	reading->op->flows = reading->op->moves && reading->version->growing;
	return come_back(reading, WAIT_RETRY_SLOW_NS, "it is being copied");
}

/* Where nothing tells what is written, and new content has to last, a copy helps: it reads ahead, and stays. */
static void ask_for_copy(struct reading *reading)
{
	const struct cache_version *version = reading->version;
	const struct cache_observation *seen = &version->image->seen;

	if (version_must_last_ns(version, seen->now_ns, seen->generation) != 0)
		reading->op->keep_wanted = copy_is_wanted(version);
}

/* All of it was handed out before: its hashes tell. */
static int read_known(struct reading *reading)
{
	int error;

	ask_for_copy(reading);
	error = read_span(reading);
	if (error != 0)
		return error;
	if (!span_agrees(reading->version, &reading->span, reading->hashes))
		return reading->version->kept ? come_back_soon(reading, "copied meanwhile") : differs(reading);
	reading->op->rule = "as it was handed out before";
	return 0;
}

/* Nothing moved, all that is known was seen to hold under this very generation, and it stands after the read. */
static int read_steady(struct reading *reading)
{
	struct cache_version *version = reading->version;
	const struct cache_observation *seen = &version->image->seen;
	uint64_t generation = seen->generation;
	int error = read_span(reading);

	if (error != 0)
		return error;
	if (seen->generation != generation || seen->in_flight != 0 || version->data_checked != generation)
		return come_back_soon(reading, "the image was written meanwhile");
	if (!span_agrees(version, &reading->span, reading->hashes))
		return differs(reading);
	span_remember(version, &reading->span, reading->hashes);
	version_drop_guard(version);
	reading->op->rule = "nothing changed in the image";
	return 0;
}

/* It has not lasted yet; when it may have. */
static int wait_to_last(struct reading *reading, int64_t lasted_ns, int64_t must_ns)
{
	const struct cache_version *version = reading->version;
	struct cache_op *op = reading->op;
	int64_t left_ns = must_ns - lasted_ns;

	/* The next time it is read in a quiet image from the start on. */
	if (image_settled(version->image, op, version->image->seen.now_ns, &version->place.range))
		op->retry_ns = WAIT_RETRY_BUSY_NS;
	else if (version->image->seen.blind && op->retry_ns > WAIT_LOOK_AGAIN_NS)
		op->retry_ns = WAIT_LOOK_AGAIN_NS;
	return come_back(reading, op->retry_ns < left_ns ? op->retry_ns : left_ns, "new content has not lasted yet");
}

/* Compare all that is known, for this reader and all who wait for the same. */
static int compare_for_all(struct reading *reading)
{
	struct cache_version *version = reading->version;
	uint64_t known_count = version->known_count;
	int64_t must_ns = 0;
	bool adopted;
	int error;

	version->comparing = true;
	error = read_on(version, reading->op, &reading->span, NULL);
	chunks_join(version);
	if (error == 0)
		error = compare_known(version, reading->op, COMPARE_ALL, WAIT_COMPARE_ALL_NS);
	if (error == 0)
		error = path_refresh_version(version, reading->op);
	/* What was quiet before the first of the reads must have been so until now. */
	if (error == 0)
		must_ns = version_must_last_ns(version, version->joined.start_ns, version->joined.generation);
	adopted = error == 0 && version->known_count == known_count &&
		  (must_ns == 0 || version->joined.lasted_ns >= must_ns);
	chunks_adopt(version, adopted);
	version->comparing = false;
	/* It is what the image holds now: what a guard preserved before may be older. */
	if (adopted)
		version_drop_guard(version);
	return error;
}

/* Nothing else tells, so all that is known is compared after the read. */
static int read_compared(struct reading *reading)
{
	struct cache_version *version = reading->version;
	const struct cache_observation *seen = &version->image->seen;
	struct readers reader = { true, seen->now_ns, 0, seen->generation };
	int64_t must_ns;
	int error = 0;

	/* Its turn comes, with a comparison that begins after it was read. */
	if (version->comparing && span_waits(version, &reading->span))
		return come_back_soon(reading, "all that was handed out is being compared");
	error = read_span(reading);
	if (error != 0)
		return error;
	if (!span_agrees(version, &reading->span, reading->hashes))
		return differs(reading);
	reader.lasted_ns = reader.start_ns - span_note(version, &reading->span, reading->hashes, seen->now_ns);
	must_ns = version_must_last_ns(version, reader.start_ns, reader.generation);
	if (must_ns > 0 && reader.lasted_ns < must_ns)
		return wait_to_last(reading, reader.lasted_ns > 0 ? reader.lasted_ns : 0, must_ns);
	span_wait(version, &reading->span, &reader);
	if (!version->comparing) {
		error = compare_for_all(reading);
		if (error != 0)
			return error;
	}
	if (!span_known(version, &reading->span) || !span_agrees(version, &reading->span, reading->hashes))
		return come_back_soon(reading, "all that was handed out is being compared");
	reading->op->rule = "compared with what was handed out";
	return 0;
}

/* Some of it nobody has seen yet. */
static int read_new(struct reading *reading)
{
	struct cache_version *version = reading->version;
	const struct cache_observation *seen = &version->image->seen;
	bool quiet;
	int error;

	if (version->detached) {
		reading->op->rule = "the image holds another version";
		return -ESTALE;
	}
	error = path_refresh_version(version, reading->op);
	if (error != 0)
		return error;
	ask_for_copy(reading);
	if (image_is_slow(version->image) && reading->op->keep_wanted)
		return wait_for_copy(reading);
	quiet = version_must_last_ns(version, seen->now_ns, seen->generation) == 0;
	if (quiet && version->known_count == 0)
		version->data_checked = seen->generation;
	if (!quiet || !seen->steady || seen->in_flight != 0)
		return read_compared(reading);
	if (version->data_checked == seen->generation)
		return read_steady(reading);
	if (version->comparing)
		return come_back_soon(reading, "all that was handed out is being compared");
	version->comparing = true;
	error = compare_known(version, reading->op, COMPARE_STEADY, WAIT_COMPARE_NS);
	version->comparing = false;
	return error != 0 ? error : read_steady(reading);
}

/* ---- told after the fact ----------------------------------------------------- */

static bool touches_span(const void *what, const struct cache_range *range)
{
	const struct reading *reading = what;
	size_t count = span_chunk_count(&reading->span);

	for (size_t i = 0; i < count; i++)
		if (extents_chunk_touches(reading->version->extents, reading->span.offset_bytes / CHUNK_BYTES + i, range))
			return true;
	return false;
}

/* Was none of it written since `generation`, as far as the last look was told, and is none being written? */
static bool span_untouched(const struct reading *reading, uint64_t generation)
{
	return write_log_untouched(reading->version->image->log, generation, touches_span, reading);
}

/*
 * Nothing guards it, but what was not written since the version was last known to be whole, and until after it was read, is the
 * version's: also when other bytes of it were overwritten, and the image holds another version. 1: it was
 * written, or what was written is not told.
 */
static int read_told(struct reading *reading)
{
	struct cache_version *version = reading->version;
	struct cache_image *image = version->image;
	uint64_t generation = version->data_checked;
	int error;

	if (!image->log || !write_log_is_told_late(image->log) || generation == 0 || !image->seen.exact ||
	    !span_untouched(reading, generation))
		return 1;
	error = read_span(reading);
	if (error != 0)
		return error;
	if (!image->seen.exact || !span_untouched(reading, generation))
		return come_back_soon(reading, "exact: written while it was read");
	/* Only where the server lies. */
	if (!span_agrees(version, &reading->span, reading->hashes))
		return differs(reading);
	span_remember(version, &reading->span, reading->hashes);
	/* What the log remembers has an end: while all of it is as it was, it need not be asked for what was before. */
	if (version_untouched(version, generation))
		version->data_checked = image->seen.generation;
	reading->op->rule = "exact: not written since it was opened";
	return 0;
}

/* ---- which way ------------------------------------------------------------- */

static int read_image(struct reading *reading)
{
	struct cache_version *version = reading->version;
	int result = read_told(reading);

	if (result != 1)
		return result;
	/* Opened before its writes were told, or written since. */
	if (!version->guard && version->image->seen.exact && version->image->seen.steady && !version->detached) {
		result = version_check(version, reading->op);
		if (result != 0 && result != -ESTALE)
			return result;
		result = read_told(reading);
		if (result != 1)
			return result;
	}
	if (version->guard) {
		reading->guard = guard_ref(version->guard);
		result = read_guarded(reading);
		if (result != 1)
			return result;
		/* Of what was neither preserved nor handed out the image may hold another version's. */
		if (!guard_is_pristine(reading->guard) && !span_known(version, &reading->span)) {
			reading->op->rule = "written while nothing told what";
			return -ESTALE;
		}
	}
	return span_known(version, &reading->span) ? read_known(reading) : read_new(reading);
}

static int read_locked(struct reading *reading, uint64_t offset_bytes, size_t length_bytes)
{
	struct cache_version *version = reading->version;
	struct cache_bytes *bytes = reading->bytes;
	int error;

	if (stream_has(version, offset_bytes, length_bytes))
		return read_copy(kept_ref(version->growing), reading->op, offset_bytes, length_bytes, bytes);
	if (copy_is_on_its_way(version))
		return wait_for_copy(reading);
	if (version->kept)
		return read_copy(kept_ref(version->kept), reading->op, offset_bytes, length_bytes, bytes);
	if (!reading->op->may_block)
		return -EAGAIN;
	/* Without a chain nothing was ever handed out, and nothing can be read. */
	if (!version->extents)
		return version->detached ? -ESTALE : -EIO;
	reading->next = readahead_next(&version->readahead, &reading->span, version->entry.size_bytes);
	reading->hashes = calloc(span_chunk_count(&reading->span), sizeof(*reading->hashes));
	error = reading->hashes ? chunks_allocate(version) : -ENOMEM;
	if (error == 0)
		error = bytes_allocate(bytes, reading->span.length_bytes);
	if (error == 0)
		error = read_image(reading);
	free(reading->hashes);
	guard_unref(reading->guard);
	if (error != 0)
		return error;
	bytes->data += offset_bytes - reading->span.offset_bytes;
	bytes->length_bytes = length_bytes;
	return 0;
}

int cache_version_read(struct cache_version *version, struct cache_op *op, uint64_t offset_bytes, size_t length_bytes,
		       struct cache_bytes *bytes)
{
	struct reading reading = { .version = version, .op = op, .bytes = bytes };
	int error;

	*bytes = (struct cache_bytes){ 0 };
	if (offset_bytes >= version->entry.size_bytes)
		return 0;
	length_bytes = (size_t)min_u64(length_bytes, version->entry.size_bytes - offset_bytes);
	reading.span = span_around(version, offset_bytes, length_bytes);
	op->retry_ns = 0;
	error = image_lock(version->image, op);
	if (error != 0)
		return error;
	/* What is copied, or about to be, is not asked of storage that may be slow. */
	if (!version->image->seen.blind || !(version->kept || copy_is_on_its_way(version)))
		error = image_look(version->image, op, op->came_ns);
	if (error == 0)
		error = read_locked(&reading, offset_bytes, length_bytes);
	image_leave(version->image);
	if (error != 0)
		cache_bytes_release(bytes);
	return error;
}
