/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/patience.h"

#include "base/cleanup.h"

/* Requests of one system call follow each other closer than this, on a busy machine too. */
#define CLOSE_NS (60 * INT64_C(1000000))

void patience_init(struct patience *patience)
{
	*patience = (struct patience){ 0 };
	pthread_mutex_init(&patience->lock, NULL);
}

static unsigned slot_of(uint64_t number)
{
	return (unsigned)(number % PATIENCE_SLOTS);
}

/* Under the lock: may this be one more request of the system call the caller was in? */
static bool goes_on(const struct patience *patience, unsigned call, pid_t caller, uint64_t question, int64_t now_ns)
{
	return patience->calls[call].caller == caller && now_ns - patience->calls[call].answered_ns < CLOSE_NS &&
	       (patience->calls[call].refused == 0 || patience->calls[call].refused == question);
}

/* Under the lock: has it stood behind the last lookup that was waited for, since it was heard of? */
static bool stood_behind(const struct patience *patience, unsigned call, pid_t caller, int64_t now_ns)
{
	int64_t answered_ns = atomic_load(&patience->underway[call].answered_ns);

	return atomic_load(&patience->underway[call].caller) == caller && now_ns - answered_ns >= CLOSE_NS &&
	       patience->waited.answered_ns > answered_ns && now_ns - patience->waited.answered_ns < CLOSE_NS;
}

/* Under the lock: one more request of the system call the caller is in, or the first of another. */
static void count_call(struct patience *patience, unsigned call, pid_t caller, uint64_t question, int64_t allowed_ns,
		       int64_t now_ns)
{
	if (!goes_on(patience, call, caller, question, now_ns)) {
		patience->calls[call].caller = caller;
		patience->calls[call].deadline_ns = stood_behind(patience, call, caller, now_ns) ?
							    patience->waited.deadline_ns :
							    now_ns + allowed_ns;
		atomic_store(&patience->calls[call].stale, false);
	}
	patience->calls[call].refused = 0;
	patience->calls[call].answered_ns = now_ns;
}

/* Under the lock: was this waited for in vain, by this thread or while it stood in the kernel? */
static bool in_vain(const struct patience *patience, pid_t caller, uint64_t question, int64_t now_ns)
{
	unsigned asked = slot_of(question), call = slot_of((uint64_t)caller);

	/* Since the wait in vain, not since the last answer: whoever keeps asking waits again in a moment. */
	if (patience->questions[asked].question != question ||
	    now_ns - patience->questions[asked].refused_ns >= CLOSE_NS)
		return false;
	return caller == 0 || patience->questions[asked].caller == caller ||
	       atomic_load(&patience->underway[call].caller) != caller ||
	       now_ns - atomic_load(&patience->underway[call].answered_ns) >= CLOSE_NS;
}

int64_t patience_begin(struct patience *patience, pid_t caller, uint64_t question, int64_t allowed_ns, int64_t now_ns)
{
	unsigned call = slot_of((uint64_t)caller);

	LOCK_SCOPE(&patience->lock);
	if (in_vain(patience, caller, question, now_ns)) {
		/* Should it be answered now, then what follows is not waited for either. */
		if (caller != 0 && !goes_on(patience, call, caller, question, now_ns))
			count_call(patience, call, caller, question, 0, now_ns);
		return now_ns;
	}
	/* A caller in a PID namespace that we do not see has no number to know it by. */
	if (caller == 0)
		return now_ns + allowed_ns;
	count_call(patience, call, caller, question, allowed_ns, now_ns);
	return patience->calls[call].deadline_ns;
}

void patience_stale(struct patience *patience, pid_t caller, uint64_t question, int64_t allowed_ns, int64_t now_ns)
{
	unsigned call = slot_of((uint64_t)caller);

	if (caller == 0)
		return;
	LOCK_SCOPE(&patience->lock);
	/* However long this request waited: it is the same system call's. */
	if (patience->calls[call].caller == caller)
		patience->calls[call].answered_ns = now_ns;
	count_call(patience, call, caller, question, allowed_ns, now_ns);
	atomic_store(&patience->calls[call].stale, true);
}

bool patience_careful(struct patience *patience, pid_t caller)
{
	unsigned call = slot_of((uint64_t)caller);

	/* Asked of every request, so without the lock; a wrong answer makes a wait longer or shorter. */
	return caller != 0 && atomic_load(&patience->calls[call].caller) == caller &&
	       atomic_load(&patience->calls[call].stale);
}

/* Under the lock. */
static void count_answered(struct patience *patience, unsigned call, pid_t caller, uint64_t question, bool waited,
			   int64_t now_ns)
{
	bool same = atomic_load(&patience->calls[call].caller) == caller;

	if (same && (patience->calls[call].refused == 0 ? waited : goes_on(patience, call, caller, question, now_ns))) {
		/* What was refused and is asked again belongs to the same call, and so does what follows. */
		patience->calls[call].refused = 0;
		patience->calls[call].answered_ns = now_ns;
	} else if (!waited && stood_behind(patience, call, caller, now_ns)) {
		atomic_store(&patience->calls[call].caller, caller);
		count_call(patience, call, caller, question, 0, now_ns);
	}
	if (waited) {
		patience->waited.answered_ns = now_ns;
		patience->waited.deadline_ns = same ? patience->calls[call].deadline_ns : now_ns;
	}
}

void patience_answered(struct patience *patience, pid_t caller, uint64_t question, enum patience_place place, bool waited,
		       int64_t now_ns)
{
	unsigned call = slot_of((uint64_t)caller);
	bool silent = place == PATIENCE_PATH && now_ns - atomic_load(&patience->underway[call].answered_ns) >= CLOSE_NS;

	if (waited || silent || (caller != 0 && atomic_load(&patience->calls[call].caller) == caller)) {
		LOCK_SCOPE(&patience->lock);
		if (caller != 0)
			count_answered(patience, call, caller, question, waited, now_ns);
	}
	atomic_store(&patience->underway[call].answered_ns, now_ns);
	atomic_store(&patience->underway[call].caller, place == PATIENCE_OTHER ? 0 : caller);
}

void patience_refused(struct patience *patience, pid_t caller, uint64_t question, int64_t now_ns)
{
	unsigned asked = slot_of(question), call = slot_of((uint64_t)caller);

	LOCK_SCOPE(&patience->lock);
	patience->waited.answered_ns = patience->waited.deadline_ns = now_ns;
	/* Since the first refusal: whoever keeps asking waits again in a moment. */
	if (caller != 0 && patience->calls[call].caller == caller && patience->calls[call].refused != question) {
		patience->calls[call].refused = question;
		patience->calls[call].answered_ns = now_ns;
		atomic_store(&patience->calls[call].stale, false);
	}
	if (patience->questions[asked].question == question &&
	    now_ns - patience->questions[asked].refused_ns < CLOSE_NS)
		return;
	patience->questions[asked].question = question;
	patience->questions[asked].refused_ns = now_ns;
	patience->questions[asked].caller = caller;
}

void patience_ends(struct patience *patience, pid_t caller)
{
	unsigned call = slot_of((uint64_t)caller);

	if (caller != 0 && atomic_load(&patience->underway[call].caller) == caller)
		atomic_store(&patience->underway[call].caller, 0);
	if (caller != 0 && atomic_compare_exchange_strong(&patience->calls[call].caller, &caller, 0))
		atomic_store(&patience->calls[call].stale, false);
}
