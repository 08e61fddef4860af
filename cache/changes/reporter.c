/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reporter: one open control file, from the bytes a server writes to what is
 * kept before the server goes on.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "cache/changes/reports_inside.h"

/* ---- reporters ----------------------------------------------------------- */

struct saving_item {
	struct guard *guard; /* a reference */
	struct cache_range range;
};

struct saving {
	struct reports *reports; /* a reference */
	_Atomic bool over;
	size_t count, capacity;
	struct saving_item *items;
};

/* Under the lock. Most images are never reported of, and there may be ten thousand. */
static bool have_log(struct reports *reports)
{
	if (!reports->log)
		reports->log = calloc(LOG_ENTRIES, sizeof(*reports->log));
	return reports->log != NULL;
}

int reporter_new(struct reports *reports, struct reporter **out)
{
	struct reporter *reporter = calloc(1, sizeof(*reporter));
	bool ready;

	if (!reporter)
		return -ENOMEM;
	pthread_mutex_lock(&reports->lock);
	ready = have_log(reports);
	if (ready) {
		pthread_mutex_init(&reporter->lock, NULL);
		reporter->reports = reports_ref(reports);
		reporter->next = reports->reporters;
		reports->reporters = reporter;
	}
	pthread_mutex_unlock(&reports->lock);
	if (!ready) {
		free(reporter);
		return -ENOMEM;
	}
	*out = reporter;
	return 0;
}

void reporter_free(struct reporter *reporter)
{
	struct reports *reports;
	pid_t process;
	bool in_flight;

	if (!reporter)
		return;
	reports = reporter->reports;
	pthread_mutex_lock(&reports->lock);
	for (struct reporter **at = &reports->reporters; *at; at = &(*at)->next) {
		if (*at == reporter) {
			*at = reporter->next;
			break;
		}
	}
	if (reporter->ledger)
		reporter_take_posted(reporter);
	in_flight = reporter->flights > 0;
	if (in_flight)
		reports_end_flights(reports, reporter, true, 0, reports->monotonic_ns());
	process = reporter->process;
	reports->speaking -= process != 0;
	reports->distrusted -= reporter->distrusted;
	pthread_mutex_unlock(&reports->lock);
	if (process != 0 && reports->company)
		reports->company->ops->forget(reports->company, process, in_flight);
	pthread_mutex_destroy(&reporter->lock);
	ledger_unshare(reporter->ledger);
	free(reporter);
	reports_unref(reports);
}

/* Which process writes; asked once for each thread. */
static pid_t process_of(struct reporter *reporter, pid_t thread)
{
	unsigned slot = (unsigned)thread % THREADS_KNOWN;

	if (thread <= 0)
		return 0;
	if (reporter->threads[slot] != thread) {
		reporter->threads[slot] = thread;
		reporter->processes[slot] = company_process_of(thread);
	}
	return reporter->processes[slot];
}

/* ---- taking in; under both locks ----------------------------------------- */

struct taking {
	struct reporter *reporter;
	pid_t process;
	struct saving *saving;
	bool spoke; /* it said what only a reporter of ranges says */
	unsigned events;
	bool ended; /* nothing of this reporter is in flight any more */
};

/* A write cannot be about more open files than this. */
#define SAVING_ITEMS_MAX 1024

/* Room for one more item of the saving, which is made with the first. NULL: there is none. */
static struct saving_item *one_more(struct taking *taking)
{
	struct reports *reports = taking->reporter->reports;
	struct saving *saving = taking->saving;

	if (!saving) {
		saving = taking->saving = calloc(1, sizeof(*saving));
		if (!saving)
			return NULL;
		saving->reports = reports_ref(reports);
		reports->saving_serial++;
	}
	if (saving->count == saving->capacity) {
		size_t capacity = saving->capacity ? saving->capacity * 2 : 4;
		void *grown = capacity > SAVING_ITEMS_MAX ? NULL :
							    reallocarray(saving->items, capacity, sizeof(*saving->items));

		if (!grown)
			return NULL;
		saving->items = grown;
		saving->capacity = capacity;
	}
	return &saving->items[saving->count++];
}

/*
 * A range of a guard is to be saved before the answer; all ranges of one report
 * as one. Without room it is lost at once.
 */
