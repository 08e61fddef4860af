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
	free(news->next.bytes);
}

void page_news_forget(struct page_news *news)
{
	news->known = false;
}

/* Of the units of the last page; there was none: one read says how large they are. */
/* Every block server takes a sector; and one that has to look for each counter is asked for few that nobody needs. */
#define ROUND_BYTES 512

size_t page_news_begin(struct page_news *news, uint64_t end_bytes, uint64_t export_bytes, int64_t now_ns)
{
	struct writes_range image = { 0, end_bytes }, counters = { 0 };
	uint64_t wanted = WRITES_PAGE_FIRST_READ;

	news->next.asked_ns = now_ns;
	if (news->known && end_bytes > 0) {
		counters = writes_page_where(&news->last.page, &image);
		wanted = max_u64(wanted, counters.offset_bytes + counters.length_bytes);
	}
	wanted = (wanted + ROUND_BYTES - 1) / ROUND_BYTES * ROUND_BYTES;
	news->beyond = wanted > WRITES_PAGE_MOMENT_BYTES;
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

/* How many; all of the image, if that is not known. */
static size_t found(int count, const struct writes_range *image, const struct writes_range *ranges,
		    struct cache_range *out)
{
	if (count < 0)
		out[0] = (struct cache_range){ image->offset_bytes, image->length_bytes };
	for (int i = 0; i < count; i++)
		out[i] = (struct cache_range){ ranges[i].offset_bytes, ranges[i].length_bytes };
	return count < 0 ? 1 : (size_t)count;
}

void page_news_tell(struct page_news *news, struct write_log *log, uint64_t size_bytes)
{
	const struct writes_page *last = &news->last.page, *next = &news->next.page;
	struct cache_range written[WRITE_NEWS_MAX], in_flight[WRITE_NEWS_MAX];
	struct writes_range image = { 0, size_bytes }, ranges[WRITE_NEWS_MAX];
	struct write_news told = { .since_ns = news->next.asked_ns,
				   .written = written,
				   .in_flight = in_flight };
	struct page_look taken = news->next;

	if (news->known) {
		told.since_ns = news->last.asked_ns;
		told.writes = next->begun - last->begun;
		told.written_count = found(writes_page_since(last, next, &image, ranges, WRITE_NEWS_MAX),
					   &image, ranges, written);
	} else {
		write_log_start_over(log);
	}
	told.in_flight_count =
		found(writes_page_in_flight(next, &image, ranges, WRITE_NEWS_MAX), &image, ranges, in_flight);
	write_log_news(log, &told);
	news->next = news->last;
	news->last = taken;
	news->known = true;
}
