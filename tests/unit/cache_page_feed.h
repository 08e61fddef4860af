/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache_page_feed: a page of NAME@writes (imagefs-writes(7)) on a device in memory, and who reads it at each
 * look (cache/changes/nbd_writes.c without its connections).
 */
#pragma once

#include "cache/changes/write_log.h"
#include "cache_device.h"

struct memory_page;

/* The log's feed, freed with its users. Units have 1 << unit_shift bytes. The writer has a turn before each
 * reading. */
struct memory_page *memory_page_new(struct memory_device *memory, struct write_log *log, unsigned unit_shift);

/* A write of that range: before its first byte changes, and after its last one and before its reply. */
void memory_page_begin(struct memory_page *page, uint64_t offset_bytes, uint64_t length_bytes);
void memory_page_end(struct memory_page *page, uint64_t offset_bytes, uint64_t length_bytes);

/* The server has no memory of what it counted: only when nothing is in flight. And whether it answers. */
bool memory_page_is_idle(const struct memory_page *page);
void memory_page_restart(struct memory_page *page);
void memory_page_set_there(struct memory_page *page, bool there);
