/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/formats/writes_page.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"

/* ---- taking apart ------------------------------------------------------------------ */

static struct writes_range slot_at(const struct writes_page *page, uint32_t index)
{
	const unsigned char *slot = page->bytes + WRITES_PAGE_SLOTS + (size_t)index * WRITES_PAGE_SLOT_BYTES;

	return (struct writes_range){ get_le64(slot), get_le64(slot + 8) };
}

/* Of a unit that is among those of the page. */
static uint32_t unit_begun(const struct writes_page *page, uint64_t unit)
{
	return get_le32(page->counters + (size_t)(unit - page->first_unit) * WRITES_PAGE_COUNTER_BYTES);
}

static uint32_t unit_in_flight(const struct writes_page *page, uint64_t unit)
{
	const unsigned char *counter =
		page->counters + (size_t)(unit - page->first_unit) * WRITES_PAGE_COUNTER_BYTES;

	return get_le32(counter) - get_le32(counter + 4);
}

/* Units whose bytes no image can have are left out: the end of each unit fits in 64 bits. */
static void set_window(struct writes_page *page, const unsigned char *counters, uint64_t first_unit,
		       size_t length_bytes)
{
	uint64_t most = UINT64_MAX >> page->unit_shift;

	page->counters = counters;
	page->first_unit = min_u64(first_unit, most);
	page->unit_count = min_u64(length_bytes / WRITES_PAGE_COUNTER_BYTES, most - page->first_unit);
}

static bool header_is_possible(const struct writes_page *page, size_t length_bytes)
{
	return page->header_bytes >= WRITES_PAGE_SLOTS && page->header_bytes <= length_bytes &&
	       page->header_bytes % WRITES_PAGE_COUNTER_BYTES == 0 &&
	       page->slot_count <= (page->header_bytes - WRITES_PAGE_SLOTS) / WRITES_PAGE_SLOT_BYTES &&
	       page->unit_shift >= WRITES_PAGE_SHIFT_MIN && page->unit_shift <= WRITES_PAGE_SHIFT_MAX;
}

/* A write in flight is in its first unit's counters, too. */
static bool slot_is_possible(const struct writes_page *page, const struct writes_range *slot)
{
	uint64_t unit = slot->offset_bytes >> page->unit_shift, end_bytes;

	return add_u64(slot->offset_bytes, slot->length_bytes, &end_bytes) &&
	       (unit >= page->unit_count || unit_in_flight(page, unit) != 0);
}

/*
 * Each write in flight is in a slot or unlisted. These are less than 2^33: so no more has
 * ended than began. Bounded by the slots in the header.
 */
static bool slots_are_possible(const struct writes_page *page)
{
	uint64_t in_flight = page->unlisted;

	for (uint32_t i = 0; i < page->slot_count; i++) {
		struct writes_range slot = slot_at(page, i);

		if (slot.length_bytes == 0)
			continue;
		if (!slot_is_possible(page, &slot))
			return false;
		in_flight++;
	}
	return in_flight == page->begun - page->ended;
}

/* No unit has more writes, or more in flight, than there are. Bounded by the units that were read. */
static bool counters_are_possible(const struct writes_page *page)
{
	uint64_t in_flight = page->begun - page->ended;

	for (uint64_t unit = 0; unit < page->unit_count; unit++)
		if (unit_in_flight(page, unit) > in_flight || unit_begun(page, unit) > page->begun)
			return false;
	return true;
}

