/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache_feed.h"

#include <stdlib.h>

#include "base/waits.h"
#include "cache/changes/guard.h"
#include "cache/changes/guards.h"
#include "cache/changes/pairing.h"

#define ENDED_MAX 64

struct memory_feed {
	struct write_feed feed; /* first */
	struct memory_device *memory;
	struct write_log *log;
	struct pairing pairing;
	int64_t since_ns, looked_ns;
	pid_t ended[ENDED_MAX]; /* threads, in the order of their ends */
	unsigned ended_count;
};

static struct memory_feed *feed_of(struct write_feed *self)
{
	return (struct memory_feed *)self;
}

static bool is_listening(const struct memory_feed *feed)
{
	return feed->since_ns != 0 &&
	       (write_log_now_ns(feed->log) - feed->looked_ns < WAIT_LISTEN_NS || write_log_is_guarded(feed->log));
}

/* The writer may be at any point when listening begins. */
static int64_t listen(struct write_feed *self, bool may_block)
{
	struct memory_feed *feed = feed_of(self);

	(void)may_block;
	if (!is_listening(feed)) {
		feed->since_ns = 0;
		if (feed->memory->turn)
			feed->memory->turn(feed->memory);
		pairing_begin(&feed->pairing, feed->log, feed);
		feed->since_ns = feed->pairing.begun_ns;
		feed->ended_count = 0;
	}
	feed->looked_ns = write_log_now_ns(feed->log);
	return feed->since_ns;
}

static void drain(struct write_feed *self)
{
	struct memory_feed *feed = feed_of(self);

	for (unsigned i = 0; i < feed->ended_count; i++)
		pairing_modified(&feed->pairing, feed->ended[i]);
	feed->ended_count = 0;
}

static const char *why_not(struct write_feed *self)
{
	(void)self;
	return NULL;
}

static void close_feed(struct write_feed *self)
{
	free(feed_of(self));
}

struct memory_feed *memory_feed_new(struct memory_device *memory, struct write_log *log)
{
	static const struct write_feed_ops ops = { listen, drain, why_not, close_feed };
	struct memory_feed *feed = calloc(1, sizeof(*feed));

	if (!feed)
		abort();
	*feed = (struct memory_feed){ .feed.ops = &ops, .memory = memory, .log = log };
	write_log_set_feed(log, &feed->feed);
	return feed;
}

void memory_feed_announce(struct memory_feed *feed, pid_t thread, const struct cache_range *range)
{
	struct saving *saving = NULL;

	if (!is_listening(feed))
		return;
	drain(&feed->feed);
	pairing_announced(&feed->pairing, thread, range, &saving);
	if (saving)
		saving_run(saving);
	saving_free(saving);
}

void memory_feed_modified(struct memory_feed *feed, pid_t thread)
{
	if (!is_listening(feed))
		return;
	if (feed->ended_count == ENDED_MAX)
		abort();
	feed->ended[feed->ended_count++] = thread;
}

int64_t memory_feed_since_ns(const struct memory_feed *feed)
{
	return feed->since_ns;
}
