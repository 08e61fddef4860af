/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/nbd.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/waits.h"
#include "cache/device/ahead.h"
#include "cache/device/nbd_export.h"
#include "cache/device/nbd_loop.h"
#include "cache/device/nbd_target.h"
#include "cache/device/ring.h"

struct nbd {
	struct cache_device device; /* first: a cache_device is one */
	struct nbd_target *target;  /* constant, as the next two */
	struct nbd_export *nbd_export;
	struct ahead *ahead;	    /* or NULL */
	pthread_mutex_t lock;
	uint64_t generation;	    /* lock */
	int64_t observed_ns;	    /* lock: what the last observation rests on was read since then */
	int64_t changed_ns;	    /* lock: CLOCK_MONOTONIC, when its size was first seen, or seen to be another */
	struct nbd_look look;	    /* lock: the last one */
	_Atomic uint64_t size_bytes; /* as last observed */
	atomic_bool told;	    /* what was written: nothing is read ahead */
};

static struct nbd *nbd_of(struct cache_device *device)
{
	return (struct nbd *)device;
}

static void answered(struct nbd *nbd)
{
	atomic_store(&nbd->device.answered_ns, clock_now_ns(CLOCK_MONOTONIC));
}

static bool reads_ahead(const struct nbd *nbd)
{
	return nbd->ahead && !atomic_load(&nbd->told);
}

static int look_at_export(struct nbd *nbd, int64_t since_ns, struct nbd_look *look)
{
	int error = nbd->nbd_export ? nbd_export_look(nbd->nbd_export, since_ns, WAIT_NBD_LOOK_NS, look) : -EIO;

	if (error == 0)
		nbd_export_renew(nbd->nbd_export);
	return error;
}

/*
 * It was looked at. What is read from now on is of that look, and what was prepared, if that is newer than
 * the last one and of the same size. It was read over a connection that was young enough then, as the look's
 * is.
 */
static void note_look(struct nbd *nbd, const struct nbd_look *look, int64_t after_ns)
{
	bool same_size = nbd->generation > 0 && look->size_bytes == atomic_load(&nbd->size_bytes);

	nbd->observed_ns = clock_now_ns(CLOCK_MONOTONIC);
	if (nbd->ahead)
		nbd->observed_ns =
			ahead_begin(nbd->ahead, same_size && reads_ahead(nbd) ? after_ns : INT64_MAX);
	nbd->generation++;
	if (!same_size)
		nbd->changed_ns = nbd->observed_ns;
	atomic_store(&nbd->size_bytes, look->size_bytes);
	atomic_store(&nbd->device.slow, reads_ahead(nbd) && ahead_is_slow(nbd->ahead));
	nbd->look = *look;
}

static int nbd_observe(struct cache_device *device, bool may_block, int64_t since_ns, struct cache_observation *out)
{
	struct nbd *nbd = nbd_of(device);
	struct nbd_look look;
	int error;

	(void)since_ns; /* no queue */
	if (!may_block)
		return -EAGAIN;
	error = look_at_export(nbd, 0, &look);
	if (error != 0)
		return error;
	LOCK_SCOPE(&nbd->lock);
	note_look(nbd, &look, nbd->observed_ns);
	*out = (struct cache_observation){
		.generation = nbd->generation,
		.size_bytes = look.size_bytes,
		.quiet_ns = nbd->observed_ns - nbd->changed_ns,
		.now_ns = nbd->observed_ns,
		.looked_ns = nbd->observed_ns,
		.blind = true,
		.signless = true,
	};
	return 0;
}

/* ---- bytes ------------------------------------------------------------------ */

static size_t requests_in(size_t length_bytes)
{
	return (length_bytes + NBD_REQUEST_BYTES_MAX - 1) / NBD_REQUEST_BYTES_MAX;
}

/* Cut it into requests; how many. */
static size_t cut(const struct ring_piece *piece, struct ring_piece *requests)
{
	size_t count = 0;

	for (size_t at = 0; at < piece->length_bytes; at += NBD_REQUEST_BYTES_MAX)
		requests[count++] = (struct ring_piece){
			.offset_bytes = piece->offset_bytes + at,
			.buffer = (unsigned char *)piece->buffer + at,
			.length_bytes = (size_t)min_u64(piece->length_bytes - at, NBD_REQUEST_BYTES_MAX),
		};
	return count;
}

