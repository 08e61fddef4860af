/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device in memory (cache/device/device.h), for the units of cache/: its time, its
 * bytes and what it tells of their changes are the test's.
 *
 * It has no threads and never sleeps. Before each piece of work it calls `turn`,
 * where a writer may change bytes: every interleaving of a writer and a reader
 * is a choice of what happens in which of these calls.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/device/device.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

enum device_kind {
	DEVICE_EVENTS, /* each write raises the generation as it is done */
	DEVICE_TIMES,  /* a change time moves before the bytes do, and settles: cache/device/disk_signs.c without events */
	DEVICE_NOTHING, /* a change time that is not believed: every observation is a new generation */
	DEVICE_REPORTED, /* the same, and only what is reported of it (cache/changes/reporter.h) tells more */
	/* As times, with time stamps; and the kernel tells (cache/changes/pairing.h) of a write: */
	DEVICE_KERNEL_SYNC,   /* its begin and its end */
	DEVICE_KERNEL_ASYNC,  /* its begin */
	DEVICE_KERNEL_BEFORE, /* its end: the descriptor is from before there was a mark */
	DEVICE_KERNEL_SILENT, /* nothing: a loop device, a mapping */
	/* The numbers of those before are in tests/fuzz/corpus/live. */
	DEVICE_TOLD, /* no sign at all, and a page that tells after the fact (cache/changes/page_news.h) */
};

static inline bool kernel_tells(enum device_kind kind)
{
	return kind >= DEVICE_KERNEL_SYNC && kind <= DEVICE_KERNEL_SILENT;
}

struct memory_device {
	struct cache_device device; /* first */
	enum device_kind kind;
	unsigned char *bytes; /* borrowed; may be set to others of the same size */
	uint64_t size_bytes;
	int64_t now_ns; /* moves by call_ns with each call */
	int64_t call_ns;
	int64_t looked_ns; /* what its observations say of when they were made; 0: nothing */
	int64_t settle_ns;
	size_t grain_bytes; /* reads are done in pieces of this much, with a turn before each */

	void (*turn)(struct memory_device *memory); /* or NULL */
	void (*tick)(struct memory_device *memory); /* or NULL: each millisecond that somebody waits */
	void *owner;
	bool in_data; /* this turn is in the midst of a read of file data: the cache holds no lock */

	/* What was asked of it. */
	unsigned observations, block_reads, data_reads;
	unsigned data_calls; /* so many of data_reads are made in each */
	uint64_t data_bytes;
	unsigned needs; /* so often it was told what will be needed, */
	uint64_t needed_bytes; /* and so much in all */
	unsigned closes;

	/* How it fails: not 0 is what the call returns. */
	int fail_observe, fail_blocks, fail_data;
	uint64_t fail_from_bytes; /* reads that end before this succeed all the same */
	bool not_at_hand;	  /* calls that may not block are answered -EAGAIN */

	/* What it tells of changes. */
	uint64_t generation;
	int64_t signed_ns;  /* the change time */
	int64_t seen_ns;    /* the change time last looked at */
	int64_t changed_ns; /* when a change was last noticed */
	bool settled;
	bool signless; /* DEVICE_NOTHING: not even that */
};

/* A device on `bytes`, with nothing changed for an hour. */
void memory_device_init(struct memory_device *memory, enum device_kind kind, unsigned char *bytes,
			uint64_t size_bytes);

/* Forget what was asked so far. */
void memory_device_reset_counts(struct memory_device *memory);
unsigned memory_device_reads(const struct memory_device *memory); /* of blocks and of data */

/* A write in its two halves: what tells of it (before), and the bytes, or both at once. */
void memory_device_sign(struct memory_device *memory);
void memory_device_land(struct memory_device *memory, uint64_t offset_bytes, const void *from,
			size_t length_bytes);
void memory_device_write(struct memory_device *memory, uint64_t offset_bytes, const void *from,
			 size_t length_bytes);

/* Somebody waits. */
void memory_device_pass(struct memory_device *memory, int64_t duration_ns);

/* Another end, and other bytes (borrowed). */
void memory_device_resize(struct memory_device *memory, unsigned char *bytes, uint64_t size_bytes);
