/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/extents.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "cache/device/buffer.h"

/*
 * Runs that are near each other in the image are read in one piece, with what is
 * between them: a read of the device costs more than these bytes.
 */
#define PIECE_BYTES ((uint64_t)1 << 20)
#define GAP_BYTES ((uint64_t)64 << 10)

struct extents {
	_Atomic unsigned references;
	uint64_t size_bytes;
	struct extents_run *runs; /* by their place in the file */
	size_t run_count;
	uint32_t *by_image; /* the same by their place in the image; NULL: it is the same order */
};

static uint64_t image_end(const struct extents_run *run)
{
	return run->image_bytes + run->length_bytes;
}

/* The `index`th of them in the image. */
static const struct extents_run *in_image(const struct extents *extents, size_t index)
{
	return &extents->runs[extents->by_image ? extents->by_image[index] : index];
}

/* ---- life ---------------------------------------------------------------- */

/* Is the whole file in them, from its start? Makes one of neighbours that are so in both, the file and the image. */
static int join_runs(struct extents *extents)
{
	uint64_t at = 0, end;
	size_t kept = 0;

	for (size_t i = 0; i < extents->run_count; i++) {
		struct extents_run *run = &extents->runs[i], *last = kept > 0 ? &extents->runs[kept - 1] : NULL;

		if (run->file_bytes != at || run->length_bytes == 0 || !add_u64(at, run->length_bytes, &at) ||
		    !add_u64(run->image_bytes, run->length_bytes, &end))
			return -EIO;
		if (last && image_end(last) == run->image_bytes)
			last->length_bytes += run->length_bytes;
		else
			extents->runs[kept++] = *run;
	}
	extents->run_count = kept;
	return at == extents->size_bytes && kept < UINT32_MAX ? 0 : -EIO;
}

static int compare_places(const void *a, const void *b, void *context)
{
	const struct extents *extents = context;
	uint64_t left = extents->runs[*(const uint32_t *)a].image_bytes;
	uint64_t right = extents->runs[*(const uint32_t *)b].image_bytes;

	return (left > right) - (left < right);
}

static int sort_by_image(struct extents *extents)
{
	bool ascending = true;

	for (size_t i = 1; ascending && i < extents->run_count; i++)
		ascending = extents->runs[i].image_bytes > extents->runs[i - 1].image_bytes;
	if (ascending)
		return 0;
	extents->by_image = reallocarray(NULL, extents->run_count, sizeof(*extents->by_image));
	if (!extents->by_image)
		return -ENOMEM;
	for (size_t i = 0; i < extents->run_count; i++)
		extents->by_image[i] = (uint32_t)i;
	qsort_r(extents->by_image, extents->run_count, sizeof(*extents->by_image), compare_places, extents);
	return 0;
}

/* No byte of the image is in two of them: the searches below rest on it. */
static int check_apart(const struct extents *extents)
{
	for (size_t i = 1; i < extents->run_count; i++)
		if (image_end(in_image(extents, i - 1)) > in_image(extents, i)->image_bytes)
			return -EIO;
	return 0;
}

int extents_new(struct extents_run *runs, size_t count, uint64_t size_bytes, struct extents **out)
{
	struct extents *extents = calloc(1, sizeof(*extents));
	void *shrunk;
	int error;

	if (!extents) {
		free(runs);
		return -ENOMEM;
	}
	*extents = (struct extents){ .size_bytes = size_bytes, .runs = runs, .run_count = count };
	atomic_store(&extents->references, 1);
	error = join_runs(extents);
	if (error == 0)
		error = sort_by_image(extents);
	if (error == 0)
		error = check_apart(extents);
	if (error != 0) {
		extents_unref(extents);
		return error;
	}
	shrunk = extents->run_count > 0 ? reallocarray(runs, extents->run_count, sizeof(*runs)) : NULL;
	if (shrunk)
		extents->runs = shrunk;
	*out = extents;
	return 0;
}

struct extents *extents_ref(struct extents *extents)
{
	atomic_fetch_add(&extents->references, 1);
	return extents;
}

