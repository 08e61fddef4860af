/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/read_told.h"

#include <errno.h>

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

int read_told(struct reading *reading)
{
	struct cache_version *version = reading->version;
	struct cache_image *image = version->image;
	uint64_t generation = version->data_checked;
	int error;

	if (!image->log || !write_log_is_told_late(image->log) || generation == 0 || !image->seen.exact ||
	    !span_untouched(reading, generation))
		return 1;
	error = reading_take_span(reading);
	if (error != 0)
		return error;
	if (!image->seen.exact || !span_untouched(reading, generation))
		return reading_come_back_soon(reading, "exact: written while it was read");
	/* Only where the server lies. */
	if (!span_agrees(version, &reading->span, reading->hashes))
		return reading_differs(reading);
	span_remember(version, &reading->span, reading->hashes);
	/* What the log remembers has an end: while all of it is as it was, it need not be asked for what was before. */
	if (version_untouched(version, generation))
		version->data_checked = image->seen.generation;
	reading->op->rule = "exact: not written since it was opened";
	return 0;
}
