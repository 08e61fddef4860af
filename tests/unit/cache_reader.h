/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A reader of a cache as the daemon is one: it asks without blocking first,
 * repeats by the rules of cache.h, and runs out of patience like fuse/request_wait.c.
 */
#pragma once

#include "cache/tree/cache.h"
#include "cache_device.h"
#include "fat_image.h"

struct reader {
	struct cache *cache;
	struct cache_image *image;
	struct memory_device *memory; /* NULL: time is real */
	int64_t patience_ns;	      /* per call */
	int64_t waited_ns;	      /* by the last call */
	bool never_keeps;	      /* makes no copies in the background, as when there is no room for them */
	unsigned blocked;	      /* how often a call had to be repeated with may_block */
};

/* A cache with one image on the device, with small limits; the device stays the caller's. */
void reader_init(struct reader *reader, struct memory_device *memory);

/* The same on any device, which the image takes over. */
void reader_init_device(struct reader *reader, const struct cache_settings *settings,
			struct cache_device *device);
void reader_end(struct reader *reader);

/* 0, or the error that a user would see (-EIO when patience ran out). */
int reader_root(struct reader *reader, unsigned number, struct cache_dir **root);
int reader_lookup(struct reader *reader, struct cache_dir *dir, const char *name, struct cache_node *node);
int reader_list(struct reader *reader, struct cache_dir *dir, struct cache_listing *listing);
int reader_stat(struct reader *reader, struct cache_dir *dir, struct cache_attributes *attributes);
int reader_partitions(struct reader *reader, unsigned *numbers, size_t capacity, size_t *total);
int reader_open(struct reader *reader, struct cache_version *version);

/* Read `length_bytes` into `out`; returns how many came, or -errno. */
long reader_read(struct reader *reader, struct cache_version *version, uint64_t offset_bytes,
		 size_t length_bytes, unsigned char *out);

/* Path of the boot partition, components separated by '/'. */
int reader_walk(struct reader *reader, const char *path, struct cache_node *node);

/*
 * Walk, open, read whole in pieces, close, put. *content is the caller's to
 * free. Once more when the open says -ESTALE, as the kernel does.
 */
int reader_fetch(struct reader *reader, const char *path, size_t piece_bytes, unsigned char **content,
		 struct cache_attributes *attributes);

void node_put_any(struct cache_node *node);
