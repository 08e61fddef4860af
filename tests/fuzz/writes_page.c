/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz cache/writes_page: pages of NAME@writes as any server may send them.
 *
 *   u64  offset of a range, u64 its length
 *   u16  bytes of the first page, u16 bytes of the second one
 *   the first page, the second one, a piece of counters of both
 *
 * Whatever they say: what is found lies in the range, in order and apart from each other when
 * it is by units; what is not found was, by counters that are read here one by one, not
 * touched; a page goes together with itself.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "cache/changes/formats/writes_page.h"
#include "tests/fuzz/promise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PREFIX_BYTES 20
#define RANGES_MAX 600

/* Each in a block of its own, for the sanitizer. */
static uint8_t *copy(const uint8_t *data, size_t size)
{
	uint8_t *bytes = malloc(size > 0 ? size : 1);

	promise(bytes);
	memcpy(bytes, data, size);
	return bytes;
}

static void check_ranges(int count, const struct writes_range *ranges, const struct writes_range *in)
{
	promise(count >= -1 && count <= RANGES_MAX);
	for (int i = 0; i < count; i++) {
		promise(ranges[i].length_bytes > 0 && ranges[i].offset_bytes >= in->offset_bytes);
		promise(range_within(ranges[i].offset_bytes - in->offset_bytes, ranges[i].length_bytes,
				     in->length_bytes));
	}
}

static bool has(int count, const struct writes_range *ranges, uint64_t at_bytes)
{
	for (int i = 0; i < count; i++)
		if (at_bytes >= ranges[i].offset_bytes &&
		    at_bytes - ranges[i].offset_bytes < ranges[i].length_bytes)
			return true;
	return count == -1;
}

static uint64_t counter(const struct writes_page *page, uint64_t unit, size_t field)
{
	if (unit < page->first_unit || unit - page->first_unit >= page->unit_count)
		return UINT64_MAX; /* not known */
	return get_le32(page->counters + (unit - page->first_unit) * 8 + field);
}

/* One byte of the range, in a unit of which both pages have the counter, or one has not. */
static void check_byte(const struct writes_page *then, const struct writes_page *now, uint64_t at_bytes,
		       const struct writes_range *range)
{
	static struct writes_range written[RANGES_MAX], flying[RANGES_MAX];
	int written_count = writes_page_since(then, now, range, written, RANGES_MAX);
	int flying_count = writes_page_in_flight(now, range, flying, RANGES_MAX);
	uint64_t unit = at_bytes >> now->unit_shift;
	uint64_t a = counter(then, unit, 0), b = counter(now, unit, 0), ended = counter(now, unit, 4);
	bool same_moments = then->of_one_moment && now->of_one_moment;

	check_ranges(written_count, written, range);
	check_ranges(flying_count, flying, range);
	if (now->begun != then->begun || !same_moments)
		promise(a == b || has(written_count, written, at_bytes) || a == UINT64_MAX ||
			b == UINT64_MAX);
	if (now->begun != then->begun)
		promise((a != UINT64_MAX && b != UINT64_MAX) || has(written_count, written, at_bytes));
	if (!now->of_one_moment && a == UINT64_MAX && b != UINT64_MAX)
		promise(has(written_count, written, at_bytes));
	if (now->unlisted > 0 || !now->of_one_moment)
		promise(b == ended || has(flying_count, flying, at_bytes));
	if (writes_page_held(then, now, range))
		promise(written_count == 0);
	if (writes_page_held(now, now, range))
		promise(flying_count == 0 && writes_page_since(now, now, range, NULL, 0) == 0);
}

static void check_pair(const struct writes_page *then, const struct writes_page *now,
		       const struct writes_range *range)
{
	struct writes_range at;

	if (range->length_bytes == 0)
		return;
	at = writes_page_where(now, range);
	promise(at.offset_bytes >= now->header_bytes && at.length_bytes >= 8 && at.length_bytes % 8 == 0);
	for (unsigned i = 0; i < 8; i++)
		check_byte(then, now, range->offset_bytes + range->length_bytes / 8 * i, range);
	check_byte(then, now, range->offset_bytes + range->length_bytes - 1, range);
}

static void check_pages(const uint8_t *one, size_t one_bytes, const uint8_t *other, size_t other_bytes,
			const uint8_t *piece, size_t piece_bytes, const struct writes_range *range)
{
	struct writes_page then, now;

	if (writes_page_parse(&then, one, one_bytes) != 0 || writes_page_parse(&now, other, other_bytes) != 0)
		return;
	check_pair(&then, &now, range);
	check_pair(&now, &now, range);
	if (writes_page_set_counters(&now, piece, range->offset_bytes, piece_bytes) == 0)
		check_pair(&then, &now, range);
	if (writes_page_set_counters(&then, piece, range->offset_bytes, piece_bytes / 2) == 0)
		check_pair(&then, &now, range);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct writes_range range;
	size_t one_bytes, other_bytes;
	uint8_t *one, *other, *piece;

	if (size < PREFIX_BYTES)
		return 0;
	range.offset_bytes = get_le64(data);
	range.length_bytes = min_u64(get_le64(data + 8), UINT64_MAX - range.offset_bytes);
	size -= PREFIX_BYTES;
	one_bytes = (size_t)min_u64(get_le16(data + 16), size);
	other_bytes = (size_t)min_u64(get_le16(data + 18), size - one_bytes);
	data += PREFIX_BYTES;
	one = copy(data, one_bytes);
	other = copy(data + one_bytes, other_bytes);
	piece = copy(data + one_bytes + other_bytes, size - one_bytes - other_bytes);
	check_pages(one, one_bytes, other, other_bytes, piece, size - one_bytes - other_bytes, &range);
	free(one);
	free(other);
	free(piece);
	return 0;
}
