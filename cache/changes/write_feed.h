/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * write_feed: who tells the write log (write_log.h) of every write to the image by anybody: the
 * kernel (kernel.h), the server of the image after the fact (nbd_writes.h), or the model check.
 * The log calls it, and owns it: write_log_set_feed, write_log_close_feed.
 *
 * Never called under the log's lock: a feed calls the log back.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/device/device.h"

/* First in a structure of the one who tells, and aligned as that one's 64-bit fields are: the one is cast to the other. */
struct write_feed {
	_Alignas(int64_t) const struct write_feed_ops *ops;
};

struct write_feed_ops {
	/*
	 * Tell of all writes that begin from now on; called before each look at the
	 * image. Returns since when it does without a gap (of write_log_now_ns), or 0
	 * when it cannot. -EAGAIN: it would have to wait, and may not.
	 */
	int64_t (*listen)(struct write_feed *feed, bool may_block);
	/* Tell what has happened until now. After the look. Never blocks. */
	void (*drain)(struct write_feed *feed);
	/* Constant text: why it does not tell; NULL when it does, or would. */
	const char *(*why_not)(struct write_feed *feed);
	void (*close)(struct write_feed *feed);
	/*
	 * Or NULL. In the place of drain: the feed is told itself, after the fact. Called right after the device was
	 * observed, and asks then; may block as the device's observe does. True: write_log_news was called with
	 * all that anybody wrote since it last was. `seen` may be corrected: its size.
	 */
	bool (*look)(struct write_feed *feed, struct cache_observation *seen);
	const char *source; /* which tells then: constant text */
};
