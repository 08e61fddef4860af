/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/request_wait.h"

/* How long a request that came then may wait in all. */
static int64_t share_left(const struct request *request, int64_t start_ns)
{
	struct wait_shares *shares = &request->fs->shares;
	const struct lane *lane = request_lane(request);
	int64_t own_ns = wait_share_left(shares, request->share, request->caller, lane->rest_ns, start_ns);
	int64_t all_ns = wait_share_left(shares, request->share, WAIT_SHARE_ALL, lane->rest_ns, start_ns);

	return own_ns < all_ns ? own_ns : all_ns;
}

void request_count_wait(const struct request *request, bool in_vain)
{
	struct wait_shares *shares = &request->fs->shares;
	int64_t now_ns = queue_now_ns();

	request_lane(request)->waited_ns = now_ns;
	if (in_vain)
		wait_share_count_in_vain(shares, request->share, request->start_ns, now_ns);
	wait_share_count(shares, request->share, request->caller, request->start_ns, now_ns);
}

/* Was the image being written within the span? */
static bool in_flux(const struct request *request, int64_t now_ns)
{
	const struct lane *lane = request_lane(request);

	return lane->flux_ns != 0 && now_ns - lane->flux_ns < WAIT_IMAGE_SPAN_NS;
}

/*
 * What a server of other images waited for the device it kept them waiting. READs of an image at rest take
 * what an ordinary disk takes; of one that is written they are work that it makes, and a
 * server may have a hundred transfers of it.
 */
bool request_kept_others_waiting(const struct request *request)
{
	int64_t now_ns = queue_now_ns();

	return request->serves_others &&
	       (!request->call->reads || in_flux(request, now_ns) || now_ns - request->start_ns > WAIT_BRIEF_NS);
}

bool request_may_wait(struct request *request, const struct cache_op *op)
{
	int64_t until_ns = queue_now_ns() + op->retry_ns, start_ns = request->start_ns;

	/* For our own reading, which keeps nobody else waiting: each of many reads in a row may, and of slow storage it is given more. */
	if (op->busy && !request->serves_others)
		return until_ns < request->deadline_ns + request->slow_ns;
	atomic_store(&request->waiting, true);
	request_lane(request)->flux_ns = queue_now_ns();
	return until_ns < request->deadline_ns && until_ns - start_ns <= share_left(request, start_ns);
}

int64_t request_device_answered_ns(const struct request *request)
{
	struct cache_image *cache = request->image ? atomic_load(&request->image->cache) : NULL;

	return cache ? cache_image_answered_ns(cache) : 0;
}

int64_t request_left_for_device(const struct request *request, int64_t now_ns)
{
	const struct lane *lane = request_lane(request);
	bool late = lane->late_ns != 0 && now_ns - lane->late_ns < WAIT_IMAGE_SPAN_NS;
	bool answers = lane->progress_ns > lane->late_ns || request_device_answered_ns(request) > lane->late_ns;
	int64_t left_ns;

	if (!request->serves_others && (!late || answers || request->slow_ns != 0))
		return WAIT_REQUEST_NS + WAIT_HUNG_NS;
	left_ns = share_left(request, now_ns);
	if (left_ns > 0)
		return left_ns + WAIT_HUNG_NS;
	return late ? 0 : in_flux(request, now_ns) ? WAIT_BRIEF_FLUX_NS : WAIT_BRIEF_NS;
}
