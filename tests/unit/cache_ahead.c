/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/device/ahead.c: what a call reads of a device that nothing is believed of. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/waits.h"
#include "cache/device/ahead.h"
#include "cache/device/device.h"
#include "cache/device/ring.h"

#define BLOCK ((uint64_t)CACHE_BLOCK_BYTES)
#define BLOCKS 20000U

/* A device whose blocks hold a letter each, and how it was read. */
struct disk {
	unsigned char letters[BLOCKS];
	uint64_t size_bytes;
	unsigned rounds, pieces;
	bool broken;
};

static struct ahead *ahead;
static struct disk disk;

static void start(void)
{
	ahead = ahead_new();
	disk.size_bytes = BLOCKS * BLOCK;
	for (size_t i = 0; i < BLOCKS; i++)
		disk.letters[i] = (unsigned char)('a' + i % 26);
}

static void end(void)
{
	ahead_free(ahead);
}

TestSuite(cache_ahead, .init = start, .fini = end);

static void read_pieces(void *context, struct ring_piece *pieces, size_t count)
{
	struct disk *of = context;

	of->rounds++;
	of->pieces += (unsigned)count;
	for (size_t i = 0; i < count; i++) {
		size_t have = (size_t)min_u64(pieces[i].length_bytes, of->size_bytes - min_u64(of->size_bytes, pieces[i].offset_bytes));

		for (size_t at = 0; at < have; at++)
			((unsigned char *)pieces[i].buffer)[at] = of->letters[(pieces[i].offset_bytes + at) / BLOCK];
		pieces[i].result = of->broken ? -EIO : (ssize_t)have;
	}
}

/* The letter of the block, as it is read; or the error. */
static int look(uint64_t block)
{
	unsigned char bytes[CACHE_BLOCK_BYTES];
	struct ahead_source source = { read_pieces, &disk, disk.size_bytes };
	int error = ahead_read(ahead, &source, block * BLOCK, bytes, sizeof(bytes));

	if (error == 0)
		cr_assert_eq(bytes[0], bytes[sizeof(bytes) - 1]);
	return error != 0 ? error : bytes[0];
}

static void call(void)
{
	static const uint64_t blocks[] = { 0, 3, 700, 19000, 5000 };

	ahead_begin(ahead, INT64_MAX);
	disk.rounds = disk.pieces = 0;
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		cr_assert_eq(look(blocks[i]), disk.letters[blocks[i]]);
}

Test(cache_ahead, c6_what_the_last_call_read_the_next_one_reads_at_once)
{
	call();
	cr_assert_eq(disk.rounds, 5);
	call();
	cr_assert_eq(disk.rounds, 1);
	/* 0 and 3 are one. */
	cr_assert_eq(disk.pieces, 4);
}

Test(cache_ahead, c7_nothing_of_it_outlives_a_call)
{
	call();
	call();
	disk.letters[700] = '!';
	disk.letters[3] = '?';
	call();
	cr_assert_eq(look(700), '!');
	cr_assert_eq(look(3), '?');
}

Test(cache_ahead, what_calls_do_without_is_not_read_any_more)
{
	call();
	for (int i = 0; i < 40; i++) {
		ahead_begin(ahead, INT64_MAX);
		look(0);
	}
	ahead_begin(ahead, INT64_MAX);
	disk.pieces = 0;
	look(0);
	cr_assert_eq(disk.pieces, 1);
}

Test(cache_ahead, what_cannot_be_read_is_an_error_of_who_asks_for_it)
{
	call();
	ahead_begin(ahead, INT64_MAX);
	disk.size_bytes = 6000 * BLOCK;
	cr_assert_eq(look(0), 'a');
	cr_assert_eq(look(19000), -EIO);
	cr_assert_eq(look(5000), disk.letters[5000]);
	disk.broken = true;
	ahead_begin(ahead, INT64_MAX);
	cr_assert_eq(look(0), -EIO);
	disk.broken = false;
	cr_assert_eq(look(0), 'a');
}

