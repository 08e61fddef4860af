/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache/writes_page: what a page of NAME@writes says. Pages are made here byte by byte, as
 * imagefs-writes(7) has it. R, C1, C2, S1.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "cache/changes/formats/writes_page.h"

#define HEADER 512
#define MIB UINT64_C(1048576)
#define UNITS 448
#define SLOTS 28

struct bytes {
	unsigned char at[WRITES_PAGE_FIRST_READ];
};

static struct bytes new_page(void)
{
	struct bytes page = { { 0 } };

	memcpy(page.at, WRITES_PAGE_MAGIC, 8);
	put_le32(page.at + 8, HEADER);
	put_le32(page.at + 12, 20);
	memset(page.at + 16, 0x77, 16);
	put_le64(page.at + 32, 300 * MIB);
	put_le32(page.at + 56, SLOTS);
	return page;
}

static void add32(unsigned char *p, uint32_t more)
{
	put_le32(p, get_le32(p) + more);
}

static void add64(unsigned char *p, uint64_t more)
{
	put_le64(p, get_le64(p) + more);
}

static void count(struct bytes *page, uint64_t offset, uint64_t length, size_t field)
{
	for (uint64_t unit = offset / MIB; unit <= (offset + length - 1) / MIB && unit < UNITS; unit++)
		add32(page->at + HEADER + unit * 8 + field, 1);
}

/* A write in flight, in the slot of that number; without one when there is none. */
static void begin(struct bytes *page, unsigned slot, uint64_t offset, uint64_t length)
{
	add64(page->at + 40, 1);
	count(page, offset, length, 0);
	if (slot >= SLOTS) {
		add32(page->at + 60, 1);
		return;
	}
	put_le64(page->at + 64 + slot * 16, offset);
	put_le64(page->at + 64 + slot * 16 + 8, length);
}

static void end(struct bytes *page, unsigned slot, uint64_t offset, uint64_t length)
{
	add64(page->at + 48, 1);
	count(page, offset, length, 4);
	if (slot >= SLOTS)
		add32(page->at + 60, UINT32_MAX);
	else
		memset(page->at + 64 + slot * 16, 0, 16);
}

static void written(struct bytes *page, uint64_t offset, uint64_t length)
{
	begin(page, 0, offset, length);
	end(page, 0, offset, length);
}

static int parse(struct writes_page *page, const struct bytes *bytes)
{
	return writes_page_parse(page, bytes->at, sizeof(bytes->at));
}

static struct writes_page parsed(const struct bytes *bytes)
{
	struct writes_page page;

	cr_assert_eq(parse(&page, bytes), 0);
	return page;
}

/* The ranges as text, in MiB where they are whole ones. */
static const char *text_of(int count, const struct writes_range *ranges)
{
	static char text[4][512];
	static unsigned turn;
	char *to = text[++turn % 4];
	size_t length = 0;

	if (count == -1)
		return "anything";
	to[0] = '\0';
	for (int i = 0; i < count; i++)
		length += (size_t)snprintf(to + length, sizeof(text[0]) - length, "%s%" PRIu64 "+%" PRIu64,
					   i ? " " : "", ranges[i].offset_bytes, ranges[i].length_bytes);
	return to;
}

#define CAPACITY 4

static const char *since(const struct bytes *then, const struct bytes *now, uint64_t offset, uint64_t length)
{
	struct writes_page a = parsed(then), b = parsed(now);
	struct writes_range range = { offset, length }, ranges[CAPACITY];

	return text_of(writes_page_since(&a, &b, &range, ranges, CAPACITY), ranges);
}

static const char *in_flight(const struct bytes *now, uint64_t offset, uint64_t length)
{
	struct writes_page page = parsed(now);
	struct writes_range range = { offset, length }, ranges[CAPACITY];

	return text_of(writes_page_in_flight(&page, &range, ranges, CAPACITY), ranges);
}

static bool held(const struct bytes *before, const struct bytes *after, uint64_t offset, uint64_t length)
{
	struct writes_page a = parsed(before), b = parsed(after);

	return writes_page_held(&a, &b, &(struct writes_range){ offset, length });
}

/* ---- what was written ------------------------------------------------------------------- */

Test(cache_writes_page, r_a_page_at_rest_says_nothing_was_written)
{
	struct bytes page = new_page();
	struct writes_page one = parsed(&page);

	cr_expect_eq(one.size_bytes, 300 * MIB);
	cr_expect_eq(one.unit_count, UNITS);
	cr_expect_str_eq(since(&page, &page, 0, 300 * MIB), "");
	cr_expect_str_eq(in_flight(&page, 0, 300 * MIB), "");
	cr_expect(held(&page, &page, 0, 300 * MIB));
	cr_expect(held(&page, &page, 5, 0));
}

