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
 * between them: a read of the device costs more than these bytes. A disk that gives
 * 1 GB/s, and 50,000 small reads a second side by side, gives 20 KiB in the time of one.
 */
#define PIECE_BYTES ((uint64_t)1 << 20)
#define GAP_BYTES ((uint64_t)16 << 10)

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

/*
 * A read of several runs. They are taken by their place in the image, in whatever order
 * they are in the file: what is near each other is read in one piece, and the pieces
 * side by side, as many as fit into one call of the device and into the scratch buffer.
 */
struct gathering {
	unsigned char *target;	   /* for the byte `offset_bytes` of the file */
	uint64_t offset_bytes;
	struct extents_run *parts; /* what is wanted of the runs, of PIECE_BYTES at most, by their place in the image */
	size_t count, next;	   /* of them; the first that was not taken yet */
	unsigned char *scratch;	   /* of SCRATCH_BYTES; NULL until it is needed */
	size_t scratch_used;
	struct cache_piece pieces[CACHE_PIECES_MAX];
	size_t first_part[CACHE_PIECES_MAX]; /* of each piece; the next one's is behind its last */
	size_t piece_count;
};

#define SCRATCH_BYTES cache_device_buffer_bytes(PIECE_BYTES)

static int compare_parts(const void *a, const void *b)
{
	const struct extents_run *left = a, *right = b;

	return (left->image_bytes > right->image_bytes) - (left->image_bytes < right->image_bytes);
}

/* Each turn takes at least one byte of the range. */
static int make_parts(const struct extents *extents, uint64_t length_bytes, struct gathering *gathering)
{
	uint64_t at = gathering->offset_bytes, end = at + length_bytes;
	size_t run = run_of_byte(extents, at), last = run_of_byte(extents, end - 1);
	bool ascending = true;

	/* A run of n PIECE_BYTES and some is n + 1 parts. */
	gathering->parts = reallocarray(NULL, last - run + 1 + length_bytes / PIECE_BYTES, sizeof(*gathering->parts));
	if (!gathering->parts)
		return -ENOMEM;
	for (; at < end; run += at == extents->runs[run].file_bytes + extents->runs[run].length_bytes) {
		struct extents_run *part = &gathering->parts[gathering->count++];

		*part = cut(&extents->runs[run], at, min_u64(end - at, PIECE_BYTES));
		at += part->length_bytes;
		ascending = ascending && (gathering->count == 1 || part[-1].image_bytes < part->image_bytes);
	}
	if (!ascending)
		qsort(gathering->parts, gathering->count, sizeof(*gathering->parts), compare_parts);
	return 0;
}

/* What is read of the image in one piece, from the next part on. Returns the part behind it. */
static size_t take_neighbours(const struct gathering *gathering, uint64_t *from, uint64_t *end)
{
	size_t next = gathering->next;
	const struct extents_run *part = &gathering->parts[next];

	*from = part->image_bytes;
	*end = image_end(part);
	for (next++, part++; next < gathering->count; next++, part++) {
		if (part->image_bytes - *end > GAP_BYTES || image_end(part) - *from > PIECE_BYTES)
			break;
		*end = image_end(part);
	}
	return next;
}

/* Of whole blocks, as is its place in the target: then it is read there. */
static unsigned char *place_of(const struct gathering *gathering, const struct extents_run *part)
{
	unsigned char *place = gathering->target + (part->file_bytes - gathering->offset_bytes);

	return (part->image_bytes | part->length_bytes | (uintptr_t)place) % CACHE_BLOCK_BYTES == 0 ? place : NULL;
}

/* 1: taken; 0: it has no room until the others were read; -ENOMEM. */
static int add_piece(struct gathering *gathering)
{
	uint64_t from, end;
	size_t first = gathering->next, next = take_neighbours(gathering, &from, &end);
	size_t buffer_bytes = cache_device_buffer_bytes((size_t)(end - from));
	void *buffer = next == first + 1 ? place_of(gathering, &gathering->parts[first]) : NULL;

	if (!buffer) {
		if (!gathering->scratch && !(gathering->scratch = cache_buffer_get(SCRATCH_BYTES)))
			return -ENOMEM;
		if (SCRATCH_BYTES - gathering->scratch_used < buffer_bytes)
			return 0;
		buffer = gathering->scratch + gathering->scratch_used;
		gathering->scratch_used += buffer_bytes;
	}
	gathering->pieces[gathering->piece_count] =
		(struct cache_piece){ .offset_bytes = from, .length_bytes = (size_t)(end - from), .buffer = buffer };
	gathering->first_part[gathering->piece_count++] = first;
	gathering->next = next;
	return 1;
}

