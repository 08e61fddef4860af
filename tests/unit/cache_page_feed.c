/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache_page_feed.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "cache/changes/page_news.h"

#define HEADER_BYTES 512
#define SLOTS 28

struct memory_page {
	struct write_feed feed; /* first */
	struct memory_device *memory;
	struct write_log *log;
	struct page_news news;
	unsigned char bytes[WRITES_PAGE_FIRST_READ];
	unsigned unit_shift;
	bool there;
};

static struct memory_page *page_of(struct write_feed *self)
{
	return (struct memory_page *)self;
}

static int64_t listen(struct write_feed *self, bool may_block)
{
	(void)self;
	(void)may_block;
	return 0;
}

static void drain(struct write_feed *self)
{
	(void)self;
}

static const char *why_not(struct write_feed *self)
{
	return page_of(self)->there ? NULL : "it is not there";
}

static void close_feed(struct write_feed *self)
{
	page_news_clear(&page_of(self)->news);
	free(self);
}

static bool look(struct write_feed *self, struct cache_observation *seen)
{
	struct memory_page *page = page_of(self);
	struct page_news *news = &page->news;
	size_t length_bytes;

	if (!page->there) {
		page_news_forget(news);
		return false;
	}
	length_bytes =
		page_news_begin(news, seen->size_bytes, sizeof(page->bytes), write_log_now_ns(page->log));
	if (page->memory->turn)
		page->memory->turn(page->memory);
	memcpy(news->next.bytes, page->bytes, length_bytes);
	if (page_news_parse(news, length_bytes) != 0)
		abort();
	if (news->known && memcmp(page_news_instance(news), news->last.bytes + WRITES_PAGE_INSTANCE,
				  WRITES_PAGE_INSTANCE_BYTES) != 0)
		page_news_forget(news);
	return page_news_tell(news, page->log, seen->size_bytes);
}

bool memory_page_is_idle(const struct memory_page *page)
{
	return get_le64(page->bytes + WRITES_PAGE_BEGUN) == get_le64(page->bytes + WRITES_PAGE_ENDED);
}

void memory_page_restart(struct memory_page *page)
{
	unsigned char instance = page->bytes[WRITES_PAGE_INSTANCE];

	memset(page->bytes, 0, sizeof(page->bytes));
	memcpy(page->bytes, WRITES_PAGE_MAGIC, strlen(WRITES_PAGE_MAGIC));
	put_le32(page->bytes + WRITES_PAGE_HEADER, HEADER_BYTES);
	put_le32(page->bytes + WRITES_PAGE_SHIFT, page->unit_shift);
	put_le32(page->bytes + WRITES_PAGE_SLOT_COUNT, SLOTS);
	page->bytes[WRITES_PAGE_INSTANCE] = instance + 1;
}

void memory_page_set_there(struct memory_page *page, bool there)
{
	page->there = there;
}

struct memory_page *memory_page_new(struct memory_device *memory, struct write_log *log, unsigned unit_shift)
{
	static const struct write_feed_ops ops = { listen, drain, why_not, close_feed, look, "told" };
	struct memory_page *page = calloc(1, sizeof(*page));

	if (!page || page_news_init(&page->news) != 0)
		abort();
	page->feed.ops = &ops;
	page->memory = memory;
	page->log = log;
	page->unit_shift = unit_shift;
	page->there = true;
	memory_page_restart(page);
	write_log_set_feed(log, &page->feed);
	return page;
}

static void count(struct memory_page *page, size_t total_at, size_t field, uint64_t offset_bytes,
		  uint64_t length_bytes)
{
	put_le64(page->bytes + total_at, get_le64(page->bytes + total_at) + 1);
	for (uint64_t unit = offset_bytes >> page->unit_shift;
	     unit <= (offset_bytes + length_bytes - 1) >> page->unit_shift; unit++) {
		unsigned char *counter =
			page->bytes + HEADER_BYTES + unit * WRITES_PAGE_COUNTER_BYTES + field;

		if (HEADER_BYTES + (unit + 1) * WRITES_PAGE_COUNTER_BYTES <= sizeof(page->bytes))
			put_le32(counter, get_le32(counter) + 1);
	}
}

/* The first slot that has this; all are there. */
static unsigned char *find_slot(struct memory_page *page, uint64_t offset_bytes, uint64_t length_bytes)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		unsigned char *slot = page->bytes + WRITES_PAGE_SLOTS + (size_t)i * WRITES_PAGE_SLOT_BYTES;

		if (get_le64(slot + 8) == length_bytes &&
		    (length_bytes == 0 || get_le64(slot) == offset_bytes))
			return slot;
	}
	abort();
}

void memory_page_begin(struct memory_page *page, uint64_t offset_bytes, uint64_t length_bytes)
{
	unsigned char *slot = find_slot(page, offset_bytes, 0);

	count(page, WRITES_PAGE_BEGUN, 0, offset_bytes, length_bytes);
	put_le64(slot, offset_bytes);
	put_le64(slot + 8, length_bytes);
}

void memory_page_end(struct memory_page *page, uint64_t offset_bytes, uint64_t length_bytes)
{
	put_le64(find_slot(page, offset_bytes, length_bytes) + 8, 0);
	count(page, WRITES_PAGE_ENDED, 4, offset_bytes, length_bytes);
}
