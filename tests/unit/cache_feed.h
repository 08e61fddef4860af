/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache_feed: the kernel's part on a device in memory, as cache/changes/kernel.c has
 * it: a writer is answered at once, ends are queued until the next look or the next
 * announcement, and it is listened to while somebody looks, or has files open.
 */
#pragma once

#include <sys/types.h>

#include "cache/changes/write_log.h"
#include "cache_device.h"

struct memory_feed;

/* Listens to the device, whose image has that log; becomes the log's feed, and is freed with its users. */
struct memory_feed *memory_feed_new(struct memory_device *memory, struct write_log *log);

/* The thread is about to write that range (pairing_announced). What is to be preserved is, before this returns. */
void memory_feed_announce(struct memory_feed *feed, pid_t thread, const struct cache_range *range);

/* It has written. */
void memory_feed_modified(struct memory_feed *feed, pid_t thread);

/* Since when it is listened to. */
int64_t memory_feed_since_ns(const struct memory_feed *feed);
