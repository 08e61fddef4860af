/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reading: one read of an open version, and what all ways to do it (read.c, read_told.c, read_guarded.c) have in common.
 *
 * Under the image's lock, which is let go where it is said.
 */
#pragma once

#include <stdint.h>

#include "cache/tree/bytes.h"
#include "cache/tree/chunk.h"

struct reading {
	struct cache_version *version;
	struct cache_op *op;
	struct span span;	   /* what was asked for, widened to whole chunks */
	struct cache_bytes *bytes; /* of the span */
	struct chunk_hash *hashes; /* of its chunks */
	struct guard *guard;	   /* a reference: the version may get another while it is read; or NULL */
	struct span next;	   /* what is to be read ahead */
};

/* -EINPROGRESS: the read is to come back in that time, by that rule (constant text). */
int reading_come_back(struct reading *reading, int64_t retry_ns, const char *rule);

/* The same soon: not for a writer, but for our own reading of the device. */
int reading_come_back_soon(struct reading *reading, const char *rule);

/* The span as it is in the image now, at *data in the reading's own memory, and what is behind it ahead of its turn. Without the lock. */
int reading_take_bytes(struct reading *reading, unsigned char **data);

/*
 * The same with the hashes of its chunks, the lock let go meanwhile; and a look at the image that began when it was
 * read. -EIO: that of the read, or what explains it better.
 */
int reading_take_span(struct reading *reading);

/* What was handed out before is others' by now: the version is superseded. -ESTALE. */
int reading_differs(struct reading *reading);
