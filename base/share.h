/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * share: how much of something one may have, and how much all together (CONTRACT S5).
 *
 * What is in use is counted; a limit refuses. An image's share is part of a whole,
 * in which all images' are counted too. However much the others hold, the whole does not
 * refuse the least part of a share: who needs little does not pay for those who take all.
 *
 * Zero-initialised with a limit it is ready. All functions may be called from any
 * thread, and never block.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/checked.h"

struct share {
	_Atomic uint64_t used_bytes;
	uint64_t limit_bytes; /* constant */
	struct share *whole;  /* constant: what it is a part of, and outlives it; or NULL */
};

static inline uint64_t share_used(const struct share *share)
{
	return atomic_load(&share->used_bytes);
}

/* It is in use, whatever the limits say. What replaces `old_bytes` is `new_bytes`. */
static inline void share_count(struct share *share, uint64_t old_bytes, uint64_t new_bytes)
{
	for (; share; share = share->whole)
		atomic_fetch_add(&share->used_bytes, new_bytes - old_bytes); /* modulo 2^64 */
}

static inline void share_give(struct share *share, uint64_t bytes)
{
	share_count(share, bytes, 0);
}

static inline uint64_t share_least(const struct share *share)
{
	return share->limit_bytes / 8;
}

/* Would so much more not be refused just now? */
static inline bool share_has_room(const struct share *share, uint64_t bytes)
{
	uint64_t used = share_used(share);

	return range_within(used, bytes, share->limit_bytes) &&
	       (!share->whole || range_within(used, bytes, share_least(share)) || share_has_room(share->whole, bytes));
}

/* Take from the share and its whole; false, and nothing is taken, when one of them would not last. */
static inline bool share_take(struct share *share, uint64_t bytes)
{
	uint64_t used = share_used(share);

	/* Repeats only while other threads take at the same time. */
	do {
		if (!range_within(used, bytes, share->limit_bytes))
			return false;
	} while (!atomic_compare_exchange_weak(&share->used_bytes, &used, used + bytes));
	if (!share->whole || range_within(used, bytes, share_least(share))) {
		share_count(share->whole, 0, bytes);
		return true;
	}
	if (share_take(share->whole, bytes))
		return true;
	atomic_fetch_sub(&share->used_bytes, bytes);
	return false;
}
