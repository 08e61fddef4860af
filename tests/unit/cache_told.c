/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache_told.h"
#include "cache/changes/burst.h"
#include "cache/changes/trust.h"

#include <criterion/criterion.h>
#include <stdlib.h>

int64_t now_ns;
struct cache_observation device;
struct write_log *told;
struct told_feed feed;
const void *const server = &server;
struct memory_device guarded_device;
unsigned char guarded_bytes[2 << 20];

static struct kept_budget *budget;

static int64_t test_clock(void)
{
	return now_ns;
}

static int64_t listen(struct write_feed *self, bool may_block)
{
	(void)self;
	(void)may_block;
	feed.listened++;
	return feed.since_ns;
}

static void drain(struct write_feed *self)
{
	(void)self;
	feed.drained++;
}

static const char *why_not(struct write_feed *self)
{
	(void)self;
	return feed.why_not;
}

static void close_feed(struct write_feed *self)
{
	(void)self;
	feed.closed++;
}

static const struct write_feed_ops ops = { listen, drain, why_not, close_feed };

static void start(void)
{
	now_ns = 1000 * SECOND;
	device = (struct cache_observation){ .generation = 1,
					     .size_bytes = 100 * MIB,
					     .stamp_ns = 5,
					     .quiet_ns = 100 * SECOND,
					     .steady = true };
	cr_assert_eq(write_log_new(&told), 0);
	write_log_set_clock(told, test_clock);
	memory_device_init(&guarded_device, DEVICE_EVENTS, guarded_bytes, sizeof(guarded_bytes));
	budget = kept_budget_new(&(struct kept_amount){ MIB, 64 * MIB, 100 }, "/tmp");
}

void told_start_feed(void)
{
	start();
	feed = (struct told_feed){ .feed.ops = &ops, .since_ns = now_ns };
	write_log_set_feed(told, &feed.feed);
	observe();
	now_ns += SECOND; /* what was under way then is over */
	observe();
}

void told_start_reported(void)
{
	start();
	observe();
	write_log_count_reporters(told, 1, 0);
	observe();
}

void told_end(void)
{
	write_log_unref(told);
	kept_budget_unref(budget);
}

struct cache_observation observe(void)
{
	struct cache_observation seen = device;

	now_ns += MS;
	write_log_listen(told, true);
	seen.now_ns = now_ns;
	write_log_observe(told, &seen);
	return seen;
}

void begin(const void *teller, uint64_t id, uint64_t offset_bytes, uint64_t length_bytes)
{
	struct cache_range range = { offset_bytes, length_bytes };
	struct saving *saving = NULL;

	cr_assert(write_log_begin(told, teller, id, &range, &saving));
	cr_assert_null(saving);
}

void begin_and_end(const void *teller, uint64_t offset_bytes, uint64_t length_bytes)
{
	begin(teller, 77, offset_bytes, length_bytes);
	cr_assert_eq(write_log_end(told, teller, 77), 1);
}

bool is_exact(void)
{
	struct write_log_status status;

	write_log_status(told, &status);
	return status.exact;
}

static struct cache_range ranges[2048];

int changes_since(uint64_t generation)
{
	size_t in_flight;

	return write_log_changes(told, generation, ranges, 2048, &in_flight);
}

int in_flight_now(void)
{
	size_t in_flight;

	return write_log_changes(told, UINT64_MAX, ranges, 2048, &in_flight) < 0 ? -1 : (int)in_flight;
}

int64_t quiet_ns(const struct cache_range *where)
{
	struct write_burst burst;

	return write_log_burst(told, where, 200 * MS, now_ns, &burst) == 0 ? burst.quiet_ns : -1;
}

struct guard *guard_of(uint64_t offset_bytes, uint64_t length_bytes)
{
	struct extents_run *run = malloc(sizeof(*run));
	struct extents *extents;
	struct guard *guard;

	*run = (struct extents_run){ offset_bytes, length_bytes, 0 };
	cr_assert_eq(extents_new(run, 1, length_bytes, &extents), 0);
	cr_assert_eq(guard_new(extents, &guarded_device.device, budget, &guard), 0);
	extents_unref(extents);
	return guard;
}
