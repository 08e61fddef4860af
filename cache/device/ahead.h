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
 * Nothing of it outlives a call: an observation of the device (ahead_forget) is where
 * one begins, and what was read before is not believed any more.
 *
 * It knows whole blocks only. All functions may be called from any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct ahead;
struct ring_piece;

struct ahead *ahead_new(void); /* NULL: no memory */
void ahead_free(struct ahead *ahead); /* NULL is fine */

void ahead_forget(struct ahead *ahead);

/*
 * Read the range, which begins and ends on CACHE_BLOCK_BYTES, of a device of that size. `read` reads
 * pieces as ring_read_pieces does, and blocks. 0, -EIO, -ENOMEM.
 */
int ahead_read(struct ahead *ahead, void (*read)(void *context, struct ring_piece *pieces, size_t count), void *context,
	       uint64_t size_bytes, uint64_t offset_bytes, void *buffer, size_t length_bytes);
