/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compare: is all that was ever handed out of a version still in the image?
 *
 * The chunks that are known are read again and held against their hashes: known
 * once and seen again now, each was there all the time between. That makes what
 * was read in this time the same version's.
 *
 * Called under the image's lock, and let go while it reads; one at a time for
 * each version (version->comparing, the caller's). The caller has a user of the
 * version, and looks at entry and chain afterwards.
 */
#pragma once

#include "cache/tree/version.h"

enum compare_what {
	COMPARE_ALL,
	/*
	 * For a steady device, and sets data_checked. What was compared under this generation
	 * need not be compared again: a call that ran out of time has not been in vain.
	 */
	COMPARE_STEADY,
	/* Only what was written, as the log tells, since it was last known to hold: data_checked. */
	COMPARE_WRITTEN,
	/*
	 * For somebody who has it open: what a guard preserved is the version's as well. Not
	 * for an open, which has to see what the image holds.
	 */
	COMPARE_HANDED_OUT,
	/*
	 * Does the image still hold what its guard preserved, or lost after it was handed
	 * out? The kernel announces writes by whole pages: a neighbour's may have touched
	 * the page, and none of these bytes. Needs version->guard.
	 */
	COMPARE_PRESERVED,
};

/*
 * From the first to the last; and with them what joined the comparison (chunk.h), which
 * is known afterwards if the caller says so. 0; -ESTALE: one differs, and the version is
 * superseded; -EINPROGRESS: it took more than `limit_ns` of the device's time, or the
 * generation of a steady device moved; -EIO, -ENOMEM.
 */
int compare_known(struct cache_version *version, struct cache_op *op, enum compare_what what, int64_t limit_ns);
