/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/open.h"

#include <errno.h>

#include "base/waits.h"
#include "cache/changes/guards.h"
#include "cache/tree/compare.h"
#include "cache/tree/path.h"
#include "cache/tree/settle.h"

/* Not more than that is known: it takes only a busy machine too long. An unchanged file keeps its inode then, too. */
#define SMALL_CHUNKS ((8 << 20) / CHUNK_BYTES)

static int come_back(struct cache_op *op, int64_t retry_ns, const char *rule)
{
	op->retry_ns = retry_ns;
	op->rule = rule;
	return -EINPROGRESS;
}

static int decided(struct cache_op *op, int result, const char *rule)
{
	op->rule = rule;
	return result;
}

/* Hold what is known against the image, once at a time. */
static int compare(struct cache_version *version, struct cache_op *op, enum compare_what what)
{
	int error;

	if (!op->may_block)
		return -EAGAIN;
	/* It would be in vain: the clock has answered by then, and the next one has to compare anew. */
	if (image_is_slow(version->image) && version->known_count > 1)
		return decided(op, dir_retire(version), "slow to compare: another inode");
	if (version->comparing) {
		op->busy = true;
		return come_back(op, WAIT_RETRY_BUSY_NS, "another reader compares it");
	}
	version->comparing = true;
	error = compare_known(version, op, what, version->known_count <= SMALL_CHUNKS ? WAIT_COMPARE_READ_NS : WAIT_COMPARE_NS);
	version->comparing = false;
	if (error == -ESTALE)
		return decided(op, -ESTALE, "bytes that were handed out are others by now");
	/*
	 * Its pages may be in the kernel's cache, so it is not to be opened before all of them
	 * were compared, and that takes too long. So whoever opens it next gets another inode,
	 * of which nothing is known: C3 is bent for large files whose image was written.
	 */
	if (error == -EINPROGRESS) {
		op->busy = false;
		return decided(op, dir_retire(version), "too large to compare: another inode");
	}
	return error;
}

/* ---- where the log tells every write --------------------------------------- */

/* One for the version, which is not it yet: within the image's share. */
static int make_guard(struct cache_version *version, struct guard **guard)
{
	struct cache_image *image = version->image;

	if (!image_has_room(image, guard_memory_bytes(version->extents)))
		return -EDQUOT;
	return guard_new(version->extents, image->device, image->preserved, guard);
}

/*
 * Have writers wait for what the version needs, as long as it is open. 0: its
 * bytes are as they were under `generation`, and nothing is lost from now on.
 * -EAGAIN: they are being written to. Else they must be compared to know.
 */
static int version_guard(struct cache_version *version, struct cache_op *op, uint64_t generation)
{
	struct cache_image *image = version->image;
	struct guard *guard;
	int error;

	/* Nobody would wait for it: what is read later says itself whether it was written before (read.c). */
	if (write_log_is_told_late(image->log))
		return 0;
	if (version->guard && !guard_is_pristine(version->guard))
		return -ESTALE;
	if (version->guard && write_log_guard_stands(image->log, version->guard) == 0)
		return 0;
	/* Writers did not tell for a while: what it saw of them is nothing. */
	version_drop_guard(version);
	error = make_guard(version, &guard);
	if (error != 0)
		return error;
	error = write_log_guard(image->log, guard, generation);
	if (error != 0) {
		guard_unref(guard);
		return error;
	}
	version->guard = guard;
	version_count(version);
	/* What was begun before writes were announced may have landed since the last look: the device shows it now. */
	error = image_observe(image, op);
	if (error != 0 || write_log_guard_stands(image->log, guard) == 0)
		return error;
	version_drop_guard(version);
	return -EAGAIN;
}

/* Has the image been quiet, or (as far as it was asked before) nothing written to these clusters for very long? */
static bool has_lasted(struct cache_version *version, struct cache_op *op)
{
	struct cache_image *image = version->image;

	if (version->noted_generation == 0 || !version_untouched(version, version->noted_generation))
		version->since_ns = image->seen.now_ns;
	version->noted_generation = image->seen.generation;
	return image_settled(image, op, version->since_ns, &version->place.range);
}