/* Whole, or not at all. */
static ssize_t result_of(const struct ring_piece *requests, size_t count)
{
	ssize_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		if (requests[i].result < 0)
			return requests[i].result;
		sum += requests[i].result;
	}
	return sum;
}

/* As ring_read_pieces. */
static void read_pieces(void *context, struct ring_piece *pieces, size_t count)
{
	struct nbd *nbd = context;
	CLEANUP_FREE struct ring_piece *requests = NULL;
	size_t request_count = 0, at = 0;

	for (size_t i = 0; i < count; i++)
		request_count += requests_in(pieces[i].length_bytes);
	requests = reallocarray(NULL, request_count + 1, sizeof(*requests));
	for (size_t i = 0; requests && i < count; i++)
		at += cut(&pieces[i], requests + at);
	if (requests)
		nbd_export_read(nbd->nbd_export, requests, request_count);
	at = 0;
	for (size_t i = 0; i < count; i++) {
		pieces[i].result = requests ? result_of(requests + at, requests_in(pieces[i].length_bytes)) : -ENOMEM;
		at += requests_in(pieces[i].length_bytes);
	}
	answered(nbd);
}

static int read_range(struct nbd *nbd, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	struct ring_piece piece = { .offset_bytes = offset_bytes, .buffer = buffer, .length_bytes = length_bytes };

	read_pieces(nbd, &piece, 1);
	return piece.result == (ssize_t)length_bytes ? 0 : piece.result == -ENOMEM ? -ENOMEM : -EIO;
}

static bool is_on_grid(uint64_t offset_bytes, size_t length_bytes)
{
	return offset_bytes % CACHE_BLOCK_BYTES == 0 && length_bytes % CACHE_BLOCK_BYTES == 0;
}

/* For who is to begin a call, over a connection that is good for a look even now. */
static void read_prepared(void *context, struct ring_piece *pieces, size_t count)
{
	struct nbd *nbd = context;
	struct nbd_look look;

	if (nbd_export_look(nbd->nbd_export, 0, 0, &look) == 0)
		read_pieces(nbd, pieces, count);
	else
		for (size_t i = 0; i < count; i++)
			pieces[i].result = -EIO;
}

/*
 * Not where writes are told: then what is read is what was written. Nor of a store that is not slow: not every call
 * needs it. Nor where nobody is connected: who looks connects, and asks for NAME@writes before that.
 */
static bool nbd_prepares(struct cache_device *device)
{
	struct nbd *nbd = nbd_of(device);

	return reads_ahead(nbd) && ahead_is_slow(nbd->ahead) && nbd_device_is_connected(device);
}

static int nbd_prepare(struct cache_device *device, int64_t since_ns, int64_t until_ns)
{
	struct nbd *nbd = nbd_of(device);
	struct ahead_source source = { read_prepared, nbd, atomic_load(&nbd->size_bytes) };
	struct nbd_look look;
	int error = look_at_export(nbd, 0, &look);

	return error == 0 ? ahead_prepare(nbd->ahead, &source, since_ns, until_ns) : error;
}

static int nbd_read_blocks(struct cache_device *device, bool may_block, uint64_t offset_bytes, void *buffer,
			   size_t length_bytes)
{
	struct nbd *nbd = nbd_of(device);
	uint64_t size_bytes = atomic_load(&nbd->size_bytes);
	struct ahead_source source = { read_pieces, nbd, size_bytes };

	if (!range_within(offset_bytes, length_bytes, size_bytes))
		return -EIO;
	if (!may_block)
		return -EAGAIN;
	if (reads_ahead(nbd) && is_on_grid(offset_bytes, length_bytes))
		return ahead_read(nbd->ahead, &source, offset_bytes, buffer, length_bytes);
	return read_range(nbd, offset_bytes, buffer, length_bytes);
}

/* A small file is compared with each open: with all else that is read then. */
#define AHEAD_DATA_BYTES ((uint64_t)64 << 10)

