/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * bytes: what a read of a version gives: memory with its bytes, of its own or of a copy (kept.h), and whose it is.
 *
 * Any thread; each one's are its own.
 */
#pragma once

#include <stddef.h>

struct kept;

/* Bytes of a version in memory, until cache_bytes_release. */
struct cache_bytes {
	const unsigned char *data;
	size_t length_bytes;
	void *owner;
	size_t owner_bytes;
	struct kept *kept;
};

void cache_bytes_release(struct cache_bytes *bytes);

/* Own memory, into which a device may read so many bytes, from any offset. *bytes is empty until then. -ENOMEM. */
int cache_bytes_allocate(struct cache_bytes *bytes, size_t length_bytes);
