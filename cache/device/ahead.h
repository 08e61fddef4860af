/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ahead: what each call reads of a device of which nothing is believed, in one go.
 *
 * Where no sign tells of changes, each call reads all again that its answer rests on:
 * table, volume, every directory on the way, chain, a small file's bytes. One after the other, that takes
 * many times what the device needs for one read, and on slow storage longer than a
 * request may take. It is nearly always what the calls before it read. So the first
 * read of a call fetches that as well, side by side, and the rest of the call is
 * answered from it.
 *
 * Nothing of it outlives a call: an observation of the device (ahead_begin) is where
 * one begins, and what was read before is not believed any more.
 *
 * Many ask at the same time, and storage may take longer for one such read than a request has. So whoever is about to
 * begin a call may have it read before (ahead_prepare), while other calls go on, and once for all who came until then:
 * what was read since somebody came is as new for him as what he reads himself.
 *
 * It knows whole blocks only. All functions may be called from any thread. Times are of CLOCK_MONOTONIC.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ahead;
struct ring_piece;

/* A device of that size. `read` reads pieces as ring_read_pieces does, and blocks. */
struct ahead_source {
	void (*read)(void *context, struct ring_piece *pieces, size_t count);
	void *context;
	uint64_t size_bytes;
};

struct ahead *ahead_new(void); /* NULL: no memory */
void ahead_free(struct ahead *ahead); /* NULL is fine */

/*
 * A call begins. It rests on what was prepared after `after_ns`, if that is newer than what the last one rests on; else
 * on what is read from now on. Returns when that began.
 */
int64_t ahead_begin(struct ahead *ahead, int64_t after_ns);

/*
 * Wait until what calls mostly rest on was read after `since_ns`: by another, or by this thread. -ETIMEDOUT: it would not be
 * by `until_ns` (not 0). 0: it was, or nothing came of it. Blocks.
 */
int ahead_prepare(struct ahead *ahead, const struct ahead_source *source, int64_t since_ns, int64_t until_ns);

/* Read the range, which begins and ends on CACHE_BLOCK_BYTES. 0, -EIO, -ENOMEM. Blocks. */
int ahead_read(struct ahead *ahead, const struct ahead_source *source, uint64_t offset_bytes, void *buffer, size_t length_bytes);

/* Did each of the last two such reads take longer than WAIT_SLOW_NS? Never blocks. */
bool ahead_is_slow(struct ahead *ahead);
