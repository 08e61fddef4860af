/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kernel_feeds: the images that the kernel's events (kernel.h) may be about, by file; and what an event of a
 * file means for their write logs.
 *
 * For kernel.c, whose two kinds of locks protect it; nothing here locks or blocks:
 *
 *   marks  of each bucket. Held while the mark of a file in it is set or taken away, and it is asked who looks at
 *          the file, so that these have one order. That waits for the opener: so the thread that answers never
 *          takes it, and nobody does who holds the lock of the queue.
 *   queue  the one lock of kernel.c under which events are read and taken in.
 *
 * The list of a bucket is changed under both, and read under one of them.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <sys/fanotify.h>
#include <sys/stat.h>

#include "cache/changes/pairing.h"
#include "cache/changes/write_feed.h"

struct kernel_events;
struct write_log;

struct kernel_feed {
	struct write_feed feed; /* first: a write feed is one of ours */
	struct kernel_events *events;
	struct write_log *log; /* borrowed: it closes its feed before it goes */
	int fd;		       /* borrowed */
	dev_t device;
	ino_t inode;
	_Atomic int64_t since_ns; /* since when it listens; 0: it does not */
	_Atomic int64_t looked_ns;
	struct pairing pairing; /* the queue's lock */
	off_t size_bytes;	/* the queue's lock: at the last event, or when listening began */
	struct kernel_feed *next; /* as the bucket's first */
};

#define KERNEL_BUCKETS 1024

struct kernel_bucket {
	pthread_mutex_t marks;
	struct kernel_feed *first;
};

struct kernel_feeds {
	struct kernel_bucket buckets[KERNEL_BUCKETS];
};

void kernel_feeds_init(struct kernel_feeds *feeds);

/* Where the feeds of that file are. */
struct kernel_bucket *kernel_feeds_bucket(struct kernel_feeds *feeds, dev_t device, ino_t inode);

/* Under both locks. An old and a new user of an image may overlap: a file may have several. */
void kernel_feeds_add(struct kernel_feeds *feeds, struct kernel_feed *feed);
void kernel_feeds_remove(struct kernel_feeds *feeds, const struct kernel_feed *feed);

/* Under one of them: has the file any; and does one of them listen? */
bool kernel_feeds_have(struct kernel_feeds *feeds, dev_t device, ino_t inode);
bool kernel_feeds_listen(struct kernel_feeds *feeds, dev_t device, ino_t inode);

/*
 * Under the queue's lock, as the next: tell those of the file that listen. What is to be preserved before the
 * writer goes on, for the caller to run or give up, and the log that counts what is lost; or NULL.
 */
struct saving *kernel_feeds_tell(struct kernel_feeds *feeds, const struct fanotify_event_metadata *event,
				 const struct stat *st, struct write_log **log);

/* Something was written, and nobody knows where. */
void kernel_feeds_lost(struct kernel_feeds *feeds);
