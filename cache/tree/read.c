/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/read.h"

#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/waits.h"
#include "cache/changes/guard.h"
#include "cache/tree/chunk.h"
#include "cache/tree/compare.h"
#include "cache/tree/copy.h"
#include "cache/tree/open.h"
#include "cache/tree/path.h"
#include "cache/tree/read_guarded.h"
#include "cache/tree/read_on.h"
#include "cache/tree/read_told.h"
#include "cache/tree/reading.h"
#include "cache/tree/settle.h"

/* ---- from a copy ----------------------------------------------------------- */

/* Takes over the reference to it. */
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
	error = cache_bytes_allocate(bytes, length_bytes);
	if (error != 0)
		return error;
	bytes->data = bytes->owner;
	return kept_read(copy, offset_bytes, bytes->owner, length_bytes);
}

/* ---- straight from the image --------------------------------------------- */

static int wait_for_copy(struct reading *reading)
{
	reading->op->busy = true;
	return reading_come_back(reading, WAIT_RETRY_SLOW_NS, "it is being copied");
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
	error = reading_take_span(reading);
	if (error != 0)
		return error;
	if (!span_agrees(reading->version, &reading->span, reading->hashes))
		return reading->version->kept ? reading_come_back_soon(reading, "copied meanwhile") : reading_differs(reading);
	reading->op->rule = "as it was handed out before";
	return 0;
}

/* Nothing moved, all that is known was seen to hold under this very generation, and it stands after the read. */
static int read_steady(struct reading *reading)
{
	struct cache_version *version = reading->version;
	const struct cache_observation *seen = &version->image->seen;
	uint64_t generation = seen->generation;
	int error = reading_take_span(reading);

	if (error != 0)
		return error;
	if (seen->generation != generation || seen->in_flight != 0 || version->data_checked != generation)
		return reading_come_back_soon(reading, "the image was written meanwhile");
	if (!span_agrees(version, &reading->span, reading->hashes))
		return reading_differs(reading);
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
	return reading_come_back(reading, op->retry_ns < left_ns ? op->retry_ns : left_ns, "new content has not lasted yet");
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
		return reading_come_back_soon(reading, "all that was handed out is being compared");
	error = reading_take_span(reading);
	if (error != 0)
		return error;
	if (!span_agrees(version, &reading->span, reading->hashes))
		return reading_differs(reading);
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
		return reading_come_back_soon(reading, "all that was handed out is being compared");
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
		return reading_come_back_soon(reading, "all that was handed out is being compared");
	version->comparing = true;
	error = compare_known(version, reading->op, COMPARE_STEADY, WAIT_COMPARE_NS);
	version->comparing = false;
	return error != 0 ? error : read_steady(reading);
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
		error = cache_bytes_allocate(bytes, reading->span.length_bytes);
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
