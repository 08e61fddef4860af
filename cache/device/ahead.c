/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/ahead.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/waits.h"
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

/* What was read in one go. */
struct batch {
	int64_t began_ns; /* before the first byte of it was read */
	bool prepared;	  /* before the call that rests on it began */
	unsigned char *data;
	size_t data_blocks;
	struct ring_piece pieces[BLOCKS_MAX];
	size_t piece_count;
};

struct ahead {
	pthread_mutex_t lock; /* not held while it reads; all that follows under it, but for the last */
	pthread_cond_t done;  /* a batch was read */
	uint64_t call;	      /* which one it is, */
	int64_t call_ns;      /* and since when what it rests on is read; 0: there was none */
	size_t count;
	struct wanted {
		uint64_t block; /* sorted */
		uint64_t call;	/* that used it last */
	} wanted[BLOCKS_MAX];
	struct batch *batch; /* the newest one, read since call_ns; or NULL */
	unsigned reading;    /* so many batches are being read, */
	int64_t reading_ns;  /* of which the newest one began then */
	bool forming;	     /* somebody is about to read one, for all who wait by then */
	int64_t ended_ns, took_ns; /* of the last one: when it ended, and how long it took; */
	int64_t takes_ns;	   /* and the shorter one of the last two */
	atomic_bool slow;
};

struct ahead *ahead_new(void)
{
	struct ahead *ahead = calloc(1, sizeof(*ahead));

	if (!ahead)
		return NULL;
	pthread_mutex_init(&ahead->lock, NULL);
	clock_condition_init(&ahead->done);
	return ahead;
}

static void batch_free(struct batch *batch)
{
	if (batch)
		cache_buffer_put(batch->data, batch->data_blocks * CACHE_BLOCK_BYTES);
	free(batch);
}

void ahead_free(struct ahead *ahead)
{
	if (!ahead)
		return;
	batch_free(ahead->batch);
	pthread_cond_destroy(&ahead->done);
	pthread_mutex_destroy(&ahead->lock);
	free(ahead);
}

int64_t ahead_begin(struct ahead *ahead, int64_t after_ns)
{
	struct batch *batch;

	LOCK_SCOPE(&ahead->lock);
	batch = ahead->batch;
	ahead->call++;
	if (batch && batch->prepared && batch->began_ns > ahead->call_ns && batch->began_ns > after_ns)
		return ahead->call_ns = batch->began_ns;
	batch_free(batch);
	ahead->batch = NULL;
	return ahead->call_ns = clock_now_ns(CLOCK_MONOTONIC);
}

