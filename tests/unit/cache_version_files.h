/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Three files on a small volume, and a reader of them: for the tests of versions. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cache_reader.h"
#include "cache_volume.h"

#define PIECE 4096U

/* Clusters of 64 KiB are chunks of 64 KiB. */
#define CLUSTER 65536U

extern const struct file small, other, empty; /* of the seeds 1, 2 and 0: 150,000 bytes, 5,000 and none */

extern struct small_volume volume;
extern struct memory_device memory;
extern struct reader reader;
extern struct cache_node meanwhile; /* used by a second reader during a turn */

/* A mebibyte for copies, and a file of that may be copied; or so much. Nothing may be kept at the end. */
void start_files(enum device_kind kind);
void start_files_with(enum device_kind kind, uint64_t keep_limit_bytes, uint64_t budget_bytes);
void end_files(void);

struct cache_node look_up(const char *name);
struct cache_node open_file(const char *name);
void close_file(struct cache_node *node);

/* 0 when `length_bytes` from there on are the seed's; an error; or -EBADMSG: other bytes. */
int read_at(struct cache_node *node, unsigned seed, uint64_t offset_bytes, size_t length_bytes);
void expect_fetch(const char *name, unsigned seed, uint64_t size_bytes);

/* Write another content over one cluster of the small file, or all. */
void overwrite_cluster(unsigned index, unsigned seed);
void overwrite(unsigned seed);
void write_elsewhere(void); /* a write that concerns no file */
void settle(void);

/* Somebody writes elsewhere without end, for more than the time that content must last then. */
void be_written(struct cache_node *node);

/* So much is kept for all, and it is this image's. */
void expect_kept(uint64_t memory_expected, uint64_t file_expected);