Test(cache_writes_page, c1_a_write_shows_in_each_unit_that_it_touches)
{
	struct bytes then = new_page(), now = then;

	written(&now, 3 * MIB - 1, 2);
	cr_expect_str_eq(since(&then, &now, 0, 300 * MIB), "2097152+2097152");
	cr_expect_str_eq(since(&then, &now, 0, 2 * MIB), "");
	cr_expect_str_eq(since(&then, &now, 0, 2 * MIB + 1), "2097152+1");
	cr_expect_str_eq(since(&then, &now, 4 * MIB - 512, 4096), "4193792+512");
	cr_expect_str_eq(since(&then, &now, 4 * MIB, 4096), "");
	cr_expect_str_eq(in_flight(&now, 0, 300 * MIB), "");
	cr_expect_not(held(&then, &now, 2 * MIB, 1));
	cr_expect_not(held(&then, &now, 4 * MIB - 1, 1));
	cr_expect(held(&then, &now, 4 * MIB, 1));
	cr_expect(held(&now, &now, 0, 300 * MIB));
}

Test(cache_writes_page, c1_what_began_counts_before_it_has_ended)
{
	struct bytes then = new_page(), now = then;

	begin(&now, 3, 0, 512);
	cr_expect_str_eq(since(&then, &now, 0, MIB), "0+1048576");
	cr_expect_not(held(&then, &now, 0, 512));
}

Test(cache_writes_page, r_more_ranges_than_fit_are_anything)
{
	struct bytes then = new_page(), now = then;

	for (uint64_t i = 0; i < CAPACITY; i++)
		written(&now, 2 * i * MIB, 1);
	cr_expect_str_eq(since(&then, &now, 0, 300 * MIB),
			 "0+1048576 2097152+1048576 4194304+1048576 6291456+1048576");
	written(&now, 200 * MIB, 1);
	cr_expect_str_eq(since(&then, &now, 0, 300 * MIB), "anything");
	cr_expect_str_eq(since(&then, &now, 0, 10 * MIB),
			 "0+1048576 2097152+1048576 4194304+1048576 6291456+1048576");
}

Test(cache_writes_page, c1_another_instance_is_anything)
{
	struct bytes then = new_page(), now = then;

	for (size_t i = 16; i < 32; i++) {
		now.at[i] ^= 1;
		cr_expect_str_eq(since(&then, &now, 0, 1), "anything");
		cr_expect_not(held(&then, &now, 0, 1));
		now.at[i] ^= 1;
	}
	cr_expect_str_eq(since(&then, &now, 0, 1), "");
}

Test(cache_writes_page, c1_pages_that_do_not_go_together_are_anything)
{
	struct bytes then = new_page(), now = then, other;

	written(&then, 0, 1);
	cr_expect_str_eq(since(&then, &now, 0, 1), "anything"); /* fewer than there were */
	cr_expect_str_eq(since(&then, &then, 0, 1), "");
	other = then;
	put_le32(other.at + 12, 21);
	cr_expect_str_eq(since(&then, &other, 0, 1), "anything");
	other = then;
	put_le32(other.at + 8, HEADER + 8);
	cr_expect_str_eq(since(&then, &other, 0, 1), "anything");
	other = then;
	begin(&then, 0, 0, 1);
	end(&then, 0, 0, 1);
	begin(&other, 0, 0, 1);
	begin(&other, 1, 0, 1);
	cr_expect_str_eq(since(&then, &other, 0, 1), "anything"); /* fewer have ended */
}

/* A counter that went round once is where it was: the totals tell. */
Test(cache_writes_page, c1_counters_that_may_have_gone_round_are_anything)
{
	struct bytes then = new_page(), now;

	written(&then, 0, 1);
	now = then;
	add64(now.at + 40, UINT32_MAX);
	add64(now.at + 48, UINT32_MAX);
	cr_expect_str_eq(since(&then, &now, 0, MIB), "");
	add64(now.at + 40, 1);
	add64(now.at + 48, 1);
	cr_expect_str_eq(since(&then, &now, 0, MIB), "anything");
	cr_expect_not(held(&then, &now, 0, MIB));
}