static void save_before_answer(struct taking *taking, struct guard *guard, const struct cache_range *range)
{
	struct reports *reports = taking->reporter->reports;
	struct guard_link *link = guard_link(guard);
	struct saving_item *item;

	if (taking->saving && link->serial == reports->saving_serial) {
		item = &taking->saving->items[link->item];
		item->range = cache_range_span(&item->range, range);
		return;
	}
	item = one_more(taking);
	if (!item) {
		reports->lost += guard_lose(guard, range);
		return;
	}
	*item = (struct saving_item){ guard_ref(guard), *range };
	link->serial = reports->saving_serial;
	link->item = (size_t)(item - taking->saving->items);
}

bool reporter_begin_write(struct reporter *reporter, struct flight *flight, bool followed)
{
	struct reports *reports = reporter->reports;

	reporter->writes++;
	reports->writes++;
	reports->written_bytes += flight->range.length_bytes;
	flight->reporter = reporter;
	flight->dull = reports_is_dull(reports, &flight->range);
	if (!reporter->distrusted && followed && reports_add_flight(reports, flight))
		return true;
	reports_distrust(reports, reporter);
	reports_start_over(reports);
	return false;
}

static void save_before_write(struct taking *taking, const struct flight *flight)
{
	if (flight->dull)
		return;
	for (struct guard *guard = taking->reporter->reports->guards; guard; guard = guard_link(guard)->next)
		if (extents_touch(guard_extents(guard), &flight->range))
			save_before_answer(taking, guard, &flight->range);
}

/* So many for one image: whoever looks at it takes what is in all of them. */
#define LEDGERS_MAX 16

static unsigned ledgers_of(const struct reports *reports)
{
	unsigned count = 0;

	for (const struct reporter *reporter = reports->reporters; reporter; reporter = reporter->next)
		count += reporter->ledger != NULL;
	return count;
}

/*
 * Only the first offer is looked at: that takes time, and a stream may be full of
 * them. False: it does without.
 */
static bool share_ledger(struct taking *taking, uint64_t fd)
{
	struct reporter *reporter = taking->reporter;
	bool again = reporter->offered;
	struct ledger *ledger;

	reporter->offered = true;
	/* Of a process that is seen from here as it sees itself. */
	if (again || taking->process == 0 || ledgers_of(reporter->reports) >= LEDGERS_MAX ||
	    ledger_share(taking->process, fd, reporter->reports->monotonic_ns(), &ledger) != 0)
		return false;
	reporter_use_ledger(reporter, ledger);
	return true;
}

static void take_event(void *context, const struct notify_event *event)
{
	struct taking *taking = context;
	struct reports *reports = taking->reporter->reports;
	struct flight flight;

	taking->events++;
	switch (event->kind) {
	case NOTIFY_BEGIN:
		taking->spoke = true;
		flight = (struct flight){
			.id = event->id,
			.range = { event->offset_bytes, event->length_bytes },
			.begun_ns = reports->monotonic_ns(),
		};
		if (reporter_begin_write(taking->reporter, &flight, taking->events <= REPORTS_EVENTS_MAX))
			save_before_write(taking, &flight);
		break;
	case NOTIFY_END:
		taking->spoke = true;
		if (taking->events > REPORTS_EVENTS_MAX)
			reports_distrust(reports, taking->reporter);
		else
			reports_end_flights(reports, taking->reporter, false, event->id, reports->monotonic_ns());
		break;
	case NOTIFY_LEDGER:
		if (share_ledger(taking, event->id))
			taking->spoke = true;
		break;
	case NOTIFY_FLUSH:
		reports->last_end_ns = reports->monotonic_ns();
		reports_start_over(reports);
		break;
	}
}

/* The reporter waits now for what it has posted. */
static void save_before_posted(struct taking *taking)
{
	struct reports *reports = taking->reporter->reports;

	reporter_take_posted(taking->reporter);
	for (size_t i = 0; i < reports->flight_count; i++) {
		struct flight *flight = &reports->flights[i];

		if (flight->reporter == taking->reporter && flight->unkept) {
			save_before_write(taking, flight);
			flight->unkept = false;
		}
	}
}

/* ---- what is written to the control file ----------------------------------- */

