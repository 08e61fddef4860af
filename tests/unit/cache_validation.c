/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/tree/validation.c: what an answer rests on. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "cache/tree/validation.h"
#include "cache_device.h"

#define BLOCKS 64U
#define DEVICE_BYTES (BLOCKS * CACHE_BLOCK_BYTES - 1000) /* the last block is not whole */

static unsigned char bytes[BLOCKS * CACHE_BLOCK_BYTES];
static unsigned char buffer[BLOCKS * CACHE_BLOCK_BYTES];
static struct memory_device memory;
static struct recording recording;
static struct validation validation;

static void start(void)
{
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7 + i / CACHE_BLOCK_BYTES);
	memory_device_init(&memory, DEVICE_EVENTS, bytes, DEVICE_BYTES);
	cr_assert_eq(recording_begin(&recording, &memory.device, true, DEVICE_BYTES), 0);
}

static void read_exactly(uint64_t offset_bytes, size_t length_bytes)
{
	memset(buffer, 0xAA, sizeof(buffer));
	cr_assert_eq(source_read(&recording.source, offset_bytes, buffer, length_bytes), 0);
	cr_expect_arr_eq(buffer, bytes + offset_bytes, length_bytes);
	cr_expect_eq(buffer[length_bytes], 0xAA);
}

static int verify(void)
{
	return validation_verify(&validation, &memory.device, true, memory.size_bytes);
}

/* After each change of a byte the answer is whether a block of it was read. */
static void expect_rests_on(uint64_t first_block, uint64_t end_block)
{
	cr_expect_eq(verify(), 1);
	for (uint64_t block = 0; block < BLOCKS; block++) {
		bytes[block * CACHE_BLOCK_BYTES + 3000]++;
		cr_expect_eq(verify(), block < first_block || block >= end_block);
		bytes[block * CACHE_BLOCK_BYTES + 3000]--;
	}
	cr_expect_eq(verify(), 1);
}

Test(cache_validation, c1_an_answer_rests_on_the_blocks_that_were_read)
{
	start();
	read_exactly(5 * 4096 + 100, 10);
	read_exactly(6 * 4096 - 5, 10);
	cr_assert_eq(recording_finish(&recording, &validation), 0);
	expect_rests_on(5, 7);
	validation_clear(&validation);
}

Test(cache_validation, c1_long_reads_are_whole)
{
	start();
	read_exactly(3 * 4096 + 1, 40 * 4096);
	cr_assert_eq(recording_finish(&recording, &validation), 0);
	expect_rests_on(3, 44);
	validation_clear(&validation);
}

Test(cache_validation, c1_the_end_of_the_device_need_not_be_on_the_grid)
{
	start();
	read_exactly(DEVICE_BYTES - 100, 100);
	cr_expect_eq(source_read(&recording.source, DEVICE_BYTES - 100, buffer, 101), -EIO);
	cr_assert_eq(recording_finish(&recording, &validation), 0);
	expect_rests_on(63, 64);
	validation_clear(&validation);
}

Test(cache_validation, c8_the_end_of_the_device_is_part_of_the_answer)
{
	start();
	cr_assert_eq(recording_finish(&recording, &validation), 0);
	cr_expect_eq(verify(), 1);
	memory.size_bytes++;
	cr_expect_eq(verify(), 0);
	validation_clear(&validation);
}

Test(cache_validation, c2_a_block_read_twice_and_different_is_torn)
{
	start();
	read_exactly(0, 10);
	read_exactly(50 * 4096, 10);
	bytes[5]++;
	read_exactly(0, 10);
	cr_expect_eq(recording_finish(&recording, &validation), -EIO);
	cr_expect_eq(validation.count, 0);
}

Test(cache_validation, c4_small_reads_of_one_place_ask_the_device_once)
{
	start();
	for (unsigned i = 0; i < 4096; i += 32)
		read_exactly(8192 + i, 32);
	cr_expect_eq(memory.block_reads, 1);
	recording_discard(&recording);
}

Test(cache_validation, e_failures_are_passed_on)
{
	start();
	memory.fail_blocks = -EIO;
	cr_expect_eq(source_read(&recording.source, 0, buffer, 10), -EIO);
	cr_expect(recording.failed);
	recording_discard(&recording);
	memory.fail_blocks = 0;

	start();
	read_exactly(0, 10);
	cr_assert_eq(recording_finish(&recording, &validation), 0);
	memory.fail_blocks = -EIO;
	cr_expect_eq(verify(), 0, "what cannot be read is not as it was");
	memory.fail_blocks = 0;
	memory.not_at_hand = true;
	cr_expect_eq(validation_verify(&validation, &memory.device, false, memory.size_bytes), -EAGAIN);
	validation_clear(&validation);
}
