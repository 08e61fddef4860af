/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/ahead.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "cache/device/buffer.h"
#include "cache/device/device.h"
#include "cache/device/ring.h"

/* What is remembered of the calls before: enough for a path of some directories. */
#define BLOCKS_MAX 64

/* Neighbours with so little between them are one read: it costs less than a second one. */
#define GAP_BLOCKS 32
#define DATA_BLOCKS_MAX 256

/* A block that so many calls did without is not read ahead any more. */
#define CALLS_WITHOUT 32

struct ahead {
	pthread_mutex_t lock; /* held while it reads, as the image's is; under it all that follows */
	uint64_t call;	      /* which one it is */
	size_t count;
	struct wanted {
		uint64_t block; /* sorted */
		uint64_t call;	/* that used it last */
	} wanted[BLOCKS_MAX];
	/* What was read in this call; NULL: nothing yet. */
	unsigned char *data;
	size_t data_blocks;
	struct ring_piece pieces[BLOCKS_MAX];
	size_t piece_count;
};

struct ahead *ahead_new(void)
{
	struct ahead *ahead = calloc(1, sizeof(*ahead));

	if (ahead)
		pthread_mutex_init(&ahead->lock, NULL);
	return ahead;
}

static void drop_data(struct ahead *ahead)
{
	cache_buffer_put(ahead->data, ahead->data_blocks * CACHE_BLOCK_BYTES);
	ahead->data = NULL;
	ahead->piece_count = 0;
}

void ahead_free(struct ahead *ahead)
{
	if (!ahead)
		return;
	drop_data(ahead);
	pthread_mutex_destroy(&ahead->lock);
	free(ahead);
}

void ahead_forget(struct ahead *ahead)
{
	LOCK_SCOPE(&ahead->lock);
	drop_data(ahead);
	ahead->call++;
}

/* ---- what is wanted ------------------------------------------------------ */

static void forget_unused(struct ahead *ahead)
{
	size_t kept = 0;

	for (size_t i = 0; i < ahead->count; i++)
		if (ahead->call - ahead->wanted[i].call < CALLS_WITHOUT)
			ahead->wanted[kept++] = ahead->wanted[i];
	ahead->count = kept;
}

/* One that does not fit is read when it is asked for. */
static void want(struct ahead *ahead, uint64_t block)
{
	size_t at = 0;

	while (at < ahead->count && ahead->wanted[at].block < block)
		at++;
	if (at < ahead->count && ahead->wanted[at].block == block) {
		ahead->wanted[at].call = ahead->call;
		return;
	}
	if (ahead->count == BLOCKS_MAX)
		return;
	memmove(&ahead->wanted[at + 1], &ahead->wanted[at], (ahead->count - at) * sizeof(ahead->wanted[0]));
	ahead->wanted[at] = (struct wanted){ block, ahead->call };
	ahead->count++;
}

/* ---- bytes --------------------------------------------------------------- */

static uint64_t end_block(const struct ring_piece *piece)
{
	return (piece->offset_bytes + piece->length_bytes) / CACHE_BLOCK_BYTES;
}

/* All that is wanted, and what is between neighbours. The device may have become smaller. */
static void make_pieces(struct ahead *ahead, uint64_t size_bytes)
{
	ahead->data_blocks = 0;
	for (size_t i = 0; i < ahead->count; i++) {
		uint64_t block = ahead->wanted[i].block, more = 1;
		struct ring_piece *last = ahead->piece_count > 0 ? &ahead->pieces[ahead->piece_count - 1] : NULL;

		if (!range_within(block * CACHE_BLOCK_BYTES, CACHE_BLOCK_BYTES, size_bytes) ||
		    ahead->data_blocks == DATA_BLOCKS_MAX)
			break;
		if (last && block - end_block(last) <= GAP_BLOCKS)
			more = block + 1 - end_block(last);
		if (more > 1 && ahead->data_blocks + more > DATA_BLOCKS_MAX)
			break;
		if (last && block + 1 - more == end_block(last))
			last->length_bytes += more * CACHE_BLOCK_BYTES;
		else
			ahead->pieces[ahead->piece_count++] = (struct ring_piece){
				.offset_bytes = block * CACHE_BLOCK_BYTES,
				.length_bytes = CACHE_BLOCK_BYTES,
			};
		ahead->data_blocks += more;
	}
}

static void read_wanted(struct ahead *ahead, void (*read)(void *context, struct ring_piece *pieces, size_t count),
			void *context, uint64_t size_bytes)
{
	unsigned char *at;

	make_pieces(ahead, size_bytes);
	at = ahead->data = cache_buffer_get(ahead->data_blocks * CACHE_BLOCK_BYTES);
	if (!at)
		ahead->piece_count = 0;
	for (size_t i = 0; i < ahead->piece_count; at += ahead->pieces[i++].length_bytes)
		ahead->pieces[i].buffer = at;
	read(context, ahead->pieces, ahead->piece_count);
}

static bool copy_block(const struct ahead *ahead, uint64_t block, void *out)
{
	for (size_t i = 0; i < ahead->piece_count; i++) {
		const struct ring_piece *piece = &ahead->pieces[i];
		uint64_t first = piece->offset_bytes / CACHE_BLOCK_BYTES;

		/* What could not be read is not there: whoever asks for it is told. */
		if (block < first || piece->result < 0 ||
		    block - first >= (uint64_t)piece->result / CACHE_BLOCK_BYTES)
			continue;
		memcpy(out, (unsigned char *)piece->buffer + (block - first) * CACHE_BLOCK_BYTES, CACHE_BLOCK_BYTES);
		return true;
	}
	return false;
}

static bool copy_range(const struct ahead *ahead, uint64_t block, size_t count, unsigned char *out)
{
	for (size_t i = 0; i < count; i++)
		if (!copy_block(ahead, block + i, out + i * CACHE_BLOCK_BYTES))
			return false;
	return true;
}

int ahead_read(struct ahead *ahead, void (*read)(void *context, struct ring_piece *pieces, size_t count), void *context,
	       uint64_t size_bytes, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	uint64_t first = offset_bytes / CACHE_BLOCK_BYTES;
	size_t count = length_bytes / CACHE_BLOCK_BYTES, aligned_bytes = cache_device_buffer_bytes(length_bytes);
	struct ring_piece piece = { .offset_bytes = offset_bytes, .length_bytes = length_bytes };

	LOCK_SCOPE(&ahead->lock);
	forget_unused(ahead);
	for (size_t i = 0; i < count; i++)
		want(ahead, first + i);
	if (!ahead->data && ahead->count > 0)
		read_wanted(ahead, read, context, size_bytes);
	if (copy_range(ahead, first, count, buffer))
		return 0;
	piece.buffer = cache_buffer_get(aligned_bytes);
	if (!piece.buffer)
		return -ENOMEM;
	read(context, &piece, 1);
	if (piece.result >= 0 && (size_t)piece.result >= length_bytes)
		memcpy(buffer, piece.buffer, length_bytes);
	cache_buffer_put(piece.buffer, aligned_bytes);
	return piece.result >= 0 && (size_t)piece.result >= length_bytes ? 0 : -EIO;
}
