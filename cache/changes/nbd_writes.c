/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/nbd_writes.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/waits.h"
#include "cache/changes/formats/writes_page.h"
#include "cache/changes/page_news.h"
#include "cache/changes/write_log.h"
#include "cache/device/nbd.h"
#include "cache/device/nbd_export.h"
#include "cache/device/nbd_target.h"
#include "cache/device/ring.h"

/* Every block server takes a sector. */
#define HEADER_AGAIN_BYTES 512

/* A look connects anew to NAME so often at most, until that is to the server of the page. */
#define TURNS_MAX 3

static const char not_asked[] = "its block server was not asked for NAME@writes yet";
static const char unreached[] = "its block server has no export NAME@writes, or it cannot be reached in time";
static const char unread[] = "its block server's export NAME@writes cannot be read";
static const char no_page[] =
	"its block server's export NAME@writes is no page that is understood (imagefs-writes(7))";
static const char beyond[] = "its FAT lies beyond the counters of NAME@writes that are read for each look";
static const char uncounted[] =
	"nobody has it open for writing by its block server, and NAME@writes counts nothing";
static const char no_memory[] = "there is no memory for what NAME@writes says";
static const char moving[] = "its block server is another one each time it is connected to";

/* Under the image's lock, but for what says otherwise. */
struct nbd_writes {
	struct write_feed feed;	     /* first */
	struct cache_device *device; /* constant, as the next three */
	struct write_log *log;
	struct nbd_target *target;
	struct nbd_export *page;
	_Atomic(const char *) why_not; /* no lock */
	bool there;		       /* the page, when it was last read */
	int64_t asked_ns;	       /* CLOCK_MONOTONIC: when it last was */
	int64_t again_ns; /* CLOCK_MONOTONIC: it was there before, and is asked for again then; 0: it never
			     was */
	unsigned char instance[WRITES_PAGE_INSTANCE_BYTES]; /* that each look has shown */
	int64_t instance_ns; /* CLOCK_MONOTONIC: since then; 0: none, or not without a gap */
	uint64_t verified; /* the connection of NAME that is known to be to that instance's server; 0: none */
	uint64_t size_tried; /* the image's size in the page for which NAME was connected to anew */
	struct page_news news;
};

static struct nbd_writes *writes_of(struct write_feed *self)
{
	return (struct nbd_writes *)self;
}

/*
 * What was believed is not any more. It is asked for again at the next look (a connection that fails has
 * pauses of its own), but a page that hangs is not waited for each time.
 */
static bool lose(struct nbd_writes *writes, const char *why)
{
	int64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);
	/* Where each connect leads elsewhere, to find that out takes some of them. */
	bool hangs = now_ns - writes->asked_ns > WAIT_NBD_WRITES_NS || why == moving;

	if (writes->there || writes->again_ns != 0)
		writes->again_ns = now_ns + (hangs ? WAIT_NBD_WRITES_AGAIN_NS : 0);
	writes->there = false;
	writes->instance_ns = 0;
	atomic_store(&writes->why_not, why);
	nbd_device_set_told(writes->device, false);
	page_news_forget(&writes->news);
	return false;
}

/* ---- the page --------------------------------------------------------------------------- */

/*
 * Read into `buffer`, in requests side by side. 0 or -EIO. What it reads of the page is of one moment if it
 * is one request.
 */
static int read_bytes(struct nbd_writes *writes, uint64_t offset_bytes, unsigned char *buffer,
		      size_t length_bytes)
{
	struct ring_piece pieces[PAGE_NEWS_FAR_BYTES / NBD_REQUEST_BYTES_MAX] = { 0 };
	size_t count = 0;

	for (size_t at = 0; at < length_bytes; at += NBD_REQUEST_BYTES_MAX)
		pieces[count++] = (struct ring_piece){
			.offset_bytes = offset_bytes + at,
			.buffer = buffer + at,
			.length_bytes = (size_t)min_u64(length_bytes - at, NBD_REQUEST_BYTES_MAX),
		};
	nbd_export_read(writes->page, pieces, count);
	for (size_t i = 0; i < count; i++)
		if (pieces[i].result != (ssize_t)pieces[i].length_bytes)
			return -EIO;
	return 0;
}

/*
 * The counters of a FAT beyond those that the first read had. They are judged by themselves; that they are of
 * the same image the header says, which is read behind them. 0, -EIO, -ENOMEM.
 */