/* Does it speak for a process, now that it has said something? The text form only once it spoke of writes. */
static bool introduces_itself(const struct taking *taking)
{
	enum notify_form form = taking->reporter->parser.form;

	return taking->reporter->process == 0 && taking->process != 0 && form != NOTIFY_FORM_UNKNOWN &&
	       form != NOTIFY_FORM_BROKEN && (form != NOTIFY_FORM_TEXT || taking->spoke);
}

static bool take_in(struct taking *taking, const void *bytes, size_t length_bytes)
{
	struct reporter *reporter = taking->reporter;
	struct reports *reports = reporter->reports;
	size_t flights;
	bool introduced;

	LOCK_SCOPE(&reports->lock);
	flights = reporter->flights;
	notify_feed(&reporter->parser, bytes, length_bytes, take_event, taking);
	if (reporter->ledger)
		save_before_posted(taking);
	taking->ended = reporter->flights == 0 && (flights > 0 || taking->spoke || reporter->ledger);
	introduced = introduces_itself(taking);
	if (introduced) {
		reporter->process = taking->process;
		reports->speaking++;
	}
	/* What it spoke for once it must not be trusted with, once it cannot be followed, or is another process. */
	if (reporter->process != 0 &&
	    (!notify_form_is_exact(reporter->parser.form) || taking->process != reporter->process))
		reports_distrust(reports, reporter);
	return introduced;
}

/* More is for a thread of its own: other images' reports wait behind this one. */
#define SAVE_NOW_BYTES ((uint64_t)4 << 20)

/* Mostly the page cache has what is about to be overwritten: then nobody has to wait for another thread. */
static struct saving *save_now(struct saving *saving)
{
	uint64_t bytes = 0;
	bool saved;

	if (!saving)
		return NULL;
	for (size_t i = 0; i < saving->count; i++)
		bytes += saving->items[i].range.length_bytes;
	saved = bytes <= SAVE_NOW_BYTES;
	for (size_t i = 0; saved && i < saving->count; i++)
		saved = guard_save_now(saving->items[i].guard, &saving->items[i].range);
	if (!saved)
		return saving;
	saving_free(saving);
	return NULL;
}

struct saving *reporter_take(struct reporter *reporter, pid_t thread, const void *bytes, size_t length_bytes)
{
	struct company *company = reporter->reports->company;
	struct taking taking = { .reporter = reporter };

	LOCK_SCOPE(&reporter->lock);
	taking.process = process_of(reporter, thread);
	if (take_in(&taking, bytes, length_bytes) && company)
		company->ops->know(company, taking.process);
	/* All it has reported is done: what the kernel tells of it from now on it has not reported. */
	if (company && taking.ended && taking.process != 0)
		company->ops->look(company, &(struct company_state){ 0 });
	return save_now(taking.saving);
}

void reporter_take_late(struct reporter *reporter, pid_t thread, const void *bytes, size_t length_bytes)
{
	struct saving *saving;

	/* Who offered a ledger has been answered, and gone on without; another file may have its number by now. */
	pthread_mutex_lock(&reporter->lock);
	reporter->offered = true;
	pthread_mutex_unlock(&reporter->lock);
	saving = reporter_take(reporter, thread, bytes, length_bytes);
	if (!saving)
		return;
	saving_give_up(saving);
	saving_free(saving);
}

/* ---- copy before write --------------------------------------------------- */

void saving_run(struct saving *saving)
{
	for (size_t i = 0; i < saving->count && !atomic_load(&saving->over); i++)
		guard_save(saving->items[i].guard, &saving->items[i].range, &saving->over);
}

void saving_give_up(struct saving *saving)
{
	unsigned lost = 0;

	atomic_store(&saving->over, true);
	for (size_t i = 0; i < saving->count; i++)
		lost += guard_lose(saving->items[i].guard, &saving->items[i].range);
	LOCK_SCOPE(&saving->reports->lock);
	saving->reports->lost += lost;
}

void saving_free(struct saving *saving)
{
	if (!saving)
		return;
	reports_unref(saving->reports);
	for (size_t i = 0; i < saving->count; i++)
		guard_unref(saving->items[i].guard);
	free(saving->items);
	free(saving);
}