/* ---- elsewhere ------------------------------------------------------------- */

/*
 * What is read while the image is written to is of no one moment: bytes read before and after may be those that were known,
 * and there was no time at which all of them were. So what was seen to change meanwhile is compared again, once.
 */
static int compare_of_one_moment(struct cache_version *version, struct cache_op *op, enum compare_what what)
{
	const struct cache_observation *seen = &version->image->seen;
	int64_t start_ns = seen->now_ns;
	int error = compare(version, op, what);

	if (error != 0 || seen->blind || seen->quiet_ns > seen->now_ns - start_ns)
		return error;
	return compare(version, op, COMPARE_ALL);
}

static int check_by_comparing(struct cache_version *version, struct cache_op *op)
{
	const struct cache_observation *seen = &version->image->seen;
	int error;

	if (version->known_count == 0)
		return decided(op, 0, "nothing was handed out of it yet");
	if (seen->steady && seen->in_flight == 0 && version->data_checked == seen->generation)
		return decided(op, 0, "nothing changed in the image");
	error = compare_of_one_moment(version, op, seen->steady && seen->in_flight == 0 ? COMPARE_STEADY : COMPARE_ALL);
	/*
	 * Bytes that hold are no file whose entry went meanwhile. Where nothing is believed that
	 * costs as much again; entry and bytes were both there when the entry was looked at.
	 */
	if (error == 0 && !seen->blind)
		error = path_refresh_version(version, op);
	return error != 0 ? error : decided(op, 0, "compared with what was handed out");
}

/*
 * Writers tell by now, though what they had begun before may land yet: a guard is
 * better than nothing, at rest. What is handed out is compared besides (read.c).
 */
static int guard_all_the_same(struct cache_version *version, struct cache_op *op)
{
	struct cache_image *image = version->image;

	if (!image->log || version_must_last_ns(version, image->seen.now_ns, image->seen.generation) != 0 ||
	    version_guard(version, op, image->seen.generation) != -EAGAIN)
		return 0;
	return come_back(op, WAIT_RETRY_NS, "changed while it was opened");
}

/*
 * A write to it is in flight. Of one whose end nobody tells that is said for as long
 * as it may still land: once all is quiet, its bytes must tell.
 */
static int in_flight(struct cache_version *version, struct cache_op *op)
{
	const struct cache_image *image = version->image;
	int error;

	if (!image_is_quiet(image, image->seen.now_ns, &version->place.range))
		return come_back(op, WAIT_RETRY_IN_FLIGHT_NS, "exact: being written");
	error = check_by_comparing(version, op);
	return error != 0 ? error : guard_all_the_same(version, op);
}

/* Its clusters were written, or may have been, since it was known to hold. The writes must be over. */
static int check_written(struct cache_version *version, struct cache_op *op)
{
	struct cache_image *image = version->image;
	bool all_known = version->known_count == extents_chunk_count(version->extents);
	uint64_t generation = image->seen.generation;
	int error;

	if (!version_untouched(version, generation))
		return in_flight(version, op);
	if (!all_known && !version_older_than_burst(version) && !has_lasted(version, op))
		return decided(op, -EINPROGRESS, "exact: written a moment ago");
	error = version->known_count > 0 ? compare(version, op, version->data_checked != 0 ? COMPARE_WRITTEN : COMPARE_ALL) : 0;
	if (error != 0)
		return error;
	if (!version_untouched(version, generation) || version->detached)
		return come_back(op, WAIT_RETRY_NS, "exact: written while it was compared");
	version->data_checked = generation;
	error = version_guard(version, op, generation);
	if (error == -ESTALE || error == -EAGAIN)
		return come_back(op, WAIT_RETRY_IN_FLIGHT_NS, "exact: being written");
	return decided(op, 0, "exact: written since, and the same");
}

