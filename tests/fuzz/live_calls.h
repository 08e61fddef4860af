/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * live_calls: what the reader of the fuzz target `live` asks for, as the daemon does; each answer is judged (live_answer.h).
 *
 * Errors are those of the cache, as the reader sees them (tests/unit/cache_reader.h).
 */
#pragma once

#include "live_run.h"

/* A call begins: the first state that its answer may be of. */
unsigned call_begin(struct run *run);

/* A name in a directory that was reached. */
int call_lookup(struct run *run, struct cache_dir *dir, unsigned number, enum path path, struct cache_node *node);

/* From the root of a partition (CACHE_PARTITION_BOOT: of the boot partition) down to the path; *number becomes its number. */
int call_walk(struct run *run, unsigned *number, enum path path, struct cache_node *node);

/* Takes over the node. */
int call_open(struct run *run, struct handle *handle, unsigned number, enum path path, struct cache_node *node);
void call_close(struct handle *handle); /* nothing where none is open */

/* How many bytes came, or the error. */
long call_read(struct run *run, const struct handle *handle, uint64_t offset_bytes, size_t length_bytes);
int call_read_to_end(struct run *run, const struct handle *handle, size_t piece_bytes);

/* As the kernel and any client: an open that finds its version gone looks the name up again, once. */
int call_fetch(struct run *run, unsigned number, enum path path, size_t piece_bytes);

void call_list(struct run *run, struct cache_dir *dir, unsigned number, enum path path);
void call_partitions(struct run *run);