/* A hostile directory is longer than what is remembered. */
Test(cache_ahead, s1_however_much_is_read)
{
	for (int round = 0; round < 3; round++) {
		ahead_begin(ahead, INT64_MAX);
		for (uint64_t block = 0; block < 1000; block++)
			cr_assert_eq(look(block * 19 % BLOCKS), disk.letters[block * 19 % BLOCKS]);
	}
}

/* ---- before a call begins --------------------------------------------------- */

static int64_t now_ns(void)
{
	return clock_now_ns(CLOCK_MONOTONIC);
}

static int prepare(int64_t since_ns, int64_t until_ns)
{
	struct ahead_source source = { read_pieces, &disk, disk.size_bytes };

	return ahead_prepare(ahead, &source, since_ns, until_ns);
}

Test(cache_ahead, what_is_prepared_is_read_once_for_all_who_came_before)
{
	int64_t first_ns, second_ns, began_ns;

	call();
	first_ns = now_ns();
	second_ns = now_ns();
	disk.rounds = 0;
	cr_assert_eq(prepare(second_ns, 0), 0);
	cr_assert_eq(prepare(first_ns, 0), 0);
	began_ns = ahead_begin(ahead, 0);
	cr_expect_geq(began_ns, second_ns);
	cr_expect_lt(began_ns, now_ns());
	cr_assert_eq(prepare(first_ns, 0), 0, "a call began since");
	cr_expect_eq(look(700), disk.letters[700]);
	cr_expect_eq(look(19000), disk.letters[19000]);
	cr_expect_eq(disk.rounds, 1);
}

Test(cache_ahead, c7_what_was_prepared_before_somebody_came_is_not_for_him)
{
	int64_t came_ns, began_ns;

	call();
	cr_assert_eq(prepare(now_ns(), 0), 0);
	disk.letters[700] = '!';
	came_ns = now_ns();
	disk.rounds = 0;
	cr_assert_eq(prepare(came_ns, 0), 0);
	cr_expect_eq(disk.rounds, 1);
	began_ns = ahead_begin(ahead, 0);
	cr_expect_geq(began_ns, came_ns);
	cr_expect_eq(look(700), '!');
	/* Nor what was prepared before the last look. */
	cr_assert_eq(prepare(now_ns(), 0), 0);
	disk.letters[700] = '?';
	came_ns = now_ns();
	cr_expect_geq(ahead_begin(ahead, came_ns), came_ns);
	cr_expect_eq(look(700), '?');
}

/* What the call itself read is not prepared: the next one reads anew. */
Test(cache_ahead, c7_a_call_is_never_of_what_the_last_one_read)
{
	call();
	cr_expect_eq(look(700), disk.letters[700]);
	disk.letters[700] = '!';
	ahead_begin(ahead, 0);
	cr_expect_eq(look(700), '!');
}

static void read_slowly(void *context, struct ring_piece *pieces, size_t count)
{
	struct timespec delay = clock_timespec(WAIT_SLOW_NS + 10 * WAIT_MS);

	nanosleep(&delay, NULL);
	read_pieces(context, pieces, count);
}

Test(cache_ahead, c6_nothing_is_read_for_who_does_not_wait_so_long)
{
	struct ahead_source source = { read_slowly, &disk, disk.size_bytes };

	call();
	cr_assert_eq(prepare(now_ns(), now_ns() + 10 * WAIT_MS), 0, "it takes no time");
	cr_assert_eq(ahead_prepare(ahead, &source, now_ns(), 0), 0);
	cr_expect_not(ahead_is_slow(ahead), "once may be the machine");
	cr_assert_eq(ahead_prepare(ahead, &source, now_ns(), 0), 0);
	cr_expect(ahead_is_slow(ahead));
	disk.rounds = 0;
	cr_expect_eq(prepare(now_ns(), now_ns() + WAIT_SLOW_NS), -ETIMEDOUT);
	cr_expect_eq(disk.rounds, 0);
	cr_expect_eq(prepare(now_ns(), now_ns() + WAIT_REQUEST_NS), 0);
	cr_expect_eq(disk.rounds, 1);
}