static int read_far(struct nbd_writes *writes, uint64_t end_bytes, uint64_t export_bytes)
{
	struct page_news *news = &writes->news;
	uint64_t first_bytes = write_log_tracked_begin(writes->log, page_news_near_end(news));
	unsigned char header[HEADER_AGAIN_BYTES];
	struct writes_range far;
	int error = page_news_far(news, first_bytes, end_bytes, export_bytes, &far);

	if (error != 0 || far.length_bytes == 0)
		return error;
	error = read_bytes(writes, far.offset_bytes, news->next.far_bytes, (size_t)far.length_bytes);
	if (error == 0)
		error = read_bytes(writes, 0, header, sizeof(header));
	if (error != 0 ||
	    memcmp(header + WRITES_PAGE_INSTANCE, page_news_instance(news), WRITES_PAGE_INSTANCE_BYTES) != 0)
		return -EIO;
	page_news_set_far(news, &far);
	return 0;
}

/*
 * Of the page, over a connection that was begun at `since_ns` or later: parsed into the news. 0, -ENOTCONN,
 * -EIO, -ENOMEM, or as writes_page_parse.
 */
static int read_page(struct nbd_writes *writes, int64_t since_ns, uint64_t size_bytes, struct nbd_look *at)
{
	uint64_t end_bytes = 0;
	size_t length_bytes;
	int error;

	writes->asked_ns = clock_now_ns(CLOCK_MONOTONIC);
	error = nbd_export_look(writes->page, since_ns, writes->there ? WAIT_NBD_LOOK_NS : WAIT_NBD_WRITES_NS,
				at);

	if (error != 0)
		return -ENOTCONN;
	/* Before it is known what is of interest no server is asked for all that there is. */
	if (write_log_is_mapped(writes->log))
		end_bytes = write_log_tracked_end(writes->log, size_bytes, PAGE_NEWS_TAIL_BYTES);
	length_bytes =
		page_news_begin(&writes->news, end_bytes, at->size_bytes, write_log_now_ns(writes->log));
	if (length_bytes == 0)
		return -EPROTO;
	if (read_bytes(writes, 0, writes->news.next.bytes, length_bytes) != 0)
		return -EIO;
	error = page_news_parse(&writes->news, length_bytes);
	return error == 0 && writes->news.more ? read_far(writes, end_bytes, at->size_bytes) : error;
}

static const char *why_not_read(int error)
{
	switch (error) {
	case -ENOTCONN:
		return unreached;
	case -EIO:
		return unread;
	case -ENOMEM:
		return no_memory;
	default:
		return no_page;
	}
}

static bool shows_same_instance(const struct nbd_writes *writes)
{
	return writes->instance_ns != 0 &&
	       memcmp(writes->instance, page_news_instance(&writes->news), sizeof(writes->instance)) == 0;
}

/*
 * It is another instance than before: nothing of before counts. What a connection to the page shows is what
 * the name means when it is read, which may be another image than when it was made: so NAME is believed to be
 * that one if it was connected to from now on.
 */
static void note_instance(struct nbd_writes *writes)
{
	memcpy(writes->instance, page_news_instance(&writes->news), sizeof(writes->instance));
	writes->instance_ns = clock_now_ns(CLOCK_MONOTONIC);
	writes->verified = 0;
	page_news_forget(&writes->news);
}

/* ---- the feed --------------------------------------------------------------------------- */

/*
 * Not where there never was one, while there is a connection to NAME: some servers have room for one. But one
 * to the page may have come after all, later than it was waited for.
 */
static bool is_to_be_asked(const struct nbd_writes *writes)
{
	if (writes->there)
		return false;
	return !nbd_device_is_connected(writes->device) ||
	       (writes->again_ns != 0 && clock_now_ns(CLOCK_MONOTONIC) >= writes->again_ns) ||
	       (atomic_load(&writes->why_not) == unreached && nbd_export_is_connected(writes->page));
}

/* Before NAME is connected to, if it is to be: is there a page? */
static int64_t listen(struct write_feed *self, bool may_block)
{
	struct nbd_writes *writes = writes_of(self);
	struct nbd_look at;
	int error;

	if (!may_block || !is_to_be_asked(writes))
		return 0;
	error = read_page(writes, 0, 0, &at);
	writes->there = error == 0;
	if (error != 0)
		lose(writes, why_not_read(error));
	else if (!shows_same_instance(writes))
		note_instance(writes);
	return 0;
}

