/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/device/ahead.c: what a call reads of a device that nothing is believed of. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

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
	int error = ahead_read(ahead, read_pieces, &disk, disk.size_bytes, block * BLOCK, bytes, sizeof(bytes));

	if (error == 0)
		cr_assert_eq(bytes[0], bytes[sizeof(bytes) - 1]);
	return error != 0 ? error : bytes[0];
}

static void call(void)
{
	static const uint64_t blocks[] = { 0, 3, 700, 19000, 5000 };

	ahead_forget(ahead);
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
		ahead_forget(ahead);
		look(0);
	}
	ahead_forget(ahead);
	disk.pieces = 0;
	look(0);
	cr_assert_eq(disk.pieces, 1);
}

Test(cache_ahead, what_cannot_be_read_is_an_error_of_who_asks_for_it)
{
	call();
	ahead_forget(ahead);
	disk.size_bytes = 6000 * BLOCK;
	cr_assert_eq(look(0), 'a');
	cr_assert_eq(look(19000), -EIO);
	cr_assert_eq(look(5000), disk.letters[5000]);
	disk.broken = true;
	ahead_forget(ahead);
	cr_assert_eq(look(0), -EIO);
	disk.broken = false;
	cr_assert_eq(look(0), 'a');
}

/* A hostile directory is longer than what is remembered. */
Test(cache_ahead, s1_however_much_is_read)
{
	for (int round = 0; round < 3; round++) {
		ahead_forget(ahead);
		for (uint64_t block = 0; block < 1000; block++)
			cr_assert_eq(look(block * 19 % BLOCKS), disk.letters[block * 19 % BLOCKS]);
	}
}
