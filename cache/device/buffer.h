/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Aligned buffers for direct reads, a few of them kept for the next read.
 *
 * A request of the kernel is up to 1 MiB and several are in flight; allocating
 * and unmapping that much for each costs more than the copy it would save, and
 * keeping one for every thread would cost memory that idles. So: a small pool.
 */
#pragma once

#include <stddef.h>

/* At least `size_bytes`, aligned to CACHE_BLOCK_BYTES; NULL when there is no memory. Thread-safe. */
void *cache_buffer_get(size_t size_bytes);

/* Give back what cache_buffer_get returned, with the same size. NULL is fine. */
void cache_buffer_put(void *buffer, size_t size_bytes);

/* Every few seconds: give back to the system what none of the reads since the last call needed. Thread-safe. */
void cache_buffers_let_go(void);
