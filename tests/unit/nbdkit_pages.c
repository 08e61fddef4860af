/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * contrib/nbdkit/pages: what the filter counts, as a reader of imagefs understands it. R.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "cache/changes/formats/writes_page.h"
#include "contrib/nbdkit/pages.h"

#define MIB UINT64_C(1048576)
#define WHOLE (&(struct writes_range){ 0, UINT64_MAX })

struct snapshot {
	unsigned char bytes[WRITES_PAGE_MOMENT_BYTES];
	struct writes_page page;
};

static void look(struct page *page, struct snapshot *seen)
{
	page_read(page, seen->bytes, sizeof(seen->bytes), 0);
	cr_assert_eq(writes_page_parse(&seen->page, seen->bytes, sizeof(seen->bytes)), 0);
}

static bool is_held(const struct snapshot *before, const struct snapshot *after, uint64_t offset,
		    uint64_t length)
{
	return writes_page_held(&before->page, &after->page, &(struct writes_range){ offset, length });
}

Test(nbdkit_pages, r_a_write_is_counted_before_and_after)
{
	static struct snapshot rest, begun, ended;
	struct page *page = pages_get("one");
	struct page_write write;

	look(page, &rest);
	page_begin(page, &write, MIB - 1, 2);
	look(page, &begun);
	page_end(page, &write);
	look(page, &ended);
	cr_expect(is_held(&rest, &rest, 0, 4 * MIB));
	cr_expect_not(is_held(&rest, &begun, MIB - 1, 1));
	cr_expect_not(is_held(&rest, &begun, MIB, 1));
	cr_expect_not(is_held(&begun, &ended, MIB - 1, 1));
	cr_expect(is_held(&begun, &ended, 0, MIB - 1)); /* its slot says which bytes */
	cr_expect(is_held(&rest, &ended, 2 * MIB, 100 * MIB));
	cr_expect_not(is_held(&rest, &ended, 0, 1));
	cr_expect(is_held(&ended, &ended, 0, 1));
	cr_expect(ended.page.begun == 1 && ended.page.ended == 1 && ended.page.unlisted == 0);
	pages_put(page);
}

Test(nbdkit_pages, r_more_in_flight_than_slots)
{
	static struct snapshot seen;
	struct page *page = pages_get("one");
	struct page_write writes[100];
	struct writes_range ranges[100];

	for (unsigned i = 0; i < 100; i++)
		page_begin(page, &writes[i], 2 * i * MIB, 512);
	look(page, &seen);
	cr_expect_eq(seen.page.unlisted, 100 - seen.page.slot_count);
	cr_expect_eq(writes_page_in_flight(&seen.page, WHOLE, ranges, 100),
		     -1); /* beyond the counters, too */
	cr_expect_eq(writes_page_in_flight(&seen.page, &(struct writes_range){ 0, 1000 * MIB }, ranges, 100),
		     100);
	for (unsigned i = 0; i < 100; i += 2)
		page_end(page, &writes[i]);
	look(page, &seen);
	cr_expect_eq(writes_page_in_flight(&seen.page, &(struct writes_range){ 0, 1000 * MIB }, ranges, 100),
		     50);
	/* Slots that became free are used again. */
	page_begin(page, &writes[0], 999 * MIB, 512);
	for (unsigned i = 1; i < 100; i += 2)
		page_end(page, &writes[i]);
	look(page, &seen);
	cr_expect_eq(writes_page_in_flight(&seen.page, WHOLE, ranges, 100), 1);
	cr_expect(ranges[0].offset_bytes == 999 * MIB && ranges[0].length_bytes == 512);
	page_end(page, &writes[0]);
	look(page, &seen);
	cr_expect_eq(writes_page_in_flight(&seen.page, WHOLE, ranges, 100), 0);
	cr_expect(is_held(&seen, &seen, 0, UINT64_MAX));
	pages_put(page);
}