bool ahead_is_slow(struct ahead *ahead)
{
	return atomic_load(&ahead->slow);
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
static void make_pieces(const struct ahead *ahead, struct batch *batch, uint64_t size_bytes)
{
	for (size_t i = 0; i < ahead->count; i++) {
		uint64_t block = ahead->wanted[i].block, more = 1;
		struct ring_piece *last = batch->piece_count > 0 ? &batch->pieces[batch->piece_count - 1] : NULL;

		if (!range_within(block * CACHE_BLOCK_BYTES, CACHE_BLOCK_BYTES, size_bytes) ||
		    batch->data_blocks == DATA_BLOCKS_MAX)
			break;
		if (last && block - end_block(last) <= GAP_BLOCKS)
			more = block + 1 - end_block(last);
		if (more > 1 && batch->data_blocks + more > DATA_BLOCKS_MAX)
			break;
		if (last && block + 1 - more == end_block(last))
			last->length_bytes += more * CACHE_BLOCK_BYTES;
		else
			batch->pieces[batch->piece_count++] = (struct ring_piece){
				.offset_bytes = block * CACHE_BLOCK_BYTES,
				.length_bytes = CACHE_BLOCK_BYTES,
			};
		batch->data_blocks += more;
	}
}

/* Under the lock. NULL: no memory. */
static struct batch *batch_new(const struct ahead *ahead, uint64_t size_bytes)
{
	struct batch *batch = calloc(1, sizeof(*batch));
	unsigned char *at;

	if (!batch)
		return NULL;
	make_pieces(ahead, batch, size_bytes);
	at = batch->data = cache_buffer_get(batch->data_blocks * CACHE_BLOCK_BYTES);
	if (!at) {
		free(batch);
		return NULL;
	}
	for (size_t i = 0; i < batch->piece_count; at += batch->pieces[i++].length_bytes)
		batch->pieces[i].buffer = at;
	return batch;
}

static void note_time(struct ahead *ahead, int64_t began_ns)
{
	int64_t last_ns = ahead->took_ns;

	ahead->ended_ns = clock_now_ns(CLOCK_MONOTONIC);
	ahead->took_ns = ahead->ended_ns - began_ns;
	ahead->takes_ns = last_ns < ahead->took_ns ? last_ns : ahead->took_ns;
	atomic_store(&ahead->slow, ahead->takes_ns > WAIT_SLOW_NS);
}

/* Under the lock, which is let go while it reads. Of no use if a call began meanwhile. */
static void read_batch(struct ahead *ahead, const struct ahead_source *source, bool prepared)
{
	struct batch *batch = batch_new(ahead, source->size_bytes);

	if (!batch) {
		/* Who waited for it looks for himself. */
		pthread_cond_broadcast(&ahead->done);
		return;
	}
	batch->prepared = prepared;
	batch->began_ns = ahead->reading_ns = clock_now_ns(CLOCK_MONOTONIC);
	ahead->reading++;
	pthread_mutex_unlock(&ahead->lock);
	source->read(source->context, batch->pieces, batch->piece_count);
	pthread_mutex_lock(&ahead->lock);
	ahead->reading--;
	note_time(ahead, batch->began_ns);
	if (batch->began_ns >= ahead->call_ns && (!ahead->batch || ahead->batch->began_ns < batch->began_ns)) {
		batch_free(ahead->batch);
		ahead->batch = STEAL_POINTER(batch);
	}
	batch_free(batch);
	pthread_cond_broadcast(&ahead->done);
}

/* Of a batch, or NULL. */
static bool copy_block(const struct batch *batch, uint64_t block, void *out)
{
	for (size_t i = 0; batch && i < batch->piece_count; i++) {
		const struct ring_piece *piece = &batch->pieces[i];
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

/* One of the call, as far as it is at hand; the first who asks reads it. Under the lock. */
static bool copy_range(struct ahead *ahead, const struct ahead_source *source, uint64_t block, size_t count, unsigned char *out)
{
	while (!ahead->batch && ahead->reading > 0 && ahead->reading_ns >= ahead->call_ns)
		pthread_cond_wait(&ahead->done, &ahead->lock);
	if (!ahead->batch)
		read_batch(ahead, source, false);
	for (size_t i = 0; i < count; i++)
		if (!copy_block(ahead->batch, block + i, out + i * CACHE_BLOCK_BYTES))
			return false;
	return true;
}

int ahead_read(struct ahead *ahead, const struct ahead_source *source, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	uint64_t first = offset_bytes / CACHE_BLOCK_BYTES;
	size_t count = length_bytes / CACHE_BLOCK_BYTES, aligned_bytes = cache_device_buffer_bytes(length_bytes);
	struct ring_piece piece = { .offset_bytes = offset_bytes, .length_bytes = length_bytes };
	bool found;

	pthread_mutex_lock(&ahead->lock);
	forget_unused(ahead);
	for (size_t i = 0; i < count; i++)
		want(ahead, first + i);
	found = copy_range(ahead, source, first, count, buffer);
	pthread_mutex_unlock(&ahead->lock);
	if (found)
		return 0;
	piece.buffer = cache_buffer_get(aligned_bytes);
	if (!piece.buffer)
		return -ENOMEM;
	source->read(source->context, &piece, 1);
	if (piece.result >= 0 && (size_t)piece.result >= length_bytes)
		memcpy(buffer, piece.buffer, length_bytes);
	cache_buffer_put(piece.buffer, aligned_bytes);
	return piece.result >= 0 && (size_t)piece.result >= length_bytes ? 0 : -EIO;
}

/* ---- before a call begins --------------------------------------------------- */

/* Is there what was prepared since then, or a call that began since? Then there is nothing to wait for. */
static bool is_prepared(const struct ahead *ahead, int64_t since_ns)
{
	return ahead->call_ns >= since_ns || (ahead->batch && ahead->batch->prepared && ahead->batch->began_ns >= since_ns);
}

/*
 * Those whom the last batch answered ask on, and those who were refused come back, all at about the same time; this one is to
 * be for them as well. Who comes when it has begun waits for its end, and for another one then, and on storage that
 * takes 300 ms that is more than a request has. It costs each look of slow storage 20 ms of its 300, and other storage nothing;
 * eight readers of files of 300 to 900 KB there needed 88 and 108 reads, and 15.3 and 18.6 s, without it, and 71, 78 and 71, and
 * 14.3, 15.2 and 14.3 s, with it (c6_slow_crowd). A lock is held by nobody meanwhile: who comes waits with it, on the same condition.
 */
static void gather(struct ahead *ahead)
{
	struct timespec until = clock_timespec(clock_now_ns(CLOCK_MONOTONIC) + WAIT_GATHER_NS);

	ahead->forming = true;
	while (atomic_load(&ahead->slow) && pthread_cond_timedwait(&ahead->done, &ahead->lock, &until) == 0)
		;
	ahead->forming = false;
}

/*
 * Whoever comes while one is read waits for its end. So none is begun for who does not wait for it: he comes back, and may be
 * in time then. Where it takes longer than anybody waits it is begun all the same, to see whether it still does.
 */
static bool is_too_late(const struct ahead *ahead, int64_t until_ns)
{
	return until_ns != 0 && ahead->takes_ns < WAIT_REQUEST_NS && clock_now_ns(CLOCK_MONOTONIC) + ahead->takes_ns > until_ns;
}

int ahead_prepare(struct ahead *ahead, const struct ahead_source *source, int64_t since_ns, int64_t until_ns)
{
	LOCK_SCOPE(&ahead->lock);
	/* Each turn waits for the end of one, or reads the one that will do. */
	while (ahead->count > 0 && !is_prepared(ahead, since_ns)) {
		if (ahead->forming || ahead->reading > 0) {
			pthread_cond_wait(&ahead->done, &ahead->lock);
			continue;
		}
		if (is_too_late(ahead, until_ns))
			return -ETIMEDOUT;
		gather(ahead);
		read_batch(ahead, source, true);
		break;
	}
	return 0;
}