Test(cache_writes_page, c2_counters_go_round)
{
	struct bytes then = new_page(), now;

	add64(then.at + 40, UINT64_C(0x500000000));
	add64(then.at + 48, UINT64_C(0x500000000));
	put_le32(then.at + HEADER, UINT32_MAX);
	put_le32(then.at + HEADER + 4, UINT32_MAX);
	now = then;
	begin(&now, 0, 0, 4096);
	cr_expect_str_eq(since(&then, &now, 0, MIB), "0+1048576");
	cr_expect_str_eq(in_flight(&now, 0, MIB), "0+4096");
	put_le32(now.at + 60, 1); /* the same without a slot */
	memset(now.at + 64, 0, 16);
	cr_expect_str_eq(in_flight(&now, 0, MIB), "0+1048576");
}

/* ---- what is in flight --------------------------------------------------------------------- */

Test(cache_writes_page, c2_slots_say_which_bytes)
{
	struct bytes page = new_page();

	begin(&page, 27, 4096, 512);
	begin(&page, 1, MIB - 512, 1024);
	cr_expect_str_eq(in_flight(&page, 0, 300 * MIB), "1048064+1024 4096+512");
	cr_expect_str_eq(in_flight(&page, 4607, 1), "4607+1");
	cr_expect_str_eq(in_flight(&page, 4608, 4096), "");
	cr_expect_str_eq(in_flight(&page, 0, 4096), "");
	cr_expect(held(&page, &page, 0, 4096));
	cr_expect(held(&page, &page, 4608, 4096));
	cr_expect_not(held(&page, &page, 4095, 2));
	cr_expect_not(held(&page, &page, MIB, 1));
}

Test(cache_writes_page, c2_without_a_slot_it_is_the_unit)
{
	struct bytes page = new_page();

	begin(&page, 0, 4096, 512);
	begin(&page, SLOTS, 5 * MIB, 1);
	cr_expect_str_eq(in_flight(&page, 0, 300 * MIB), "0+1048576 5242880+1048576");
	cr_expect_not(held(&page, &page, 0, 512));
	cr_expect(held(&page, &page, MIB, MIB));
}

/* Ended in one place and begun in another: the totals are as they were. */
Test(cache_writes_page, c2_what_began_behind_what_ended_is_seen)
{
	struct bytes before = new_page(), after;

	begin(&before, 0, 8 * MIB, 1);
	after = before;
	end(&after, 0, 8 * MIB, 1);
	written(&after, 0, 1);
	cr_expect_not(held(&before, &after, 0, 1));
	cr_expect(held(&before, &after, MIB, 1));
	cr_expect_not(held(&before, &after, 8 * MIB, 1));
}

/* ---- beyond the counters ---------------------------------------------------------------------- */

Test(cache_writes_page, c1_beyond_the_counters_the_totals_tell)
{
	struct bytes then = new_page(), now = then;

	cr_expect_str_eq(since(&then, &now, 447 * MIB, 1000 * MIB), "");
	written(&now, 0, 1);
	cr_expect_str_eq(since(&then, &now, 447 * MIB, 1000 * MIB), "469762048+1047527424");
	cr_expect_str_eq(since(&then, &now, UINT64_MAX - 5, 5), "18446744073709551610+5");
	cr_expect_not(held(&then, &now, 448 * MIB, 1));
	begin(&now, 0, 500 * MIB, 1);
	cr_expect_str_eq(in_flight(&now, 448 * MIB, 448 * MIB), "524288000+1");
	end(&now, 0, 500 * MIB, 1);
	begin(&now, SLOTS, 500 * MIB, 1);
	cr_expect_str_eq(in_flight(&now, 448 * MIB, 448 * MIB), "469762048+469762048");
	cr_expect_str_eq(in_flight(&now, 0, MIB), "");
}

Test(cache_writes_page, r_where_the_counters_of_a_range_are)
{
	struct bytes bytes = new_page();
	struct writes_page page = parsed(&bytes);
	struct writes_range at = writes_page_where(&page, &(struct writes_range){ 0, 448 * MIB });

	cr_expect(at.offset_bytes == HEADER && at.length_bytes == 4096 - HEADER);
	at = writes_page_where(&page, &(struct writes_range){ 448 * MIB - 1, 2 });
	cr_expect(at.offset_bytes == 4088 && at.length_bytes == 16);
	at = writes_page_where(&page, &(struct writes_range){ 0, UINT64_MAX });
	cr_expect(at.offset_bytes == HEADER && at.length_bytes == (UINT64_C(1) << 44) * 8);
}

/* A piece of the counters, from unit 1000 on, read after the header. */
static struct writes_page with_piece(const struct bytes *header, const unsigned char *piece, size_t length)
{
	struct writes_page page = parsed(header);

	cr_assert_eq(writes_page_set_counters(&page, piece, HEADER + 1000 * 8, length), 0);
	return page;
}