void extents_unref(struct extents *extents)
{
	if (!extents || atomic_fetch_sub(&extents->references, 1) != 1)
		return;
	free(extents->runs);
	free(extents->by_image);
	free(extents);
}

/* ---- what they are ------------------------------------------------------- */

uint64_t extents_size_bytes(const struct extents *extents)
{
	return extents->size_bytes;
}

uint64_t extents_chunk_count(const struct extents *extents)
{
	return extents->size_bytes / CHUNK_BYTES + (extents->size_bytes % CHUNK_BYTES != 0);
}

size_t extents_chunk_bytes(const struct extents *extents, uint64_t chunk)
{
	return (size_t)min_u64(CHUNK_BYTES, extents->size_bytes - chunk * CHUNK_BYTES);
}

bool extents_equal(const struct extents *a, const struct extents *b)
{
	return a->size_bytes == b->size_bytes && a->run_count == b->run_count &&
	       (a->run_count == 0 || memcmp(a->runs, b->runs, a->run_count * sizeof(*a->runs)) == 0);
}

size_t extents_footprint_bytes(const struct extents *extents)
{
	return sizeof(*extents) +
	       extents->run_count * (sizeof(*extents->runs) + (extents->by_image ? sizeof(*extents->by_image) : 0));
}

/* ---- searches ------------------------------------------------------------ */

