/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/wait_share.h"

#include <pthread.h>

#include "base/cleanup.h"

_Static_assert(WAIT_IMAGE_SPAN_NS % WAIT_SHARE_SLOT_NS == 0 && WAIT_SHARE_SLOT_NS <= UINT32_MAX,
	       "slots make up a span, and a whole one can be counted");

/* For all images: it is held for some additions, and taken only by requests that have to wait. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int64_t min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Under the lock: count up to now. Bounded by the slots. */
static void count(struct wait_share *share, int64_t now_ns)
{
	int64_t at_ns = share->counted_ns, oldest_ns = now_ns - now_ns % WAIT_SHARE_SLOT_NS - WAIT_IMAGE_SPAN_NS;

	if (at_ns < oldest_ns)
		at_ns = oldest_ns;
	while (at_ns < now_ns) {
		int64_t slot = at_ns / WAIT_SHARE_SLOT_NS, end_ns = min((slot + 1) * WAIT_SHARE_SLOT_NS, now_ns);
		uint32_t *waited_ns = &share->waited_ns[slot % WAIT_SHARE_SLOTS];

		if (at_ns % WAIT_SHARE_SLOT_NS == 0)
			*waited_ns = 0; /* what it says is of a span ago */
		if (share->waiting > 0)
			*waited_ns += (uint32_t)(end_ns - at_ns);
		at_ns = end_ns;
	}
	if (share->counted_ns < now_ns)
		share->counted_ns = now_ns;
}

/* Under the lock, counted up to now: of the span that will end at `until_ns`. */
static int64_t waited_until(const struct wait_share *share, int64_t now_ns, int64_t until_ns)
{
	int64_t first = (until_ns - WAIT_IMAGE_SPAN_NS) / WAIT_SHARE_SLOT_NS, sum_ns = until_ns - now_ns;

	for (int64_t slot = first < 0 ? 0 : first; slot <= now_ns / WAIT_SHARE_SLOT_NS; slot++)
		sum_ns += share->waited_ns[slot % WAIT_SHARE_SLOTS];
	return sum_ns;
}

void wait_share_begin(struct wait_share *share, int64_t since_ns, int64_t now_ns)
{
	LOCK_SCOPE(&lock);
	count(share, since_ns);
	share->waiting++;
	count(share, now_ns);
}

void wait_share_end(struct wait_share *share, int64_t now_ns)
{
	LOCK_SCOPE(&lock);
	count(share, now_ns);
	share->waiting--;
}

int64_t wait_share_left(struct wait_share *share, int64_t now_ns)
{
	int64_t left_ns = WAIT_REQUEST_NS;

	LOCK_SCOPE(&lock);
	count(share, now_ns);
	/* While it waits the sum only grows: what leaves the span is less than what is added. */
	while (left_ns > 0 && waited_until(share, now_ns, now_ns + left_ns) > WAIT_IMAGE_SHARE_NS)
		left_ns -= WAIT_SHARE_SLOT_NS;
	return left_ns > 0 ? left_ns : 0;
}

void wait_share_late(struct wait_share *share, int64_t since_ns, int64_t now_ns)
{
	wait_share_begin(share, since_ns, now_ns);
	wait_share_end(share, now_ns);
	share->late_ns = now_ns;
}

int64_t wait_share_left_for_device(struct wait_share *share, int64_t now_ns)
{
	if (share->late_ns == 0 || now_ns - share->late_ns >= WAIT_IMAGE_SPAN_NS)
		return WAIT_REQUEST_NS;
	return wait_share_left(share, now_ns);
}

void wait_share_stale(struct wait_share *share, int64_t now_ns)
{
	share->stale_ns = now_ns;
}

bool wait_share_is_final_retry(struct wait_share *share, int64_t now_ns)
{
	return share->stale_ns != 0 && now_ns - share->stale_ns < WAIT_FINAL_RETRY_NS;
}