int writes_page_parse(struct writes_page *page, const void *bytes, size_t length_bytes)
{
	const unsigned char *p = bytes;

	if (length_bytes < WRITES_PAGE_SLOTS)
		return -EPROTO;
	if (memcmp(p, WRITES_PAGE_MAGIC, strlen(WRITES_PAGE_MAGIC)) != 0)
		return -EPROTONOSUPPORT;
	*page = (struct writes_page){
		.bytes = p,
		.size_bytes = get_le64(p + WRITES_PAGE_SIZE),
		.begun = get_le64(p + WRITES_PAGE_BEGUN),
		.ended = get_le64(p + WRITES_PAGE_ENDED),
		.header_bytes = get_le32(p + WRITES_PAGE_HEADER),
		.slot_count = get_le32(p + WRITES_PAGE_SLOT_COUNT),
		.unlisted = get_le32(p + WRITES_PAGE_UNLISTED),
		.unit_shift = get_le32(p + WRITES_PAGE_SHIFT),
		.of_one_moment = true,
	};
	length_bytes = (size_t)min_u64(length_bytes, WRITES_PAGE_MOMENT_BYTES);
	if (!header_is_possible(page, length_bytes))
		return -EPROTO;
	set_window(page, p + page->header_bytes, 0, length_bytes - page->header_bytes);
	return slots_are_possible(page) && counters_are_possible(page) ? 0 : -EPROTO;
}

struct writes_range writes_page_where(const struct writes_page *page, const struct writes_range *range)
{
	uint64_t first = range->offset_bytes >> page->unit_shift;
	uint64_t last = (range->offset_bytes + (range->length_bytes - 1)) >> page->unit_shift;

	/* Fits: a unit has 4096 bytes at least, so that there are less than 2^52. */
	return (struct writes_range){ page->header_bytes + first * WRITES_PAGE_COUNTER_BYTES,
				      (last - first + 1) * WRITES_PAGE_COUNTER_BYTES };
}

int writes_page_set_counters(struct writes_page *page, const void *bytes, uint64_t at_bytes,
			     size_t length_bytes)
{
	if (at_bytes < page->header_bytes || (at_bytes - page->header_bytes) % WRITES_PAGE_COUNTER_BYTES != 0)
		return -EINVAL;
	set_window(page, bytes, (at_bytes - page->header_bytes) / WRITES_PAGE_COUNTER_BYTES, length_bytes);
	page->of_one_moment = false;
	return 0;
}

/* ---- ranges -------------------------------------------------------------------------- */

struct found {
	struct writes_range *ranges;
	size_t count, capacity;
	bool all; /* more than fits */
};

/* The part of [start, end) that is in `range`; joined to the range before it if they touch. */
static void find(struct found *found, const struct writes_range *range, uint64_t start_bytes,
		 uint64_t end_bytes)
{
	struct writes_range *last = found->count > 0 ? &found->ranges[found->count - 1] : NULL;

	start_bytes = max_u64(start_bytes, range->offset_bytes);
	end_bytes = min_u64(end_bytes, range->offset_bytes + range->length_bytes);
	if (start_bytes >= end_bytes)
		return;
	if (last && last->offset_bytes + last->length_bytes == start_bytes)
		last->length_bytes += end_bytes - start_bytes;
	else if (found->count < found->capacity)
		found->ranges[found->count++] = (struct writes_range){ start_bytes, end_bytes - start_bytes };
	else
		found->all = true;
}

static int found_count(const struct found *found)
{
	return found->all ? -1 : (int)found->count;
}

/* Units of which something is known. */
struct window {
	uint64_t first, end;
	unsigned shift;
};

static uint64_t window_start_bytes(const struct window *window)
{
	return window->first << window->shift;
}

static uint64_t window_end_bytes(const struct window *window)
{
	return window->end << window->shift;
}

/* The units of `range` in it. A loop over them is bounded by the counters that were read. */
static struct window window_of(const struct window *window, const struct writes_range *range)
{
	uint64_t last = (range->offset_bytes + (range->length_bytes - 1)) >> window->shift;

	return (struct window){ max_u64(window->first, range->offset_bytes >> window->shift),
				min_u64(window->end, last + 1), window->shift };
}

/* ---- what was written ------------------------------------------------------------------- */

/*
 * The counters of a unit are of 32 bits. Each write is in the totals, of 64 bits, once,
 * and in a unit's counters at most once: while the totals grew by less than 2^32, a
 * unit's counter that is the same was not touched. (Totals that went back have grown by nearly 2^64.)
 */
static bool can_be_compared(const struct writes_page *then, const struct writes_page *now)
{
	return memcmp(then->bytes + WRITES_PAGE_INSTANCE, now->bytes + WRITES_PAGE_INSTANCE,
		      WRITES_PAGE_SIZE - WRITES_PAGE_INSTANCE) == 0 &&
	       then->unit_shift == now->unit_shift && then->header_bytes == now->header_bytes &&
	       now->ended >= then->ended && now->begun - then->begun <= UINT32_MAX;
}

