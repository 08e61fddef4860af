/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stream: a copy of an open version that is served while it is made, on slow storage of which nothing is
 * believed.
 *
 * There each byte is read twice: content has to have lasted before it is served, and who opens a file is to
 * get what was read after that. Of a large file one reading alone takes longer than any READ is waited for,
 * and who was refused comes back with another open. So:
 *
 *   First all of it is read and noted, by hashes alone, whether anybody has it open or not. What was noted
 *   says only since when bytes have been as they are: so it is good for whoever opens the file later.
 *
 *   Then, for those who have it open by now, it is read once more, from its begin to its end, into the copy.
 *   What is as it was noted, and entry and chain as well when they were looked at after it, is served at
 *   once. It is fresh, for it was read after the open (C1). And it is whole (C2): each byte that is served
 *   was there before the second reading began and in it, so all of them were there when it began, with the
 *   entry and the chain, and had been so for as long as content has to last. The first difference ends the
 *   version.
 *
 * Whoever opens the file after the second reading began gets another inode, which takes over what was noted
 * (dir_retire).
 *
 * Reads are under way together where that is sooner (pace.h), and of few files of an image at a time: a look
 * at the image is not to wait for many of them.
 */
#pragma once

#include "cache/tree/version.h"

/*
 * Go on with it, for copy.c. Under the image's lock, which is let go meanwhile; version->extents is there,
 * nobody else is at it. 0: version->kept is all of it. -EINPROGRESS: call again after op->retry_ns.
 * -ECANCELED: nobody has it open; what was noted stays. -ESTALE: superseded. Others: it cannot be made.
 */
int stream_copy(struct cache_version *version, struct cache_op *op);

/* Is so much of it there to be served? Then from version->growing. Under the lock. */
bool stream_has(const struct cache_version *version, uint64_t offset_bytes, size_t length_bytes);

/* Is it its turn, and did anything of it come of late? Then the rest is worth waiting for. Likewise. */
bool stream_moves(const struct cache_version *version);
