/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/page_news.h"

#include <errno.h>
#include <stdlib.h>

#include "base/checked.h"
#include "cache/changes/write_log.h"

int page_news_init(struct page_news *news)
{
	news->last.bytes = malloc(WRITES_PAGE_MOMENT_BYTES);
	news->next.bytes = malloc(WRITES_PAGE_MOMENT_BYTES);
	return news->last.bytes && news->next.bytes ? 0 : -ENOMEM;
}

void page_news_clear(struct page_news *news)
{
	free(news->last.bytes);
	free(news->last.far_bytes);
	free(news->next.bytes);
	free(news->next.far_bytes);
}

void page_news_forget(struct page_news *news)
{
	news->known = false;
}

/* Every block server takes a sector; and one that has to look for each counter is asked for few that nobody needs. */
#define ROUND_BYTES 512

size_t page_news_begin(struct page_news *news, uint64_t end_bytes, uint64_t export_bytes, int64_t now_ns)
{
	struct writes_range image = { 0, end_bytes }, counters = { 0 };
	uint64_t wanted = WRITES_PAGE_FIRST_READ;

	news->next.asked_ns = now_ns;
	news->next.has_far = news->beyond = false;
	if (news->known && end_bytes > 0) {
		counters = writes_page_where(&news->last.page, &image);
		wanted = max_u64(wanted, counters.offset_bytes + counters.length_bytes);
	}
	wanted = (wanted + ROUND_BYTES - 1) / ROUND_BYTES * ROUND_BYTES;
	news->more = wanted > WRITES_PAGE_MOMENT_BYTES;
	return (size_t)min_u64(min_u64(wanted, WRITES_PAGE_MOMENT_BYTES), export_bytes);
}

int page_news_parse(struct page_news *news, size_t length_bytes)
{
	return writes_page_parse(&news->next.page, news->next.bytes, length_bytes);
}

const unsigned char *page_news_instance(const struct page_news *news)
{
	return news->next.bytes + WRITES_PAGE_INSTANCE;
}

uint64_t page_news_size(const struct page_news *news)
{
	return news->next.page.size_bytes;
}

uint64_t page_news_near_end(const struct page_news *news)
{
	const struct writes_page *page = &news->next.page;

	return (page->first_unit + page->unit_count) << page->unit_shift;
}

int page_news_far(struct page_news *news, uint64_t first_bytes, uint64_t end_bytes, uint64_t export_bytes,
		  struct writes_range *far)
{
	struct page_look *next = &news->next;
	struct writes_range image = { first_bytes, end_bytes - first_bytes }, counters;
	uint64_t start, end;
	unsigned char *bytes;

	*far = (struct writes_range){ 0 };
	if (!news->more || first_bytes >= end_bytes)
		return 0;
	counters = writes_page_where(&next->page, &image);
	start = counters.offset_bytes / ROUND_BYTES * ROUND_BYTES;
	end = (counters.offset_bytes + counters.length_bytes + ROUND_BYTES - 1) / ROUND_BYTES * ROUND_BYTES;
	end = min_u64(end, export_bytes);
	if (start >= end)
		return 0;
	if (end - start > PAGE_NEWS_FAR_BYTES) {
		news->beyond = true;
		return 0;
	}
	if (end - start > next->far_capacity) {
		bytes = realloc(next->far_bytes, (size_t)(end - start));
		if (!bytes)
			return -ENOMEM;
		next->far_bytes = bytes;
		next->far_capacity = (size_t)(end - start);
	}
	*far = (struct writes_range){ start, end - start };
	return 0;
}

void page_news_set_far(struct page_news *news, const struct writes_range *far)
{
	struct page_look *next = &news->next;

	next->far = next->page;
	next->has_far = writes_page_set_counters(&next->far, next->far_bytes, far->offset_bytes,
						 (size_t)far->length_bytes) == 0;
	news->beyond = !next->has_far;
}

/* ---- what is told -------------------------------------------------------------------- */

/* What was found in a part of the image; all of it, if that is not known. */
static void add_found(int count, const struct writes_range *part, const struct writes_range *ranges,
		      struct cache_range *out, size_t *out_count)
{
	if (count < 0)
		out[(*out_count)++] = (struct cache_range){ part->offset_bytes, part->length_bytes };
	for (int i = 0; i < count; i++)
		out[(*out_count)++] = (struct cache_range){ ranges[i].offset_bytes, ranges[i].length_bytes };
}

/* A part of the image, and whose counters tell of it: the first read's, or the others. */
struct part {
	struct writes_range range;
	const struct writes_page *last, *next;
};

/* How many; parts that are empty are among them. */
static size_t parts_of(const struct page_news *news, uint64_t size_bytes, struct part parts[2])
{
	const struct page_look *last = &news->last, *next = &news->next;
	uint64_t near_end = next->has_far ? min_u64(page_news_near_end(news), size_bytes) : size_bytes;

	parts[0] = (struct part){ { 0, near_end }, &last->page, &next->page };
	parts[1] = (struct part){ { near_end, size_bytes - near_end },
				  last->has_far ? &last->far : &last->page,
				  &next->far };
	return next->has_far ? 2 : 1;
}

bool page_news_counts(const struct page_news *news)
{
	return news->next.page.size_bytes != 0 || news->next.page.begun != 0;
}

bool page_news_tell(struct page_news *news, struct write_log *log, uint64_t size_bytes)
{
	struct cache_range written[WRITE_NEWS_MAX], in_flight[WRITE_NEWS_MAX];
	struct writes_range ranges[WRITE_NEWS_MAX];
	struct write_news told = { .since_ns = news->next.asked_ns,
				   .written = written,
				   .in_flight = in_flight };
	struct page_look taken = news->next;
	struct part parts[2];
	size_t count = parts_of(news, size_bytes, parts), capacity = WRITE_NEWS_MAX / count;

	if (news->known) {
		told.since_ns = news->last.asked_ns;
		told.writes = news->next.page.begun - news->last.page.begun;
	} else {
		write_log_start_over(log);
	}
	for (size_t i = 0; i < count; i++) {
		const struct part *part = &parts[i];

		if (news->known)
			add_found(writes_page_since(part->last, part->next, &part->range, ranges, capacity),
				  &part->range, ranges, written, &told.written_count);
		add_found(writes_page_in_flight(part->next, &part->range, ranges, capacity), &part->range,
			  ranges, in_flight, &told.in_flight_count);
	}
	news->known = write_log_news(log, &told);
	news->next = news->last;
	news->last = taken;
	return news->known;
}