Test(nbdkit_pages, r_the_page_grows_with_what_is_written)
{
	static struct snapshot before, after;
	static unsigned char far[16];
	struct page *page = pages_get("one");
	struct page_write write;
	const uint64_t units = (PAGES_EXPORT_BYTES - PAGES_HEADER_BYTES) / 8;

	look(page, &before);
	page_begin(page, &write, 8000 * MIB, 3 * MIB);
	page_end(page, &write);
	look(page, &after);
	cr_expect(is_held(&before, &after, 0, 8000 * MIB));
	cr_expect_not(is_held(&before, &after, 8002 * MIB, MIB));
	cr_expect(is_held(&before, &after, 8003 * MIB, MIB));
	/* The last counter, and beyond it: the totals only. */
	page_begin(page, &write, (units - 1) * MIB, 5 * MIB);
	page_end(page, &write);
	page_begin(page, &write, UINT64_MAX - 4096, 4096);
	page_end(page, &write);
	page_begin(page, &write, UINT64_MAX - 4096, 0);
	page_end(page, &write);
	page_read(page, far, sizeof(far), PAGES_EXPORT_BYTES - 8);
	cr_expect(get_le32(far) == 1 && get_le32(far + 4) == 1 && get_le64(far + 8) == 0);
	look(page, &after);
	cr_expect_eq(after.page.begun, 3);
	pages_put(page);
}

Test(nbdkit_pages, r_one_image_has_one_page)
{
	static struct snapshot one, other;
	struct page *page = pages_get("a"), *same = pages_get("a"), *b = pages_get("b");
	struct page_write write;

	cr_expect_eq(page, same);
	page_begin(page, &write, 0, 1);
	page_end(page, &write);
	page_set_image_size(page, 77);
	look(b, &other);
	cr_expect_eq(other.page.begun, 0);
	look(same, &one);
	cr_expect_eq(one.page.size_bytes, 77);
	cr_expect_neq(memcmp(one.bytes + WRITES_PAGE_INSTANCE, other.bytes + WRITES_PAGE_INSTANCE, 16), 0);
	pages_put(page);
	pages_put(same);
	same = pages_get("a"); /* nobody used it for a while */
	look(same, &other);
	cr_expect_eq(writes_page_since(&one.page, &other.page, WHOLE, NULL, 0), 0);
	pages_put(same);
	pages_put(b);
}

/* Of many pages that nobody uses the oldest are let go, never one that is in use. */
Test(nbdkit_pages, s5_pages_that_nobody_uses_are_bounded)
{
	static struct snapshot first, last, seen;
	struct page *used = pages_get("used"), *page = pages_get("first");
	char name[16];

	look(page, &first);
	pages_put(page);
	for (unsigned i = 0; i < PAGES_IDLE_MAX; i++) {
		snprintf(name, sizeof(name), "%u", i);
		page = pages_get(name);
		look(page, &last);
		pages_put(page);
	}
	page = pages_get("used");
	cr_expect_eq(page, used);
	pages_put(page);
	page = pages_get(name);
	look(page, &seen);
	cr_expect_eq(writes_page_since(&last.page, &seen.page, WHOLE, NULL, 0), 0);
	pages_put(page);
	page = pages_get("first");
	look(page, &seen);
	cr_expect_eq(writes_page_since(&first.page, &seen.page, WHOLE, NULL, 0), -1);
	pages_put(page);
	pages_put(used);
}

/* ---- many at once ------------------------------------------------------------------------- */

#define WRITERS 8
#define ROUNDS 1000000

static struct page *shared;
static pthread_barrier_t start;
static atomic_uint finished;

static void *writer(void *argument)
{
	struct page_write write;

	pthread_barrier_wait(&start);
	for (unsigned i = 0; i < ROUNDS; i++) {
		page_begin(shared, &write, (uint64_t)(uintptr_t)argument * MIB / 2 + i % 7 * 4096, 2 * MIB);
		page_end(shared, &write);
	}
	finished++;
	return NULL;
}

/* Every snapshot is one that could be: writes_page_parse checks the counters against each other. */
Test(nbdkit_pages, c2_a_page_is_of_one_moment)
{
	static struct snapshot seen;
	pthread_t threads[WRITERS];

	shared = pages_get("one");
	pthread_barrier_init(&start, NULL, WRITERS);
	for (uintptr_t i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, writer, (void *)i);
	while (finished < WRITERS)
		look(shared, &seen);
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	look(shared, &seen);
	cr_expect(seen.page.begun == WRITERS * ROUNDS && seen.page.ended == WRITERS * ROUNDS);
	cr_expect(is_held(&seen, &seen, 0, UINT64_MAX));
	pages_put(shared);
}
