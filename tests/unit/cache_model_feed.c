/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache_model_feed: the kernel's part of the model check, as cache/changes/kernel.c
 * has it: a writer is answered at once, ends are queued until the next look or the
 * next announcement, and it is listened to while somebody looks, or has files open.
 */
#include <stdlib.h>

#include "base/waits.h"
#include "cache/changes/pairing.h"
#include "cache/changes/guard.h"
#include "cache/changes/write_log.h"
#include "cache_model.h"

struct model_feed {
	struct write_feed feed; /* first */
	struct run *run;
	struct write_log *log;
	struct pairing pairing;
	int64_t since_ns, looked_ns;
	unsigned ended[STEPS_MAX]; /* threads, in the order of their ends */
	unsigned ended_count;
};

static struct model_feed *feed_of(struct write_feed *self)
{
	return (struct model_feed *)self;
}

static bool is_listening(const struct model_feed *feed)
{
	return feed->since_ns != 0 &&
	       (write_log_now_ns(feed->log) - feed->looked_ns < WAIT_LISTEN_NS || write_log_is_guarded(feed->log));
}

/* The writer may be at any point when listening begins. */
static int64_t listen(struct write_feed *self)
{
	struct model_feed *feed = feed_of(self);

	if (!is_listening(feed)) {
		feed->since_ns = 0;
		if (feed->run->memory.turn)
			feed->run->memory.turn(&feed->run->memory);
		pairing_begin(&feed->pairing, feed->log, feed);
		feed->since_ns = feed->pairing.begun_ns;
		feed->ended_count = 0;
	}
	feed->looked_ns = write_log_now_ns(feed->log);
	return feed->since_ns;
}

static void drain(struct write_feed *self)
{
	struct model_feed *feed = feed_of(self);

	for (unsigned i = 0; i < feed->ended_count; i++)
		pairing_modified(&feed->pairing, (pid_t)feed->ended[i]);
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

struct model_feed *model_feed_new(struct run *run, struct write_log *log)
{
	static const struct write_feed_ops ops = { listen, drain, why_not, close_feed };
	struct model_feed *feed = calloc(1, sizeof(*feed));

	*feed = (struct model_feed){ .feed.ops = &ops, .run = run, .log = log };
	write_log_set_feed(log, &feed->feed);
	return feed;
}

void model_feed_tell(struct model_feed *feed, const struct step *step)
{
	struct cache_range range = { step->offset_bytes, step->length_bytes };
	struct saving *saving = NULL;

	if (!is_listening(feed))
		return;
	if (step->phase == END) {
		cr_assert_lt(feed->ended_count, STEPS_MAX);
		feed->ended[feed->ended_count++] = step->thread;
		return;
	}
	drain(&feed->feed);
	pairing_announced(&feed->pairing, (pid_t)step->thread, &range, &saving);
	if (saving)
		saving_run(saving);
	saving_free(saving);
}
