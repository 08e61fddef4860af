/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sums, products and roundings that say when they do not fit.
 *
 * On-disk numbers are hostile: each operation on them goes through one of
 * these. They return true when *out holds the exact result, and leave *out
 * unspecified otherwise, so that `if (!add_u64(...)) return -EIO;` reads well.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

static inline bool add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

static inline bool sub_u64(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_sub_overflow(a, b, out);
}

static inline bool mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

/* Is [offset, offset + length) inside [0, size)? An empty range at the end is. */
static inline bool range_within(uint64_t offset, uint64_t length, uint64_t size)
{
	return offset <= size && length <= size - offset;
}

static inline bool is_power_of_two(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

/* Round down to a multiple of `unit`, a power of two. Cannot overflow. */
static inline uint64_t round_down_u64(uint64_t value, uint64_t unit)
{
	return value & ~(unit - 1);
}

/* Round up to a multiple of `unit`, a power of two. */
static inline bool round_up_u64(uint64_t value, uint64_t unit, uint64_t *out)
{
	uint64_t raised;

	if (!add_u64(value, unit - 1, &raised))
		return false;
	*out = round_down_u64(raised, unit);
	return true;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline int64_t max_i64(int64_t a, int64_t b)
{
	return a > b ? a : b;
}
