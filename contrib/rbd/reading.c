/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reading.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "counters.h"
#include "objects.h"
#include "parents.h"

#define TRIES 10
#define LOOKS_AT_ONCE 128

static int look_at_object(const struct image *image, uint64_t object, struct object_look *look)
{
	char number[32];

	snprintf(number, sizeof(number), ".%016llx", (unsigned long long)object);
	return object_look_at(look, image->data, image->layout.prefix, number);
}

static bool note(struct image *image, uint64_t object, uint64_t version)
{
	uint64_t number;

	return object > image->layout.size_bytes >> image->layout.object_shift || object >= IMAGE_COUNTERS_MAX ||
	       counters_note(image->counters, object, version, &number);
}

/* A piece of the range for each object that it touches. */
static int cut(const struct image *image, unsigned char *to, size_t length_bytes, uint64_t offset_bytes,
	       struct object_look *looks)
{
	uint64_t object_bytes = (uint64_t)1 << image->layout.object_shift;
	int r = 0;

	for (; length_bytes > 0 && r == 0; looks++) {
		uint64_t within = offset_bytes & (object_bytes - 1);
		size_t piece = (size_t)min_u64(length_bytes, object_bytes - within);

		r = look_at_object(image, offset_bytes >> image->layout.object_shift, looks);
		looks->buffer = to;
		looks->length_bytes = piece;
		looks->offset_bytes = within;
		to += piece;
		offset_bytes += piece;
		length_bytes -= piece;
	}
	return r;
}

/* What was read is noted first: nobody has it yet. An object may end before the piece does. -ENOMEM. */
static int take_in(struct image *image, const struct object_look *looks, size_t count, uint64_t first, bool *all)
{
	*all = true;
	for (size_t i = 0; i < count; i++) {
		if (!note(image, first + i, looks[i].version))
			return -ENOMEM;
		if (looks[i].version == OBJECT_ABSENT)
			*all = false;
		else
			memset((unsigned char *)looks[i].buffer + looks[i].got_bytes, 0,
			       looks[i].length_bytes - looks[i].got_bytes);
	}
	return 0;
}

static int fill_absent(const struct image *image, const struct object_look *looks, size_t count,
		       uint64_t first)
{
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		uint64_t offset = ((first + i) << image->layout.object_shift) + looks[i].offset_bytes;
		size_t parents = (size_t)min_u64(looks[i].length_bytes,
						 image->layout.overlap_bytes -
							 min_u64(image->layout.overlap_bytes, offset));

		if (looks[i].version != OBJECT_ABSENT)
			continue;
		memset((unsigned char *)looks[i].buffer + parents, 0, looks[i].length_bytes - parents);
		if (parents > 0)
			r = parent_read(image->layout.parent, looks[i].buffer, parents, offset);
	}
	return r;
}

/*
 * Objects first, then the header: if that is as it was, so it was when an object was absent. An image that
 * was removed is -ENOENT then, not zeroes.
 */
static int read_pieces(struct pool *pool, struct image **image, struct object_look *looks, size_t count,
		       uint64_t first, bool *again)
{
	const struct image *was = *image;
	int r = objects_look(looks, count);
	bool all = false;

	*again = false;
	if (r == 0)
		r = take_in(*image, looks, count, first, &all);
	if (r < 0 || all)
		return r;
	r = image_follow_id(pool, was->layout.id, image);
	*again = *image != was;
	return r < 0 || *again ? r : fill_absent(*image, looks, count, first);
}

int image_read(struct pool *pool, struct image **image, void *buffer, size_t length_bytes,
	       uint64_t offset_bytes)
{
	uint64_t first = offset_bytes >> (*image)->layout.object_shift;
	uint64_t last = (offset_bytes + (length_bytes - 1)) >> (*image)->layout.object_shift;
	CLEANUP_FREE struct object_look *looks = NULL;
	bool again = true;
	int r;

	if (length_bytes == 0)
		return 0;
	looks = calloc((size_t)(last - first + 1), sizeof(*looks));
	if (!looks)
		return -ENOMEM;
	r = image_follow_at_times(pool, image);
	for (int i = 0; i < TRIES && again && r == 0; i++) {
		r = cut(*image, buffer, length_bytes, offset_bytes, looks);
		if (r == 0)
			r = read_pieces(pool, image, looks, (size_t)(last - first + 1), first, &again);
	}
	return r == 0 && again ? -EBUSY : r;
}

/* Those that were noted before are looked at, LOOKS_AT_ONCE at most. */
static int count_some(struct image *image, uint64_t first, size_t count, struct object_look *looks,
		      uint64_t *counters)
{
	size_t of[LOOKS_AT_ONCE], looked = 0;
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		if (!counters_noted(image->counters, first + i))
			continue;
		of[looked] = i;
		r = look_at_object(image, first + i, &looks[looked++]);
	}
	if (r == 0)
		r = objects_look(looks, looked);
	for (size_t i = 0; i < looked && r == 0; i++)
		if (!counters_note(image->counters, first + of[i], looks[i].version, &counters[of[i]]))
			r = -ENOMEM;
	return r;
}

int image_count(struct image *image, uint64_t first, size_t count, uint64_t *counters)
{
	uint64_t objects =
		min_u64((image->layout.size_bytes >> image->layout.object_shift) + 1, IMAGE_COUNTERS_MAX);
	size_t there = (size_t)min_u64(count, objects - min_u64(objects, first));
	CLEANUP_FREE struct object_look *looks = calloc(LOOKS_AT_ONCE, sizeof(*looks));
	int r = 0;

	if (!looks)
		return -ENOMEM;
	memset(counters, 0, count * sizeof(*counters));
	for (size_t i = 0; i < there && r == 0; i += LOOKS_AT_ONCE)
		r = count_some(image, first + i, (size_t)min_u64(there - i, LOOKS_AT_ONCE), looks,
			       counters + i);
	return r;
}
