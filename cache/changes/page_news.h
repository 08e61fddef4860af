/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * page_news: the page of NAME@writes (formats/writes_page.h) as it was at the last look and as it is now, and
 * what that means for a write log.
 *
 * A page's units are of a MiB or so: what was written is known as precisely as that, what is in flight by its
 * very bytes where it has a slot. Bytes tell the rest (cache/tree): a file beside which somebody writes is
 * read again, and keeps its inode.
 *
 * One read, which is of one moment, has the counters of the first units. Of a FAT beyond these they are read
 * after it, into bytes of their own: what is told of it comes from there.
 *
 * No I/O, and no lock: its owner's. The bytes are hostile: each look takes as many steps as the part of the
 * page that is kept has units and slots, and makes WRITE_NEWS_MAX ranges at most; more, and it is everything.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cache/changes/formats/writes_page.h"

struct write_log;

/* So much behind other file systems, up to the end of the image, is no reason to read the counters of these.
 */
#define PAGE_NEWS_TAIL_BYTES (UINT64_C(4) << 20)

/* So much more of a page is read: of units of a MiB, the counters of 128 GiB. */
#define PAGE_NEWS_FAR_BYTES ((size_t)1 << 20)

struct page_look {
	unsigned char *bytes;	 /* WRITES_PAGE_MOMENT_BYTES */
	struct writes_page page; /* of these */
	unsigned char *far_bytes;
	size_t far_capacity;
	bool has_far;
	struct writes_page far;	 /* the same page, with counters of these; if has_far */
	int64_t asked_ns;	 /* of the log's clock: before the page was asked for */
};

struct page_news {
	struct page_look last, next;
	bool known;  /* there is a last one */
	bool more;   /* one read has not all the counters that were wanted when it was begun last, */
	bool beyond; /* nor are they so few that more are read */
};

int page_news_init(struct page_news *news); /* -ENOMEM; page_news_clear in any case. From zeroes. */
void page_news_clear(struct page_news *news);

/* What was told is not known to be so any more. */
void page_news_forget(struct page_news *news);

/*
 * The page is asked for at `now_ns`: how many bytes to read from its begin into next.bytes, for the counters
 * of the image up to `end_bytes`, if there are so many. At least WRITES_PAGE_FIRST_READ, at most
 * WRITES_PAGE_MOMENT_BYTES, and not more than the page's export has.
 */
size_t page_news_begin(struct page_news *news, uint64_t end_bytes, uint64_t export_bytes, int64_t now_ns);

/* They were read. As writes_page_parse; then, and until it is begun again, the next four. */
int page_news_parse(struct page_news *news, size_t length_bytes);

const unsigned char *page_news_instance(const struct page_news *news); /* WRITES_PAGE_INSTANCE_BYTES */
uint64_t page_news_size(const struct page_news *news);

/*
 * If there is `more`, the counters from the first tracked byte on that is not before page_news_near_end up to
 * `end_bytes`: *far are the bytes of the page, for the caller to read into next.far_bytes; of no length:
 * there are none. Then page_news_set_far, once they are read, and the instance is seen to be the same after
 * that. -ENOMEM.
 */
uint64_t page_news_near_end(const struct page_news *news);
int page_news_far(struct page_news *news, uint64_t first_bytes, uint64_t end_bytes, uint64_t export_bytes,
		  struct writes_range *far);
void page_news_set_far(struct page_news *news, const struct writes_range *far);

/* Was anybody there whose writes it would count? A server by which nobody can write says 0 of everything. */
bool page_news_counts(const struct page_news *news);

/*
 * Tell the log, of an image of that size, what is new; all of it, if there was none before. It is the last
 * one from now on. False: there is no memory for it. Then nothing is told, and nothing known.
 */
bool page_news_tell(struct page_news *news, struct write_log *log, uint64_t size_bytes);
