/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/read_guarded.h"

#include <errno.h>
#include <pthread.h>

#include "base/waits.h"
#include "cache/changes/guard.h"
#include "cache/changes/guards.h"
#include "cache/tree/compare.h"
#include "cache/tree/read_on.h"
#include "cache/tree/settle.h"

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
		return reading_come_back_soon(reading, "another reader compares it");
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

int read_guarded(struct reading *reading)
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
		error = reading_take_bytes(reading, &data);
		pthread_mutex_lock(&image->lock);
		stands = image_observe(image, reading->op);
		if (stands != 0)
			return stands;
		stands = guard_stands(reading);
		reading->bytes->data = data;
		/* A write may have grown or cut the image meanwhile: not this guard's matter, if it stands. */
		if (stands == 0 && error == 0 && may_be_half(reading, start_ns, generation))
			return reading_come_back(reading, reading->op->retry_ns, "new content has not lasted yet");
		known = span_known(version, &reading->span);
		if (stands == 0 && error == 0)
			error = overlay(reading, data);
		/* What was handed out before mixes with nothing new. */
		if (stands == 0)
			return error != 0 || known ? error : compare_unless_exact(reading);
	}
	if (stands == -EAGAIN)
		return reading_come_back_soon(reading, "exact: being written, or in doubt");
	/* Another open found the image the same again (open.c): what it needs is preserved there from now on. */
	if (version->guard && version->guard != reading->guard)
		return reading_come_back_soon(reading, "guarded anew meanwhile");
	/*
	 * What was saved is the version's if it is what was handed out before. Of the rest nobody knows:
	 * who did not tell may have written it before it was saved.
	 */
	reading->bytes->data = reading->bytes->owner;
	return version->guard == reading->guard && all_saved(reading) && span_known(version, &reading->span) ?
		       overlay(reading, reading->bytes->owner) : 1;
}
