/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/wait_share.h"

#include <pthread.h>
#include <stddef.h>

#include "base/cleanup.h"

_Static_assert(WAIT_IMAGE_SPAN_NS % WAIT_SHARE_SLOT_NS == 0 && WAIT_SHARE_SLOT_NS <= UINT32_MAX,
	       "slots make up a span, and a whole one can be counted");

/* For all of them: it is held for some additions, and taken only by requests that have to wait. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int64_t min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Under the lock: go on to `now_ns`, waiting or not. Bounded by the slots. */
static void count(struct wait_share *share, int64_t now_ns, bool waiting)
{
	int64_t at_ns = share->counted_ns, oldest_ns = now_ns - now_ns % WAIT_SHARE_SLOT_NS - WAIT_IMAGE_SPAN_NS;

	if (at_ns < oldest_ns)
		at_ns = oldest_ns;
	while (at_ns < now_ns) {
		int64_t slot = at_ns / WAIT_SHARE_SLOT_NS, end_ns = min((slot + 1) * WAIT_SHARE_SLOT_NS, now_ns);
		uint32_t *waited_ns = &share->waited_ns[slot % WAIT_SHARE_SLOTS];

		if (at_ns % WAIT_SHARE_SLOT_NS == 0)
			*waited_ns = 0; /* what it says is of a span ago */
		if (waiting)
			*waited_ns += (uint32_t)(end_ns - at_ns);
		at_ns = end_ns;
	}
	if (share->counted_ns < now_ns)
		share->counted_ns = now_ns;
}

/*
 * Under the lock: of the span that will end at `until_ns`, when it waits from `now_ns` on. Slots behind
 * what was counted are of a span ago; what others waited for since `now_ns` is beside it.
 */
static int64_t waited_until(const struct wait_share *share, int64_t rest_ns, int64_t now_ns, int64_t until_ns)
{
	int64_t first = (until_ns - WAIT_IMAGE_SPAN_NS) / WAIT_SHARE_SLOT_NS, sum_ns = until_ns - now_ns;
	int64_t rest = (rest_ns + WAIT_SHARE_SLOT_NS - 1) / WAIT_SHARE_SLOT_NS;

	for (int64_t slot = first < rest ? rest : first; slot <= min(share->counted_ns, now_ns) / WAIT_SHARE_SLOT_NS; slot++)
		sum_ns += share->waited_ns[slot % WAIT_SHARE_SLOTS];
	return sum_ns;
}

/* Under the lock. NULL: not known, and not to be made. */
static struct wait_share *find(struct wait_shares *shares, uint64_t image, pid_t thread, bool make)
{
	uint64_t hash = (image ^ (uint64_t)thread) * UINT64_C(0x9e3779b97f4a7c15);
	struct wait_share *set = shares->shares[hash >> 32 & (WAIT_SHARE_SETS - 1)], *oldest = NULL;

	for (size_t i = 0; i < WAIT_SHARE_WAYS; i++) {
		if (set[i].image == image && set[i].thread == thread)
			return &set[i];
		if (!oldest || set[i].counted_ns < oldest->counted_ns)
			oldest = &set[i];
	}
	if (!make)
		return NULL;
	*oldest = (struct wait_share){ .image = image, .thread = thread };
	return oldest;
}

/* Under the lock. */
static int64_t debt_at(const struct wait_debt *debt, int64_t now_ns)
{
	int64_t forgiven_ns = (now_ns - debt->at_ns) / WAIT_OFFENDER_FORGIVEN;

	return debt->debt_ns > forgiven_ns ? debt->debt_ns - forgiven_ns : 0;
}

/* Under the lock. Its place; or that of who owes least, with `image` another. */
static struct wait_debt *find_debt(struct wait_shares *shares, uint64_t image, int64_t now_ns)
{
	struct wait_debt *set = shares->debts[image * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (WAIT_SHARE_SETS - 1)], *least = set;

	for (size_t i = 0; i < WAIT_SHARE_DEBT_WAYS; i++) {
		if (set[i].image == image)
			return &set[i];
		if (debt_at(&set[i], now_ns) < debt_at(least, now_ns))
			least = &set[i];
	}
	return least;
}

