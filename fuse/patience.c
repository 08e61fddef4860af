/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/patience.h"

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

/* Under the lock: one more request of the system call the caller is in, or the first of another. */
static void count_call(struct patience *patience, unsigned call, pid_t caller, uint64_t question, int64_t allowed_ns,
		       int64_t now_ns)
{
	if (!goes_on(patience, call, caller, question, now_ns)) {
		patience->calls[call].caller = caller;
		patience->calls[call].deadline_ns = now_ns + allowed_ns;
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
	if (in_vain(patience, caller, question, now_ns))
		return now_ns;
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

void patience_answered(struct patience *patience, pid_t caller, uint64_t question, bool waited, int64_t now_ns)
{
	unsigned call = slot_of((uint64_t)caller);

	atomic_store(&patience->underway[call].answered_ns, now_ns);
	atomic_store(&patience->underway[call].caller, caller);
	if (caller == 0 || atomic_load(&patience->calls[call].caller) != caller)
		return;
	LOCK_SCOPE(&patience->lock);
	/* What was refused and is asked again belongs to the same call, and so does what follows. */
	if (patience->calls[call].refused == 0 ? waited : goes_on(patience, call, caller, question, now_ns)) {
		patience->calls[call].refused = 0;
		patience->calls[call].answered_ns = now_ns;
	}
}

void patience_refused(struct patience *patience, pid_t caller, uint64_t question, int64_t now_ns)
{
	unsigned asked = slot_of(question), call = slot_of((uint64_t)caller);

	LOCK_SCOPE(&patience->lock);
	if (caller != 0 && patience->calls[call].caller == caller) {
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

	if (caller != 0 && atomic_compare_exchange_strong(&patience->calls[call].caller, &caller, 0))
		atomic_store(&patience->calls[call].stale, false);
}
