/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * read: a piece of an open version, from where it can be had.
 *
 * A copy, or a guard (read_guarded.h): what they hold is the version's, whatever is written. Where writes are
 * told after the fact, that nothing of it was written (read_told.h).
 *
 * Else straight from the image. What was handed out before is known by its hash,
 * and needs nothing else. What is new belongs to the same moment as all that is
 * known if entry, chain and known chunks were seen to hold before it was read and
 * after it: by a generation that stands on a steady device, or by comparing. And
 * it is no half of an update if the image was quiet then, for the settle time;
 * where that cannot be known, if it lasted as long itself. Otherwise the reader
 * waits, and the caller is asked to make a copy (copy.c) in the background.
 */
#pragma once

#include "cache/tree/bytes.h"
#include "cache/tree/types.h"

/*
 * Up to `length_bytes` from `offset_bytes`, fewer only at the end of the
 * version (none beyond it). All reads of one version see one content: -ESTALE
 * when that is gone, -EIO when the device fails.
 */
int cache_version_read(struct cache_version *version, struct cache_op *op, uint64_t offset_bytes,
		       size_t length_bytes, struct cache_bytes *bytes);