/* Under the lock: was it waited for in vain, by a thread that serves others too? */
static bool is_offender(struct wait_shares *shares, uint64_t image, pid_t thread, int64_t now_ns)
{
	const struct wait_debt *debt = find_debt(shares, image, now_ns);

	return thread != WAIT_SHARE_ALL && debt->image == image && debt_at(debt, now_ns) > WAIT_OFFENDER_NS &&
	       wait_share_serves_others(shares, thread, now_ns);
}

static struct wait_asker *asker(struct wait_shares *shares, pid_t thread)
{
	return &shares->askers[(uint32_t)thread * UINT32_C(0x9e3779b9) >> 24 & (WAIT_SHARE_ASKERS - 1)];
}

void wait_share_asked(struct wait_shares *shares, uint64_t image, pid_t thread, int64_t (*now_ns)(void))
{
	struct wait_asker *at = asker(shares, thread);

	if (at->thread != thread) {
		at->other_ns = 0;
		at->image = image;
		at->thread = thread;
	} else if (at->image != image) {
		at->image = image;
		at->other_ns = now_ns();
	}
}

bool wait_share_serves_others(struct wait_shares *shares, pid_t thread, int64_t now_ns)
{
	const struct wait_asker *at = asker(shares, thread);
	int64_t other_ns = at->other_ns;

	return at->thread == thread && other_ns != 0 && now_ns - other_ns < WAIT_OTHER_IMAGE_NS;
}

/* Under the lock. */
static void count_wait(struct wait_shares *shares, uint64_t image, pid_t thread, int64_t since_ns, int64_t now_ns)
{
	struct wait_share *share = find(shares, image, thread, true);

	count(share, since_ns, false);
	count(share, now_ns, true);
}

void wait_share_count(struct wait_shares *shares, uint64_t image, pid_t thread, int64_t since_ns, int64_t now_ns)
{
	LOCK_SCOPE(&lock);
	count_wait(shares, image, thread, since_ns, now_ns);
	if (is_offender(shares, image, thread, now_ns))
		count_wait(shares, WAIT_SHARE_OFFENDERS, thread, since_ns, now_ns);
}

void wait_share_count_in_vain(struct wait_shares *shares, uint64_t image, int64_t since_ns, int64_t now_ns)
{
	struct wait_debt *debt;

	LOCK_SCOPE(&lock);
	count_wait(shares, image, WAIT_SHARE_ALL, since_ns, now_ns);
	debt = find_debt(shares, image, now_ns);
	/* Nothing is forgiven while it goes on, though it be refused at once. */
	if (debt->image != image || debt_at(debt, now_ns) == 0)
		*debt = (struct wait_debt){ .image = image };
	debt->debt_ns = min(debt->debt_ns + now_ns - since_ns, WAIT_OFFENDER_MAX_NS);
	debt->at_ns = now_ns;
}

/* Under the lock. */
static int64_t left_of(const struct wait_share *share, int64_t rest_ns, int64_t now_ns)
{
	int64_t left_ns = WAIT_REQUEST_NS;

	/* While it waits the sum only grows: what leaves the span is less than what is added. */
	while (share && left_ns > 0 && waited_until(share, rest_ns, now_ns, now_ns + left_ns) > WAIT_IMAGE_SHARE_NS)
		left_ns -= WAIT_SHARE_SLOT_NS;
	return left_ns > 0 ? left_ns : 0;
}

int64_t wait_share_left(struct wait_shares *shares, uint64_t image, pid_t thread, int64_t rest_ns, int64_t now_ns)
{
	int64_t left_ns;

	LOCK_SCOPE(&lock);
	if (thread != WAIT_SHARE_ALL && wait_share_serves_others(shares, thread, now_ns))
		rest_ns = 0;
	left_ns = left_of(find(shares, image, thread, false), rest_ns, now_ns);
	if (is_offender(shares, image, thread, now_ns))
		left_ns = min(left_ns, left_of(find(shares, WAIT_SHARE_OFFENDERS, thread, false), 0, now_ns));
	return left_ns;
}