int writes_page_since(const struct writes_page *then, const struct writes_page *now,
		      const struct writes_range *range, struct writes_range *ranges, size_t capacity)
{
	struct found found = { ranges, 0, capacity, false };
	struct window window, units;
	bool any = now->begun != then->begun;

	if (!can_be_compared(then, now))
		return -1;
	/* Counters that were read after the header may have what the totals have not yet. */
	if (range->length_bytes == 0 || (!any && then->of_one_moment && now->of_one_moment))
		return 0;
	window = (struct window){ max_u64(then->first_unit, now->first_unit),
				  min_u64(then->first_unit + then->unit_count,
					  now->first_unit + now->unit_count),
				  now->unit_shift };
	if (window.first > window.end)
		window.first = window.end;
	/*
	 * Of a unit whose counters are new here, and younger than the header, they may have a write that the
	 * totals have not: the next look would find it in the totals only, and the unit as it was.
	 */
	any = any || (!now->of_one_moment &&
		      (window.first != now->first_unit || window.end != now->first_unit + now->unit_count));
	if (any)
		find(&found, range, 0, window_start_bytes(&window));
	units = window_of(&window, range);
	for (uint64_t unit = units.first; unit < units.end; unit++)
		if (unit_begun(then, unit) != unit_begun(now, unit))
			find(&found, range, unit << units.shift, (unit + 1) << units.shift);
	if (any)
		find(&found, range, window_end_bytes(&window), UINT64_MAX);
	return found_count(&found);
}

/* From `start_bytes` to `end_bytes`. */
static void find_slots(const struct writes_page *now, const struct writes_range *range, uint64_t start_bytes,
		       uint64_t end_bytes, struct found *found)
{
	for (uint32_t i = 0; i < now->slot_count; i++) {
		struct writes_range slot = slot_at(now, i);

		find(found, range, max_u64(slot.offset_bytes, start_bytes),
		     min_u64(slot.offset_bytes + slot.length_bytes, end_bytes));
	}
}

/* Of what no counters were read, all that is known is of the header's moment. */
static void find_uncounted(const struct writes_page *now, const struct writes_range *range,
			   uint64_t start_bytes, uint64_t end_bytes, struct found *found)
{
	if (now->unlisted == 0)
		find_slots(now, range, start_bytes, end_bytes, found);
	else
		find(found, range, start_bytes, end_bytes);
}

static int by_units(const struct writes_page *now, const struct writes_range *range, struct found *found)
{
	struct window window = { now->first_unit, now->first_unit + now->unit_count, now->unit_shift };
	struct window units = window_of(&window, range);

	find_uncounted(now, range, 0, window_start_bytes(&window), found);
	for (uint64_t unit = units.first; unit < units.end; unit++)
		if (unit_in_flight(now, unit) != 0)
			find(found, range, unit << units.shift, (unit + 1) << units.shift);
	find_uncounted(now, range, window_end_bytes(&window), UINT64_MAX, found);
	return found_count(found);
}

/*
 * The slots say which bytes, but of the header's moment only. A write that was begun
 * between the reading of the header and that of the counters is in no slot, and
 * writes_page_since would not find it: it is in `before` already.
 */
int writes_page_in_flight(const struct writes_page *now, const struct writes_range *range,
			  struct writes_range *ranges, size_t capacity)
{
	struct found found = { ranges, 0, capacity, false };

	if (range->length_bytes == 0)
		return 0;
	if (!now->of_one_moment || now->unlisted != 0)
		return by_units(now, range, &found);
	find_slots(now, range, 0, UINT64_MAX, &found);
	return found_count(&found);
}

bool writes_page_held(const struct writes_page *before, const struct writes_page *after,
		      const struct writes_range *range)
{
	return writes_page_in_flight(before, range, NULL, 0) == 0 &&
	       writes_page_since(before, after, range, NULL, 0) == 0;
}
