/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/kernel_feeds.h"

#include <stdatomic.h>

#include "cache/changes/announcements.h"
#include "cache/changes/marks.h"
#include "cache/changes/write_log.h"

void kernel_feeds_init(struct kernel_feeds *feeds)
{
	for (size_t i = 0; i < KERNEL_BUCKETS; i++)
		pthread_mutex_init(&feeds->buckets[i].marks, NULL);
}

struct kernel_bucket *kernel_feeds_bucket(struct kernel_feeds *feeds, dev_t device, ino_t inode)
{
	return &feeds->buckets[(inode ^ device * 31) % KERNEL_BUCKETS];
}

void kernel_feeds_add(struct kernel_feeds *feeds, struct kernel_feed *feed)
{
	struct kernel_bucket *bucket = kernel_feeds_bucket(feeds, feed->device, feed->inode);

	feed->next = bucket->first;
	bucket->first = feed;
}

void kernel_feeds_remove(struct kernel_feeds *feeds, const struct kernel_feed *feed)
{
	struct kernel_feed **at = &kernel_feeds_bucket(feeds, feed->device, feed->inode)->first;

	while (*at != feed)
		at = &(*at)->next;
	*at = feed->next;
}

/* The next feed of that file from `feed` on. */
static struct kernel_feed *of_file(struct kernel_feed *feed, dev_t device, ino_t inode)
{
	while (feed && (feed->device != device || feed->inode != inode))
		feed = feed->next;
	return feed;
}

static struct kernel_feed *first_of(struct kernel_feeds *feeds, dev_t device, ino_t inode)
{
	return of_file(kernel_feeds_bucket(feeds, device, inode)->first, device, inode);
}

static struct kernel_feed *next_of(const struct kernel_feed *feed)
{
	return of_file(feed->next, feed->device, feed->inode);
}

bool kernel_feeds_have(struct kernel_feeds *feeds, dev_t device, ino_t inode)
{
	return first_of(feeds, device, inode);
}

bool kernel_feeds_listen(struct kernel_feeds *feeds, dev_t device, ino_t inode)
{
	for (struct kernel_feed *feed = first_of(feeds, device, inode); feed; feed = next_of(feed))
		if (atomic_load(&feed->since_ns) != 0)
			return true;
	return false;
}

/*
 * open(O_TRUNC) is not announced, but what is written then is. By then the file is
 * shorter, and what is not written again has changed as well.
 */
static void note_size(struct kernel_feed *feed, off_t size_bytes)
{
	if (size_bytes < feed->size_bytes)
		write_log_start_over(feed->log);
	feed->size_bytes = size_bytes;
}

struct saving *kernel_feeds_tell(struct kernel_feeds *feeds, const struct fanotify_event_metadata *event,
				 const struct stat *st, struct write_log **log)
{
	struct cache_range range = announcements_range(event);
	struct saving *saving = NULL;

	*log = NULL;
	for (struct kernel_feed *feed = first_of(feeds, st->st_dev, st->st_ino); feed; feed = next_of(feed)) {
		if (atomic_load(&feed->since_ns) == 0)
			continue;
		note_size(feed, st->st_size);
		*log = feed->log;
		if (event->mask & FAN_PRE_ACCESS)
			pairing_announced(&feed->pairing, event->pid, &range, &saving);
		/* Merged, if it is both: then the thread has several requests, and which were writes is not known. */
		else if (event->mask & FAN_MODIFY)
			pairing_modified(&feed->pairing, event->pid);
		else if (event->mask & FAN_ACCESS)
			pairing_accessed(&feed->pairing, event->pid);
	}
	return saving;
}

void kernel_feeds_lost(struct kernel_feeds *feeds)
{
	for (size_t i = 0; i < KERNEL_BUCKETS; i++)
		for (struct kernel_feed *feed = feeds->buckets[i].first; feed; feed = feed->next)
			write_log_stranger(feed->log);
}