Test(cache_writes_page, c1_counters_that_are_read_later)
{
	struct bytes then = new_page(), now = then;
	unsigned char before[64] = { 0 }, after[64] = { 0 };
	struct writes_page a, b;
	struct writes_range range = { 1001 * MIB, MIB }, ranges[CAPACITY];

	/* Begun after the header was read: in the counters, not in the totals. */
	put_le32(after + 8, 1);
	a = with_piece(&then, before, sizeof(before));
	b = with_piece(&now, after, sizeof(after));
	cr_expect_str_eq(text_of(writes_page_since(&a, &b, &range, ranges, CAPACITY), ranges),
			 "1049624576+1048576");
	/* It is in flight, and in no slot. */
	cr_expect_str_eq(text_of(writes_page_in_flight(&b, &range, ranges, CAPACITY), ranges),
			 "1049624576+1048576");
	cr_expect_not(writes_page_held(&b, &b, &range));
	/* Other units of the piece were not touched, and of none is more said than there is. */
	range = (struct writes_range){ 1002 * MIB, 6 * MIB };
	cr_expect(writes_page_held(&a, &b, &range));
	written(&now, 0, 1);
	b = with_piece(&now, after, sizeof(after));
	cr_expect(writes_page_held(&a, &b, &range));
	range = (struct writes_range){ 999 * MIB, 100 * MIB };
	cr_expect_str_eq(text_of(writes_page_since(&a, &b, &range, ranges, CAPACITY), ranges),
			 "1047527424+1048576 1049624576+1048576 1056964608+95420416");
	/* Two pieces that have no unit in common. */
	a = parsed(&then);
	cr_expect_str_eq(text_of(writes_page_since(&a, &b, &range, ranges, CAPACITY), ranges),
			 "1047527424+104857600");
}

/* A write between the header and the counters, when these were not read before: the next look finds it in the
 * totals only. */
Test(cache_writes_page, c1_counters_that_are_read_later_for_the_first_time)
{
	struct bytes bytes = new_page();
	unsigned char piece[64] = { 0 };
	struct writes_page then = parsed(&bytes), now = with_piece(&bytes, piece, sizeof(piece));
	struct writes_range range = { 1001 * MIB, MIB }, ranges[CAPACITY];

	put_le32(piece + 8, 1);
	put_le32(piece + 12, 1);
	cr_expect_eq(writes_page_since(&then, &now, &range, ranges, CAPACITY), 1);
	cr_expect_not(writes_page_held(&then, &now, &range));
	cr_expect_eq(writes_page_since(&now, &now, &range, ranges, CAPACITY), 0);
}

Test(cache_writes_page, c5_of_what_has_no_counters_the_slots_say_what_is_in_flight)
{
	struct bytes bytes = new_page();
	unsigned char piece[64] = { 0 };
	struct writes_range all = { 0, 2000 * MIB }, ranges[CAPACITY];
	struct writes_page now;

	begin(&bytes, 0, 5 * MIB + 512, 1024);
	begin(&bytes, 1, 1002 * MIB, 512);
	put_le32(piece + 16, 1);
	now = with_piece(&bytes, piece, sizeof(piece));
	cr_expect_str_eq(text_of(writes_page_in_flight(&now, &all, ranges, CAPACITY), ranges),
			 "5243392+1024 1050673152+1048576");
	begin(&bytes, SLOTS, 7 * MIB, 512);
	now = with_piece(&bytes, piece, sizeof(piece));
	cr_expect_eq(writes_page_in_flight(&now, &all, ranges, CAPACITY), 3,
		     "what is before, the unit, what is behind");
}

Test(cache_writes_page, s1_a_piece_that_is_none)
{
	struct bytes bytes = new_page();
	struct writes_page page = parsed(&bytes);
	unsigned char piece[16] = { 0 };

	cr_expect_eq(writes_page_set_counters(&page, piece, HEADER - 8, 16), -EINVAL);
	cr_expect_eq(writes_page_set_counters(&page, piece, HEADER + 4, 16), -EINVAL);
	cr_expect_eq(page.unit_count, UNITS);
	cr_expect_eq(writes_page_set_counters(&page, piece, UINT64_MAX - 7, 16), 0);
	cr_expect_eq(page.unit_count, 0);
	cr_expect_eq(writes_page_set_counters(&page, piece, HEADER + 8 * ((UINT64_C(1) << 44) - 2), 16), 0);
	cr_expect_eq(page.unit_count, 1); /* the last whole one below 2^64 */
	cr_expect(writes_page_held(&page, &page, &(struct writes_range){ 0, UINT64_MAX }));
}

