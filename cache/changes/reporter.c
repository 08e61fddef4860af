/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/reporter.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "cache/changes/guard.h"

/*
 * A server writes one record at a time, or a few. Each is held against what is in
 * flight and open: more at once are not followed.
 */
#define EVENTS_MAX 256

/* Of one write so much is taken in before it is asked whether that was too much. */
#define SLICE_BYTES 1024

struct reporter {
	struct write_log *log; /* a reference */
	pthread_mutex_t lock;  /* held while a piece of the stream is taken in; the log's lock inside */
	struct notify_parser parser;
	pid_t thread;	 /* who wrote last; 0: nobody yet */
	bool speaks;	 /* it tells of writes, and counts as one who does */
	bool distrusted; /* it cannot be followed, until it is closed */
	uint64_t writes;
	struct reporter *next, **link; /* all_lock */
};

/* All of them, for status; each one's own lock is taken inside. */
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static struct reporter *all;

int reporter_new(struct write_log *log, struct reporter **out)
{
	struct reporter *reporter = calloc(1, sizeof(*reporter));

	if (!reporter)
		return -ENOMEM;
	pthread_mutex_init(&reporter->lock, NULL);
	reporter->log = write_log_ref(log);
	LOCK_SCOPE(&all_lock);
	reporter->next = all;
	reporter->link = &all;
	if (all)
		all->link = &reporter->next;
	all = reporter;
	*out = reporter;
	return 0;
}

void reporter_free(struct reporter *reporter)
{
	if (!reporter)
		return;
	pthread_mutex_lock(&all_lock);
	*reporter->link = reporter->next;
	if (reporter->next)
		reporter->next->link = reporter->link;
	pthread_mutex_unlock(&all_lock);
	write_log_end_all(reporter->log, reporter);
	write_log_count_reporters(reporter->log, -reporter->speaks, -reporter->distrusted);
	write_log_unref(reporter->log);
	pthread_mutex_destroy(&reporter->lock);
	free(reporter);
}

/* ---- taking in; under the lock --------------------------------------------- */

struct taking {
	struct reporter *reporter;
	struct saving *saving;
	unsigned events;
	bool spoke; /* it said what only a reporter of ranges says */
};

static void distrust(struct reporter *reporter)
{
	if (reporter->distrusted)
		return;
	reporter->distrusted = true;
	write_log_end_all(reporter->log, reporter);
	write_log_count_reporters(reporter->log, 0, 1);
}

static void take_write(struct taking *taking, const struct notify_event *event)
{
	struct reporter *reporter = taking->reporter;
	struct cache_range range = { event->offset_bytes, event->length_bytes };

	reporter->writes++;
	if (reporter->distrusted || write_log_has_feed(reporter->log))
		return;
	if (taking->events > EVENTS_MAX ||
	    !write_log_begin(reporter->log, reporter, event->id, &range, &taking->saving))
		distrust(reporter);
}

static void take_event(void *context, const struct notify_event *event)
{
	struct taking *taking = context;
	struct reporter *reporter = taking->reporter;

	taking->events++;
	switch (event->kind) {
	case NOTIFY_BEGIN:
		taking->spoke = true;
		take_write(taking, event);
		break;
	case NOTIFY_END:
		taking->spoke = true;
		if (taking->events > EVENTS_MAX)
			distrust(reporter);
		else
			write_log_end(reporter->log, reporter, event->id);
		break;
	case NOTIFY_FLUSH:
		write_log_start_over(reporter->log);
		break;
	}
}

/* Does it tell of all its writes, now that it has said something? The text form only once it spoke of writes. */
static bool introduces_itself(const struct taking *taking)
{
	enum notify_form form = taking->reporter->parser.form;

	return !taking->reporter->speaks && form != NOTIFY_FORM_UNKNOWN && form != NOTIFY_FORM_BROKEN &&
	       (form != NOTIFY_FORM_TEXT || taking->spoke);
}

/* Who says too much at once is not understood any more: the rest costs nothing. Others wait meanwhile. */
static void take_slices(struct taking *taking, const char *bytes, size_t length_bytes)
{
	struct notify_parser *parser = &taking->reporter->parser;

	for (size_t at = 0; at < length_bytes && taking->events <= EVENTS_MAX; at += SLICE_BYTES)
		notify_feed(parser, bytes + at, min_u64(SLICE_BYTES, length_bytes - at), take_event, taking);
	if (taking->events > EVENTS_MAX)
		parser->form = NOTIFY_FORM_BROKEN;
}

struct saving *reporter_take(struct reporter *reporter, pid_t thread, const void *bytes, size_t length_bytes)
{
	struct taking taking = { .reporter = reporter };

	LOCK_SCOPE(&reporter->lock);
	reporter->thread = thread;
	take_slices(&taking, bytes, length_bytes);
	if (introduces_itself(&taking)) {
		reporter->speaks = true;
		write_log_count_reporters(reporter->log, 1, 0);
	}
	if (reporter->speaks && !notify_form_is_exact(reporter->parser.form))
		distrust(reporter);
	if (!saving_run_now(taking.saving))
		return taking.saving;
	saving_free(taking.saving);
	return NULL;
}

void reporter_take_late(struct reporter *reporter, pid_t thread, const void *bytes, size_t length_bytes)
{
	struct saving *saving = reporter_take(reporter, thread, bytes, length_bytes);

	if (!saving)
		return;
	write_log_count_lost(reporter->log, saving_give_up(saving));
	saving_free(saving);
}

void reports_status(struct write_log *log, struct reports_status *status)
{
	*status = (struct reports_status){ 0 };
	write_log_status(log, &status->log);
	LOCK_SCOPE(&all_lock);
	for (struct reporter *reporter = all; reporter; reporter = reporter->next) {
		LOCK_SCOPE(&reporter->lock);
		if (reporter->log != log || reporter->parser.form == NOTIFY_FORM_UNKNOWN)
			continue;
		if (status->reporters < REPORTS_STATUS_REPORTERS)
			status->reporter[status->reporters] = (struct reporter_status){
				reporter->thread,
				reporter->distrusted ? NOTIFY_FORM_BROKEN : reporter->parser.form,
				reporter->writes,
			};
		status->reporters++;
	}
}