/* What was read elsewhere is copied to its place. */
static void copy_parts(const struct gathering *gathering)
{
	for (size_t i = 0; i < gathering->piece_count; i++) {
		const struct cache_piece *piece = &gathering->pieces[i];
		size_t last = i + 1 < gathering->piece_count ? gathering->first_part[i + 1] : gathering->next;

		for (size_t part = gathering->first_part[i]; part < last; part++) {
			const struct extents_run *run = &gathering->parts[part];
			unsigned char *place = gathering->target + (run->file_bytes - gathering->offset_bytes);
			unsigned char *read = piece->bytes + (run->image_bytes - piece->offset_bytes);

			if (read != place)
				memcpy(place, read, run->length_bytes);
		}
	}
}

static int gather(struct gathering *gathering, struct cache_device *device)
{
	int result = 0;

	/* Each turn takes at least one part: an empty scratch buffer has room for any piece. */
	while (result == 0 && gathering->next < gathering->count) {
		gathering->piece_count = gathering->scratch_used = 0;
		do
			result = add_piece(gathering);
		while (result == 1 && gathering->next < gathering->count && gathering->piece_count < CACHE_PIECES_MAX);
		if (result >= 0)
			result = device->ops->read_pieces(device, gathering->pieces, gathering->piece_count);
		if (result == 0)
			copy_parts(gathering);
	}
	return result;
}

int extents_read(const struct extents *extents, struct cache_device *device, uint64_t offset_bytes,
		 size_t length_bytes, void *buffer, unsigned char **bytes)
{
	struct gathering gathering;
	struct extents_run run;
	int error;

	if (length_bytes == 0 || !range_within(offset_bytes, length_bytes, extents->size_bytes))
		return -EIO;
	run = cut(&extents->runs[run_of_byte(extents, offset_bytes)], offset_bytes, length_bytes);
	if (run.length_bytes == length_bytes)
		return cache_device_read_data(device, run.image_bytes, length_bytes, buffer, bytes);
	*bytes = buffer;
	gathering.target = buffer;
	gathering.offset_bytes = offset_bytes;
	gathering.parts = NULL;
	gathering.count = gathering.next = 0;
	gathering.scratch = NULL;
	error = make_parts(extents, length_bytes, &gathering);
	if (error == 0)
		error = gather(&gathering, device);
	cache_buffer_put(gathering.scratch, SCRATCH_BYTES);
	free(gathering.parts);
	return error;
}

int extents_read_parts(const struct extents *extents, struct cache_device *device, struct extents_part *parts, size_t count)
{
	struct cache_piece pieces[CACHE_PIECES_MAX];
	size_t of[CACHE_PIECES_MAX], piece_count = 0;
	int error = 0;

	for (size_t i = 0; error == 0 && i < count; i++) {
		struct extents_part *part = &parts[i];
		struct extents_run run;

		if (part->length_bytes == 0 || !range_within(part->offset_bytes, part->length_bytes, extents->size_bytes))
			return -EIO;
		run = cut(&extents->runs[run_of_byte(extents, part->offset_bytes)], part->offset_bytes, part->length_bytes);
		if (run.length_bytes < part->length_bytes || piece_count == CACHE_PIECES_MAX) {
			error = extents_read(extents, device, part->offset_bytes, part->length_bytes, part->buffer, &part->bytes);
			continue;
		}
		of[piece_count] = i;
		pieces[piece_count++] = (struct cache_piece){
			.offset_bytes = run.image_bytes,
			.length_bytes = part->length_bytes,
			.buffer = part->buffer,
		};
	}
	if (error == 0 && piece_count > 0)
		error = device->ops->read_pieces(device, pieces, piece_count);
	for (size_t i = 0; error == 0 && i < piece_count; i++)
		parts[of[i]].bytes = pieces[i].bytes;
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

void extents_will_need(const struct extents *extents, struct cache_device *device, uint64_t offset_bytes,
		       uint64_t length_bytes)
{
	uint64_t end = offset_bytes + length_bytes;
	size_t first, last;

	if (!device->ops->will_need || length_bytes == 0 || !range_within(offset_bytes, length_bytes, extents->size_bytes))
		return;
	first = run_of_byte(extents, offset_bytes);
	last = run_of_byte(extents, end - 1);
	for (size_t i = first; last - first < CACHE_PIECES_MAX && i <= last; i++) {
		struct extents_run run = cut(&extents->runs[i], offset_bytes, length_bytes);

		device->ops->will_need(device, run.image_bytes, run.length_bytes);
	}
}