/* ---- hostile and wrong servers ------------------------------------------------------------------ */

static void expect_impossible(size_t at, uint32_t value)
{
	struct bytes bytes = new_page();
	struct writes_page page;

	put_le32(bytes.at + at, value);
	cr_expect_eq(parse(&page, &bytes), -EPROTO, "%zu: %u", at, value);
}

Test(cache_writes_page, s1_a_header_that_is_impossible)
{
	expect_impossible(8, 0);
	expect_impossible(8, 56);
	expect_impossible(8, 516);
	expect_impossible(8, 4104);
	expect_impossible(8, UINT32_MAX);
	expect_impossible(12, 0);
	expect_impossible(12, 11);
	expect_impossible(12, 41);
	expect_impossible(12, 64);
	expect_impossible(40, 1); /* begun, and in flight nowhere */
	expect_impossible(48, 1); /* ended before it began */
	expect_impossible(56, 29);
	expect_impossible(56, UINT32_MAX);
	expect_impossible(60, 1);
	expect_impossible(HEADER, 1); /* written, and begun by nobody */
	expect_impossible(4092, 1);
}

Test(cache_writes_page, s1_slots_and_counters_that_are_impossible)
{
	struct bytes bytes = new_page(), good;
	struct writes_page page;

	begin(&bytes, 0, 0, 512);
	cr_expect_eq(parse(&page, &bytes), 0);
	good = bytes;
	put_le64(bytes.at + 64 + 16, 2 * MIB); /* a slot without a length is free */
	cr_expect_eq(parse(&page, &bytes), 0);
	put_le64(bytes.at + 64 + 16 + 8, 1);
	cr_expect_eq(parse(&page, &bytes), -EPROTO);
	bytes = good;
	put_le64(bytes.at + 64, 2 * MIB); /* not in flight by the counters */
	cr_expect_eq(parse(&page, &bytes), -EPROTO);
	bytes = good;
	put_le64(bytes.at + 64, UINT64_MAX - 510);
	cr_expect_eq(parse(&page, &bytes), -EPROTO);
	put_le64(bytes.at + 64, UINT64_MAX - 512);
	cr_expect_eq(parse(&page, &bytes), 0);
	bytes = good;
	put_le64(bytes.at + HEADER + 8, UINT64_C(0x500000005)); /* more than there were in all */
	cr_expect_eq(parse(&page, &bytes), -EPROTO);
	bytes = good;
	add32(bytes.at + HEADER + 4, 2); /* more has ended than began: 2^32 - 1 in flight */
	cr_expect_eq(parse(&page, &bytes), -EPROTO);
}

Test(cache_writes_page, s1_another_version_and_no_page)
{
	struct bytes bytes = new_page();
	struct writes_page page;

	bytes.at[7] = '2';
	cr_expect_eq(parse(&page, &bytes), -EPROTONOSUPPORT);
	memset(bytes.at, 0, 8);
	cr_expect_eq(parse(&page, &bytes), -EPROTONOSUPPORT);
	for (size_t length = 0; length < 520; length++) {
		bytes = new_page();
		cr_expect_eq(writes_page_parse(&page, bytes.at, length), length < HEADER ? -EPROTO : 0);
	}
	cr_expect_eq(page.unit_count, 0); /* of 519 bytes */
}

/* A later server of this version has a longer header, other slots, other units. */
Test(cache_writes_page, r_a_header_may_grow)
{
	static unsigned char bytes[WRITES_PAGE_MOMENT_BYTES + 4096];
	struct bytes first = new_page();
	struct writes_page page;
	struct writes_range range = { 0, 4096 * 5 }, ranges[CAPACITY];

	memcpy(bytes, first.at, HEADER);
	put_le32(bytes + 8, 2048);
	put_le32(bytes + 12, 12);
	put_le32(bytes + 56, 100);
	put_le64(bytes + 40, 1);
	put_le64(bytes + 64 + 99 * 16, 8192);
	put_le64(bytes + 64 + 99 * 16 + 8, 1);
	put_le32(bytes + 2048 + 16, 1);
	memset(bytes + WRITES_PAGE_MOMENT_BYTES, 0xff, 4096); /* of another moment: not looked at */
	cr_assert_eq(writes_page_parse(&page, bytes, sizeof(bytes)), 0);
	cr_expect_eq(page.unit_count, (WRITES_PAGE_MOMENT_BYTES - 2048) / 8);
	cr_expect_str_eq(text_of(writes_page_in_flight(&page, &range, ranges, CAPACITY), ranges), "8192+1");
}
