/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* open: is a version still what the image holds, and what keeps it so while it is open. */
#include <errno.h>

#include "base/waits.h"
#include "cache/tree/path.h"
#include "cache/tree/settle.h"
#include "cache/tree/whole.h"

/*
 * Have writers wait for what the version needs, as long as it is open. 0: its
 * bytes are as they were under `generation`, and nothing is lost from now on.
 * -EAGAIN: they are being written to. Else it must be read to know.
 */
static int version_guard(struct cache_version *version, uint64_t generation)
{
	struct reports *reports = version->image->reports;
	struct guard *guard;
	int error;

	if (!reports || !version->extents)
		return -ENOTSUP;
	if (version->guard) {
		if (reports_guard_stands(reports, version->guard) != 0)
			return -ENOTSUP;
		return guard_is_pristine(version->guard) ? 0 : -ESTALE;
	}
	error = guard_new(version->extents, version->image->device, version->image->cache->preserve, &guard);
	if (error != 0)
		return error;
	error = reports_guard(reports, guard, generation);
	if (error == 0)
		version->guard = guard;
	else
		guard_unref(guard);
	return error;
}

/* New content of which nobody has seen a byte yet: believed as it is, if nothing moves. */
static int open_unseen(struct cache_version *version, struct cache_op *op)
{
	int guarded = version_guard(version, version->image->seen.generation);

	op->retry_ns = WAIT_RETRY_IN_FLIGHT_NS;
	if (guarded == -EAGAIN || guarded == -ESTALE)
		return -EINPROGRESS;
	version->data_checked = version->image->seen.generation;
	return 0;
}

static int open_locked(struct cache_version *version, struct cache_op *op)
{
	struct cache_image *image = version->image;
	int error = path_refresh_version(version, op), guarded = -ENOTSUP;

	if (error != 0)
		return error;
	if (version->entry.size_bytes == 0)
		return 0;
	if (version->data_checked != 0)
		guarded = version_guard(version, version->data_checked);
	if (guarded == -EAGAIN) {
		op->retry_ns = WAIT_RETRY_IN_FLIGHT_NS;
		return -EINPROGRESS;
	}
	if (guarded == 0 || (version->data_checked == image->seen.generation && image->seen.in_flight == 0)) {
		version->data_checked = image->seen.generation;
		return 0;
	}
	/* Nothing handed out, nothing moving: the bytes can come when they are asked for. */
	if (image->seen.steady && version->known_count == 0 && !version->guard &&
	    (image_settled(image, op, image->seen.now_ns, &version->place.range) || version_older_than_burst(version)))
		return open_unseen(version, op);
	return version_keep(version, op, true);
}

int cache_version_open(struct cache_version *version, struct cache_op *op)
{
	int error = image_enter(version->image, op);

	if (error != 0)
		return error;
	/* Counted first, so that what is kept on the way stays. */
	atomic_fetch_add(&version->opens, 1);
	error = open_locked(version, op);
	image_leave(version->image);
	if (error != 0)
		cache_version_close(version);
	return error;
}

void cache_version_close(struct cache_version *version)
{
	if (atomic_fetch_sub(&version->opens, 1) == 1)
		node_look_later(version->image, &version->node);
}