/* Is the connection over which NAME was looked at to the server that shows this instance? `at` is the page's.
 */
static bool is_verified(struct nbd_writes *writes, const struct nbd_look *name, const struct nbd_look *at)
{
	if (name->connection == writes->verified)
		return true;
	if (writes->instance_ns > name->begun_ns || at->begun_ns < name->talks_ns)
		return false;
	/* One in between was read from, and is not known. */
	if (writes->verified != 0 && name->connection != writes->verified + 1)
		page_news_forget(&writes->news);
	writes->verified = name->connection;
	return true;
}

/* The server has told some client of another size since NAME was opened. */
static bool has_other_size(struct nbd_writes *writes, const struct nbd_look *name)
{
	uint64_t size_bytes = page_news_size(&writes->news);

	if (size_bytes == 0 || size_bytes == name->size_bytes || size_bytes == writes->size_tried)
		return false;
	writes->size_tried = size_bytes;
	return true;
}

/*
 * A page that is no reason to believe anything (C7); or NULL. Of what has no counters the totals would say
 * that it is written whenever anything is: no file there would ever be at rest. And a server by which nobody
 * can write counts nothing, whoever else writes.
 */
static const char *why_untold(const struct nbd_writes *writes)
{
	if (writes->news.beyond)
		return beyond;
	return page_news_counts(&writes->news) ? NULL : uncounted;
}

/* It goes on to be asked for: by the next look the table may be another one, and there may be a writer. */
static bool leave_untold(struct nbd_writes *writes, const char *why)
{
	nbd_device_set_told(writes->device, false);
	atomic_store(&writes->why_not, why);
	return false;
}

/* What was read ahead before is older than the page. */
static bool tell(struct nbd_writes *writes, uint64_t size_bytes)
{
	nbd_device_set_told(writes->device, true);
	if (!page_news_tell(&writes->news, writes->log, size_bytes))
		return lose(writes, no_memory);
	atomic_store(&writes->why_not, NULL);
	return true;
}

static bool look(struct write_feed *self, struct cache_observation *seen)
{
	struct nbd_writes *writes = writes_of(self);
	struct nbd_look name, at;

	if (!writes->there)
		return false;
	nbd_device_looked(writes->device, &name);
	for (int turn = 0; turn < TURNS_MAX; turn++) {
		int64_t since_ns = name.connection == writes->verified ? 0 : name.talks_ns;
		int error = read_page(writes, since_ns, name.size_bytes, &at);

		if (error != 0)
			return lose(writes, why_not_read(error));
		if (!shows_same_instance(writes)) {
			note_instance(writes);
		} else if (is_verified(writes, &name, &at) && !has_other_size(writes, &name)) {
			const char *untold = why_untold(writes);

			seen->size_bytes = name.size_bytes;
			return untold ? leave_untold(writes, untold) : tell(writes, name.size_bytes);
		}
		if (nbd_device_look_again(writes->device, clock_now_ns(CLOCK_MONOTONIC), &name) != 0)
			return lose(writes, unreached);
	}
	return lose(writes, moving);
}

static void drain(struct write_feed *self)
{
	(void)self;
}

static const char *why_not(struct write_feed *self)
{
	return atomic_load(&writes_of(self)->why_not);
}

static void close_feed(struct write_feed *self)
{
	struct nbd_writes *writes = writes_of(self);

	nbd_export_free(writes->page);
	nbd_target_unref(writes->target);
	page_news_clear(&writes->news);
	free(writes);
}

int nbd_writes_new(struct cache_device *device, struct write_log *log)
{
	static const struct write_feed_ops ops = { listen,     drain, why_not,
						   close_feed, look,  "told by NAME@writes" };
	struct nbd_writes *writes = calloc(1, sizeof(*writes));
	int error = writes ? page_news_init(&writes->news) : -ENOMEM;

	if (error == 0)
		writes->target = nbd_target_beside(nbd_device_target(device), WRITES_PAGE_SUFFIX);
	if (error == 0)
		error = writes->target ? nbd_export_new(writes->target, &writes->page) : -ENOMEM;
	if (error != 0) {
		if (writes)
			close_feed(&writes->feed);
		return error;
	}
	writes->feed.ops = &ops;
	writes->device = device;
	writes->log = log;
	atomic_store(&writes->why_not, not_asked);
	write_log_set_feed(log, &writes->feed);
	return 0;
}