/* *left is what there is to read of it: whole blocks, as far as the export has them, since some servers read nothing else; or nothing. */
static int left_of_piece(struct nbd *nbd, struct cache_piece *piece, struct ring_piece *left)
{
	uint64_t size_bytes = atomic_load(&nbd->size_bytes);
	uint64_t start = round_down_u64(piece->offset_bytes, CACHE_BLOCK_BYTES), end;
	struct ahead_source source = { read_pieces, nbd, size_bytes };

	*left = (struct ring_piece){ 0 };
	if (!range_within(piece->offset_bytes, piece->length_bytes, size_bytes) ||
	    !round_up_u64(piece->offset_bytes + piece->length_bytes, CACHE_BLOCK_BYTES, &end))
		return -EIO;
	piece->bytes = (unsigned char *)piece->buffer + (piece->offset_bytes - start);
	end = min_u64(end, size_bytes);
	if (reads_ahead(nbd) && is_on_grid(start, (size_t)(end - start)) && end - start <= AHEAD_DATA_BYTES)
		return ahead_read(nbd->ahead, &source, start, piece->buffer, (size_t)(end - start));
	*left = (struct ring_piece){ .offset_bytes = start, .buffer = piece->buffer, .length_bytes = (size_t)(end - start) };
	return 0;
}

static int nbd_read_pieces(struct cache_device *device, struct cache_piece *pieces, size_t count)
{
	struct nbd *nbd = nbd_of(device);
	struct ring_piece left[CACHE_PIECES_MAX];
	size_t left_count = 0;

	for (size_t i = 0; i < count; i++) {
		int error = left_of_piece(nbd, &pieces[i], &left[left_count]);

		if (error != 0)
			return error;
		left_count += left[left_count].length_bytes > 0;
	}
	if (left_count > 0)
		read_pieces(nbd, left, left_count);
	for (size_t i = 0; i < left_count; i++)
		if (left[i].result != (ssize_t)left[i].length_bytes)
			return left[i].result == -ENOMEM ? -ENOMEM : -EIO;
	return 0;
}

/* ---- life ------------------------------------------------------------------- */

static const char *nbd_describe(struct cache_device *device)
{
	(void)device;
	return "by nothing (everything is read again)";
}

static const char *nbd_problem(struct cache_device *device)
{
	return nbd_target_problem(nbd_of(device)->target);
}

static void nbd_close_device(struct cache_device *device)
{
	struct nbd *nbd = nbd_of(device);

	nbd_export_free(nbd->nbd_export);
	nbd_target_unref(nbd->target);
	ahead_free(nbd->ahead);
	pthread_mutex_destroy(&nbd->lock);
	free(nbd);
}

static const struct cache_device_ops nbd_ops = {
	.observe = nbd_observe,
	.prepare = nbd_prepare,
	.prepares = nbd_prepares,
	.read_blocks = nbd_read_blocks,
	.read_pieces = nbd_read_pieces,
	.describe = nbd_describe,
	.problem = nbd_problem,
	.close = nbd_close_device,
};

struct nbd_target *nbd_device_target(struct cache_device *device)
{
	return nbd_of(device)->target;
}

void nbd_device_looked(struct cache_device *device, struct nbd_look *look)
{
	struct nbd *nbd = nbd_of(device);

	LOCK_SCOPE(&nbd->lock);
	*look = nbd->look;
}

int nbd_device_look_again(struct cache_device *device, int64_t since_ns, struct nbd_look *look)
{
	struct nbd *nbd = nbd_of(device);
	int error = look_at_export(nbd, since_ns, look);

	if (error != 0)
		return error;
	LOCK_SCOPE(&nbd->lock);
	note_look(nbd, look, INT64_MAX);
	return 0;
}

bool nbd_device_is_connected(struct cache_device *device)
{
	const struct nbd *nbd = nbd_of(device);

	return nbd->nbd_export && nbd_export_is_connected(nbd->nbd_export);
}

void nbd_device_set_told(struct cache_device *device, bool told)
{
	struct nbd *nbd = nbd_of(device);

	atomic_store(&nbd->told, told);
	if (told && nbd->ahead)
		ahead_begin(nbd->ahead, INT64_MAX);
}

int nbd_device_new(struct nbd_target *target, struct cache_device **device)
{
	struct nbd *nbd = calloc(1, sizeof(*nbd));
	int error;

	*device = NULL;
	if (!nbd)
		return -ENOMEM;
	error = nbd_loop_start();
	if (error == 0)
		error = nbd_export_new(target, &nbd->nbd_export);
	else if (error == -EOPNOTSUPP)
		nbd_target_set_state(target, NBD_FAILED, "it is behind a block server, and imagefs was built without libnbd", "");
	if (error != 0 && error != -EOPNOTSUPP) {
		free(nbd);
		return error;
	}
	nbd->device.ops = &nbd_ops;
	nbd->target = nbd_target_ref(target);
	nbd->ahead = ahead_new();
	pthread_mutex_init(&nbd->lock, NULL);
	*device = &nbd->device;
	return 0;
}
