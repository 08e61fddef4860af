/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the page of NAME@writes means for a write log: CONTRACT R, C1, C5, S1. */
#include "cache/changes/burst.h"
#include "cache/changes/page_news.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "cache/changes/trust.h"
#include "cache_page_feed.h"

#define MIB ((uint64_t)1 << 20)
#define SIZE (440 * MIB)
#define CAPACITY 256

static struct memory_device memory = { .now_ns = 1000 * SECOND };
static struct write_log *told;
static struct memory_page *page;
static struct cache_range ranges[CAPACITY];
static size_t in_flight;

/* In the place of reallocarray, by the linker. */
static bool no_memory;
void *__real_reallocarray(void *old, size_t count, size_t bytes);
void *__wrap_reallocarray(void *old, size_t count, size_t bytes);

void *__wrap_reallocarray(void *old, size_t count, size_t bytes)
{
	return no_memory ? NULL : __real_reallocarray(old, count, bytes);
}

static int64_t test_clock(void)
{
	return memory.now_ns;
}

static struct cache_observation look(void)
{
	static uint64_t generation;
	struct cache_observation seen = {
		.generation = ++generation, .size_bytes = SIZE, .blind = true, .signless = true
	};

	memory.now_ns += MS;
	seen.now_ns = memory.now_ns;
	cr_assert_eq(write_log_listen(told, true), 0);
	write_log_observe(told, &seen);
	return seen;
}

static void start(void)
{
	cr_assert_eq(write_log_new(&told), 0);
	write_log_set_clock(told, test_clock);
	page = memory_page_new(&memory, told, 20);
	look();
}

static void end(void)
{
	write_log_close_feed(told);
	write_log_unref(told);
}

static int changes(uint64_t generation)
{
	return write_log_changes(told, generation, ranges, CAPACITY, &in_flight);
}

static void write_at(uint64_t offset_bytes, uint64_t length_bytes)
{
	memory_page_begin(page, offset_bytes, length_bytes);
	memory_page_end(page, offset_bytes, length_bytes);
}

TestSuite(cache_page_news, .init = start, .fini = end);

Test(cache_page_news, c5_what_was_written_is_told_at_the_next_look)
{
	struct cache_observation seen = look();

	cr_assert(seen.exact && seen.steady && !seen.blind && !seen.signless);
	cr_assert_eq(look().generation, seen.generation, "nothing happened");
	write_at(5 * MIB + 100, 10);
	cr_assert_eq(changes(seen.generation), 0, "it was not looked at yet");
	cr_assert_neq(look().generation, seen.generation);
	cr_assert_eq(changes(seen.generation), 1);
	cr_assert(ranges[0].offset_bytes == 5 * MIB && ranges[0].length_bytes == MIB && in_flight == 0);
}

Test(cache_page_news, c5_what_is_in_flight_is_known_by_its_bytes_until_it_has_ended)
{
	struct cache_observation seen = look(), later;

	memory_page_begin(page, 7 * MIB + 4096, 512);
	later = look();
	cr_assert_eq(later.in_flight, 1);
	cr_assert_eq(changes(later.generation), 1);
	cr_assert(in_flight == 1 && ranges[0].offset_bytes == 7 * MIB + 4096 &&
		  ranges[0].length_bytes == 512);
	cr_assert_neq(look().generation, later.generation, "it may have been executed meanwhile");
	later = look();
	memory_page_end(page, 7 * MIB + 4096, 512);
	seen = look();
	cr_assert_eq(seen.in_flight, 0);
	cr_assert_eq(changes(later.generation), 1, "what was read before may be older");
	cr_assert(in_flight == 0 && ranges[0].offset_bytes == 7 * MIB + 4096);
	cr_assert_eq(changes(seen.generation), 0);
}

Test(cache_page_news, c5_a_burst_began_at_the_look_before)
{
	struct cache_range where = { 7 * MIB, 2 * MIB };
	int64_t before_ns;
	struct cache_observation seen;
	struct write_burst burst;

	memory.now_ns += 10 * SECOND;
	seen = look();
	before_ns = seen.now_ns;
	memory.now_ns += 5 * SECOND;
	write_at(7 * MIB, 4096);
	memory_page_begin(page, 8 * MIB, 4096);
	look();
	cr_assert_eq(write_log_burst(told, &where, 200 * MS, memory.now_ns, &burst), 0);
	cr_assert(burst.quiet_ns == 0 && burst.start_ns <= before_ns && burst.generation == seen.generation);
	memory_page_end(page, 8 * MIB, 4096);
	look();
	memory.now_ns += 300 * MS;
	cr_assert_eq(write_log_burst(told, &where, 200 * MS, memory.now_ns, &burst), 0);
	cr_assert_eq(burst.quiet_ns, 300 * MS, "since the look that found it");
}