static int check_exact(struct cache_version *version, struct cache_op *op)
{
	uint64_t generation = version->image->seen.generation;
	int guarded;

	if (!version_untouched(version, generation))
		return in_flight(version, op);
	/* Also what was announced before it was guarded, and counts as written only now. */
	if (version->data_checked == 0 || !version_untouched(version, version->data_checked))
		return check_written(version, op);
	guarded = version_guard(version, op, version->data_checked);
	if (guarded == -EAGAIN)
		return in_flight(version, op);
	if (guarded != 0)
		return check_written(version, op);
	version->data_checked = generation;
	return decided(op, 0, "exact: not written since it was last looked at");
}

/*
 * What its guard preserved is for those who have it open: mostly the image holds
 * something else, and the next open is another version's. If not, because only the
 * page was written that a neighbour shares with it, it is guarded anew, so that
 * what is written next is preserved for all who have it open.
 */
static int renew_guard(struct cache_version *version, struct cache_op *op)
{
	struct cache_image *image = version->image;
	uint64_t generation = image->seen.generation;
	int64_t start_ns = image->seen.now_ns;
	struct guard *renewed, *old;
	int error;

	if (write_log_guard_stands(image->log, version->guard) != 0)
		return decided(op, dir_supersede(version), "written while nothing told what");
	if (!version_untouched(version, generation) && !image_is_quiet(image, image->seen.now_ns, &version->place.range))
		return come_back(op, WAIT_RETRY_IN_FLIGHT_NS, "being written");
	error = compare(version, op, COMPARE_PRESERVED);
	if (error == -ESTALE)
		return decided(op, -ESTALE, "written since it was opened");
	if (error == 0)
		error = make_guard(version, &renewed);
	if (error != 0)
		return error;
	/* While the log settles each look is of a generation of its own. */
	if (image_is_quiet(image, start_ns, &version->place.range))
		generation = image->seen.generation;
	error = write_log_guard(image->log, renewed, generation);
	if (error != 0) {
		guard_unref(renewed);
		return come_back(op, WAIT_RETRY_NS, "written while it was compared");
	}
	old = version->guard;
	version->guard = renewed;
	version->data_checked = version->data_checked != 0 ? generation : 0;
	write_log_unguard(image->log, old);
	guard_unref(old);
	return 0;
}

int version_check(struct cache_version *version, struct cache_op *op)
{
	struct cache_image *image = version->image;
	int error = path_refresh_version(version, op);

	if (error != 0)
		return error;
	if (version->entry.size_bytes == 0)
		return decided(op, 0, "it is empty");
	if (version->guard && !guard_is_pristine(version->guard)) {
		error = renew_guard(version, op);
		if (error != 0)
			return error;
	}
	if (image->seen.exact)
		return check_exact(version, op);
	error = check_by_comparing(version, op);
	return error != 0 ? error : guard_all_the_same(version, op);
}

/* To compare so much takes less than a millisecond, if the page cache has it. */
#define PROMPT_CHUNKS ((4 << 20) / CHUNK_BYTES)

/*
 * Writes were not told for a while, as when nobody had looked at the image: all that is known of the version would have
 * to be read again, before the open is answered. Another inode costs as much, for its pages are read anew, but
 * beside the reading, and only for what is read: so a large file gets one at once (C3 is bent for it, as above). It
 * happens once after each such time: from then on it is told what is written. Where writes are never told it would be
 * at each open: there it is compared.
 */
static bool is_not_worth_comparing(const struct cache_version *version)
{
	const struct cache_image *image = version->image;

	return image->seen.exact && version->known_count > PROMPT_CHUNKS && !version->detached && !version->retired &&
	       !version->guard && !write_log_told_since(image->log, version->data_checked);
}

int cache_version_open(struct cache_version *version, struct cache_op *op)
{
	int error = image_enter(version->image, op);

	if (error != 0)
		return error;
	/* Counted first, so that what is set up on the way stays. */
	if (atomic_fetch_add(&version->opens, 1) == 0)
		version->uncopied = false;
	version->opened++;
	error = is_not_worth_comparing(version) ?
			decided(op, dir_retire(version), "writes were not told for a while, and it is large: another inode") :
			version_check(version, op);
	if (error == -EDQUOT && image_relieve(version->image))
		error = version_check(version, op);
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