/* The first run that ends behind this place in the image; halves what is left in each turn. */
static size_t first_in_image(const struct extents *extents, uint64_t image_bytes)
{
	size_t low = 0, high = extents->run_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (image_end(in_image(extents, middle)) <= image_bytes)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The run that holds this byte of the file, which has it; as above. */
static size_t run_of_byte(const struct extents *extents, uint64_t file_bytes)
{
	size_t low = 0, high = extents->run_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (extents->runs[middle].file_bytes + extents->runs[middle].length_bytes <= file_bytes)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* What of the run is in the piece of the file. */
static struct extents_run cut(const struct extents_run *run, uint64_t offset_bytes, uint64_t length_bytes)
{
	uint64_t start = max_u64(run->file_bytes, offset_bytes);
	uint64_t end = min_u64(run->file_bytes + run->length_bytes, offset_bytes + length_bytes);

	return (struct extents_run){ run->image_bytes + (start - run->file_bytes), end - start, start };
}

static bool overlaps(const struct extents_run *run, const struct cache_range *range)
{
	return range->length_bytes > 0 && image_end(run) > range->offset_bytes &&
	       (run->image_bytes <= range->offset_bytes || run->image_bytes - range->offset_bytes < range->length_bytes);
}

bool extents_touch(const struct extents *extents, const struct cache_range *range)
{
	size_t at = first_in_image(extents, range->offset_bytes);

	return at < extents->run_count && overlaps(in_image(extents, at), range);
}

bool extents_chunk_touches(const struct extents *extents, uint64_t chunk, const struct cache_range *range)
{
	uint64_t start = chunk * CHUNK_BYTES, end = start + extents_chunk_bytes(extents, chunk);

	for (size_t i = run_of_byte(extents, start); i < extents->run_count && extents->runs[i].file_bytes < end; i++) {
		struct extents_run piece = cut(&extents->runs[i], start, end - start);

		if (overlaps(&piece, range))
			return true;
	}
	return false;
}

void extents_each_chunk(const struct extents *extents, const struct cache_range *range,
			bool (*each)(void *context, uint64_t chunk), void *context)
{
	uint64_t last = UINT64_MAX;

	for (size_t i = first_in_image(extents, range->offset_bytes); i < extents->run_count; i++) {
		const struct extents_run *run = in_image(extents, i);
		uint64_t start, end;

		if (!overlaps(run, range))
			return;
		start = max_u64(run->image_bytes, range->offset_bytes) - run->image_bytes;
		end = min_u64(image_end(run) - range->offset_bytes, range->length_bytes) + range->offset_bytes;
		end = run->file_bytes + (end - run->image_bytes);
		for (uint64_t chunk = (run->file_bytes + start) / CHUNK_BYTES; chunk * CHUNK_BYTES < end; chunk++) {
			if (chunk != last && !each(context, chunk))
				return;
			last = chunk;
		}
	}
}

/* ---- bytes --------------------------------------------------------------- */

/* Where a piece of the file is copied to, out of what was read of the image from `image_bytes` on. */
struct target {
	unsigned char *buffer;
	uint64_t offset_bytes, length_bytes; /* of the file */
};

/*
 * From which run on they are too far from the first one to be read with it. The
 * piece that is to be read of the image: *from, *bytes. At least a part of the first.
 */
static size_t take_neighbours(const struct extents *extents, size_t first, const struct target *target, uint64_t *from,
			      uint64_t *bytes)
{
	struct extents_run piece = cut(&extents->runs[first], target->offset_bytes, target->length_bytes);
	size_t next = first + 1;

	*from = piece.image_bytes;
	*bytes = piece.length_bytes;
	while (next < extents->run_count && extents->runs[next].file_bytes < target->offset_bytes + target->length_bytes) {
		uint64_t end = *from + *bytes;

		piece = cut(&extents->runs[next], target->offset_bytes, target->length_bytes);
		if (piece.image_bytes < end || piece.image_bytes - end > GAP_BYTES ||
		    image_end(&piece) - *from > PIECE_BYTES)
			break;
		*bytes = image_end(&piece) - *from;
		next++;
	}
	*bytes = min_u64(*bytes, PIECE_BYTES);
	return next;
}

/* Read runs into `buffer` by way of `piece`, which has room for PIECE_BYTES. */
static int gather(const struct extents *extents, struct cache_device *device, size_t run, struct target target,
		  void *piece)
{
	/* Each turn copies at least one byte of each run that it takes. */
	while (target.length_bytes > 0) {
		uint64_t from, bytes;
		size_t next = take_neighbours(extents, run, &target, &from, &bytes);
		unsigned char *data;
		int error = device->ops->read_data(device, from, (size_t)bytes, piece, &data);

		if (error != 0)
			return error;
		for (; run < next; run++) {
			struct extents_run part = cut(&extents->runs[run], target.offset_bytes, target.length_bytes);
			uint64_t have = min_u64(part.length_bytes, from + bytes - part.image_bytes);

			memcpy(target.buffer, data + (part.image_bytes - from), have);
			target.buffer += have;
			target.offset_bytes += have;
			target.length_bytes -= have;
			if (have < part.length_bytes)
				break;
		}
	}
	return 0;
}

int extents_read(const struct extents *extents, struct cache_device *device, uint64_t offset_bytes,
		 size_t length_bytes, void *buffer, unsigned char **bytes)
{
	size_t first, piece_bytes = cache_device_buffer_bytes(PIECE_BYTES);
	struct extents_run run;
	void *piece;
	int error;

	if (length_bytes == 0 || !range_within(offset_bytes, length_bytes, extents->size_bytes))
		return -EIO;
	first = run_of_byte(extents, offset_bytes);
	run = cut(&extents->runs[first], offset_bytes, length_bytes);
	if (run.length_bytes == length_bytes)
		return device->ops->read_data(device, run.image_bytes, length_bytes, buffer, bytes);
	piece = cache_buffer_get(piece_bytes);
	if (!piece)
		return -ENOMEM;
	*bytes = buffer;
	error = gather(extents, device, first, (struct target){ buffer, offset_bytes, length_bytes }, piece);
	cache_buffer_put(piece, piece_bytes);
	return error;
}

int extents_read_now(const struct extents *extents, struct cache_device *device, uint64_t offset_bytes,
		     size_t length_bytes, unsigned char *buffer)
{
	uint64_t end = offset_bytes + length_bytes;
	int error = 0;

	if (length_bytes == 0 || !range_within(offset_bytes, length_bytes, extents->size_bytes))
		return -EIO;
	for (size_t i = run_of_byte(extents, offset_bytes); error == 0 && offset_bytes < end; i++) {
		struct extents_run run = cut(&extents->runs[i], offset_bytes, end - offset_bytes);

		error = device->ops->read_blocks(device, false, run.image_bytes, buffer, (size_t)run.length_bytes);
		buffer += run.length_bytes;
		offset_bytes += run.length_bytes;
	}
	return error;
}