Test(cache_page_news, c5_other_file_systems_cost_nothing)
{
	struct cache_range untracked[] = { { 10 * MIB + 512, 350 * MIB }, { 10 * MIB, 100 } };
	uint64_t generation;

	write_log_set_untracked(told, untracked, 2);
	generation = look().generation;
	write_at(50 * MIB, 8 * MIB);
	memory_page_begin(page, 60 * MIB, 4096);
	cr_assert_eq(look().generation, generation);
	write_at(10 * MIB + 4096, 1);
	look();
	cr_assert_eq(changes(generation), 1, "what is tracked of its unit");
	cr_assert(ranges[0].offset_bytes == 10 * MIB + 100 && ranges[0].length_bytes == 412);
}

Test(cache_page_news, c7_what_is_not_told_is_believed_no_more)
{
	uint64_t generation = look().generation;
	struct cache_observation seen;

	memory_page_set_there(page, false);
	seen = look();
	cr_assert(!seen.exact && seen.blind && seen.signless && !seen.steady);
	cr_assert_neq(look().generation, seen.generation, "nothing is believed from one look to the next");
	cr_assert_eq(changes(generation), -1);
	cr_assert_null(write_log_source(told));
	memory_page_set_there(page, true);
	cr_assert(look().exact);
	cr_assert_eq(changes(seen.generation), -1);
	cr_assert_str_eq(write_log_source(told), "told");
	generation = look().generation;
	memory_page_restart(page);
	cr_assert(look().exact);
	cr_assert_eq(changes(generation), -1, "another instance");
}

Test(cache_page_news, c7_what_there_is_no_memory_for_is_not_told)
{
	struct cache_observation seen;

	memory_page_begin(page, 7 * MIB, 512);
	no_memory = true;
	seen = look();
	cr_assert(!seen.exact && seen.blind && seen.signless);
	no_memory = false;
	seen = look();
	cr_assert(seen.exact && seen.in_flight == 1);
	memory_page_end(page, 7 * MIB, 512);
	look();
	cr_assert_eq(changes(seen.generation), 1);
}

Test(cache_page_news, c7_more_than_can_be_told_is_everything)
{
	uint64_t generation = look().generation;

	for (uint64_t i = 0; i < 2 * WRITE_NEWS_MAX; i++)
		write_at(2 * i * MIB, 1);
	look();
	cr_assert_eq(changes(generation), 1);
	cr_assert(ranges[0].offset_bytes == 0 && ranges[0].length_bytes == SIZE);
}

Test(cache_page_news, r_one_read_has_the_counters_of_what_is_tracked)
{
	struct cache_range root = { 256 * MIB, 100 * MIB };
	struct page_news news = { 0 };

	cr_assert_eq(write_log_tracked_end(told, SIZE, 0), SIZE);
	write_log_set_untracked(told, &root, 1);
	cr_assert_eq(write_log_tracked_end(told, SIZE, 84 * MIB), 256 * MIB);
	cr_assert_eq(write_log_tracked_end(told, SIZE, 84 * MIB - 1), SIZE);
	cr_assert_eq(page_news_init(&news), 0);
	cr_assert_eq(page_news_begin(&news, SIZE, 8 * MIB, 1), WRITES_PAGE_FIRST_READ,
		     "it is not known how large a unit is");
	news.known = true;
	news.last.page = (struct writes_page){ .header_bytes = 512, .unit_shift = 20 };
	cr_assert_eq(page_news_begin(&news, 448 * MIB, 8 * MIB, 1), 4096);
	cr_assert_eq(page_news_begin(&news, 449 * MIB, 8 * MIB, 1), 4096 + 512);
	cr_assert_eq(page_news_begin(&news, 449 * MIB, 4500, 1), 4500, "there is no more of it");
	cr_assert_eq(page_news_begin(&news, UINT64_C(1) << 60, 8 * MIB, 1), WRITES_PAGE_MOMENT_BYTES);
	page_news_clear(&news);
}

/* From a page that is possible, byte by byte: what is understood of it is told, within bounds. */
Test(cache_page_news, s1_no_page_is_too_much)
{
	struct page_news news = { 0 };
	unsigned char base[WRITES_PAGE_FIRST_READ] = WRITES_PAGE_MAGIC;
	unsigned understood = 0;

	cr_assert_eq(page_news_init(&news), 0);
	put_le32(base + WRITES_PAGE_HEADER, 512);
	put_le32(base + WRITES_PAGE_SHIFT, 20);
	put_le32(base + WRITES_PAGE_SLOT_COUNT, 28);
	srand(1);
	for (unsigned i = 0; i < 20000; i++) {
		size_t length_bytes = page_news_begin(&news, (uint64_t)rand() << 20, 8 * MIB, test_clock());

		memset(news.next.bytes, rand() % 3 - 1, length_bytes);
		memcpy(news.next.bytes, base, sizeof(base));
		for (int j = rand() % 4; j > 0; j--)
			news.next.bytes[rand() % 2 ? rand() % 64 : 512 + rand() % 3584] =
				(unsigned char)rand();
		if (page_news_parse(&news, length_bytes) != 0)
			continue;
		understood++;
		page_news_tell(&news, told, rand() % 2 ? (uint64_t)rand() << 20 : 0);
		cr_assert_leq(changes(0), CAPACITY);
	}
	cr_assert_gt(understood, 1000);
	page_news_clear(&news);
}
