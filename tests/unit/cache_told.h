/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An image whose writes are told to its write log: the feed, the clock and what the device says are the
 * test's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/changes/guard.h"
#include "cache/changes/write_log.h"
#include "cache_device.h"

#define MIB (UINT64_C(1) << 20)

struct told_feed {
	struct write_feed feed; /* first */
	int64_t since_ns;	/* what listen() answers */
	const char *why_not;
	unsigned listened, drained, closed;
};

extern int64_t now_ns;			/* of both of the log's clocks */
extern struct cache_observation device; /* what it says at the next look */
extern struct write_log *told;
extern struct told_feed feed;

/* The clock; a log with the feed, or one that `reporter` tells (NULL: nobody does). Looked at twice. */
void told_start_feed(void);
void told_start_reported(void);
void told_end(void);

/* A teller that is no feed. */
extern const void *const server;

/* A look. Time goes on with each. */
struct cache_observation observe(void);

/* Nothing has to be preserved before it. */
void begin(const void *teller, uint64_t id, uint64_t offset_bytes, uint64_t length_bytes);
void begin_and_end(const void *teller, uint64_t offset_bytes, uint64_t length_bytes);

bool is_exact(void);

/* How many ranges were written since, and how many of them may be written just now; -1: anything. */
int changes_since(uint64_t generation);
int in_flight_now(void);

/* -1: not known. */
int64_t quiet_ns(const struct cache_range *where);

/* A guard of a file that is one piece of a device of 2 MiB; the test's reference. */
struct guard *guard_of(uint64_t offset_bytes, uint64_t length_bytes);
extern struct memory_device guarded_device;
extern unsigned char guarded_bytes[2 << 20];
