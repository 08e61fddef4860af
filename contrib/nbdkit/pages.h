/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pages: what was written to each image, counted as imagefs-writes(7) says. Knows nothing of
 * nbdkit.
 *
 * An image has one page, found by a key (identity.h), whatever connections and names lead
 * to it. Pages that nobody uses are kept, up to a number, so that a reader that comes
 * back finds the counters as they went on: one that was let go begins again with another
 * instance, and readers read everything again.
 *
 * Memory: 4 KiB a page, and 8 bytes for each MiB up to the last one that was written to;
 * 8 MiB at most. What is written beyond the last counter is in the totals.
 *
 * Any function from any thread. A lock for each page is held for as long as some counters
 * take to be counted, or 64 KiB to be copied, and never across a call of the plugin: so no writer
 * waits for a reader.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* As long is each page to its readers: counters for 1 TiB, but for 64 MiB. */
#define PAGES_EXPORT_BYTES (8u << 20)
#define PAGES_UNIT_SHIFT 20
#define PAGES_HEADER_BYTES 512
#define PAGES_IDLE_MAX 1024

struct page;

/* A write in flight. The caller's, from begin to end. */
struct page_write {
	uint64_t offset_bytes, length_bytes;
	unsigned slot;
};

/* The page of that key, made if there is none. NULL: no memory, or no random number. Give back with
 * pages_put. */
struct page *pages_get(const char *key);
void pages_put(struct page *page); /* NULL is fine */

/* Before the plugin is called. Never fails. */
void page_begin(struct page *page, struct page_write *write, uint64_t offset_bytes, uint64_t length_bytes);

/* When the plugin has returned, however it went: part of a failed write may be there. Before the client has
 * its reply. */
void page_end(struct page *page, const struct page_write *write);

void page_set_image_size(struct page *page, uint64_t size_bytes);

/* What readers see, from `offset_bytes` on; 64 KiB from there on are of one moment. */
void page_read(struct page *page, void *buffer, size_t length_bytes, uint64_t offset_bytes);
