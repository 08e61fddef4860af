/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * live_history: what the image of the fuzz target `live` held at any time, and what
 * was true then.
 *
 * Each write that lands makes a state, which shares the blocks that did not change.
 * The truth of a path in a state is what fat/ and part/ read in it when nothing moves
 * (they have fuzz targets of their own), so that it can be asked of an answer: of which
 * states is it?
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fat/fat.h"

#define STATES_MAX 64 /* so that a set of them is 64 bits */
#define IMAGE_BYTES_MAX (256U << 10)

/* The paths that are asked for; each after its directory. */
enum path {
	PATH_ROOT,
	PATH_FILE, /* file-with-a-long-name.bin, of several chunks */
	PATH_STILL,
	PATH_NEW, /* is not there at the start */
	PATH_SUB,
	PATH_INNER, /* sub/inner.bin */
	PATH_DEEP, /* sub/deep */
	PATH_LEAF, /* sub/deep/leaf.txt */
	PATH_CONFIG,
	PATHS,
	PATH_FILE_SHORT = PATHS, /* the same file where its long name is gone; nobody asks for it */
	PATHS_KNOWN,
};

extern const struct path_words {
	enum path parent;
	const char *name; /* in it */
} path_words[PATHS_KNOWN];

enum truth_kind {
	TRUTH_ABSENT,
	TRUTH_FILE,
	TRUTH_DIR,
	TRUTH_BROKEN, /* nobody can tell: EIO */
};

struct truth {
	enum truth_kind kind;
	uint32_t size_bytes;	     /* of a file */
	struct fat_extents extents;  /* of a file; of the volume, */
	struct fat_volume volume;
	uint64_t volume_bytes;	     /* which begins there in the image */
	uint64_t volume_length_bytes;
	bool readable; /* a file whose chain is sound */
	struct truth *next;
	unsigned number;
	enum path path;
};

struct live_history;

struct live_history *live_history_new(const unsigned char *bytes, uint64_t size_bytes);
void live_history_free(struct live_history *history);

/* The image is now like this: a new state. */
void live_history_add(struct live_history *history, const unsigned char *bytes, uint64_t size_bytes);

/* How many there are; the last is what the image holds. */
unsigned live_history_count(const struct live_history *history);

/* Copy a block of 4 KiB out of a state; zeros behind its end. */
void live_history_block(const struct live_history *history, unsigned state, unsigned block, unsigned char *out);

/* The boot partition of a state, or -1: it has none, or it cannot be told. */
int live_history_boot(struct live_history *history, unsigned state);

/* Numbers of the FAT partitions of a state; -ENODATA, -EIO. */
int live_history_partitions(struct live_history *history, unsigned state, unsigned *numbers, size_t capacity, size_t *total);

/* Has every state since that one the same partitions? */
bool live_history_same_table(struct live_history *history, unsigned since);

/* What the path is in that partition, in that state. */
const struct truth *live_history_truth(struct live_history *history, unsigned state, unsigned number, enum path path);

/* Has the file of that truth these bytes there? False also where the image ends before. */
bool live_history_has(struct live_history *history, unsigned state, const struct truth *truth, uint64_t offset_bytes,
		 const unsigned char *bytes, size_t length_bytes);

/* Is all of it there to be read? */
bool live_history_whole(struct live_history *history, unsigned state, const struct truth *truth);

/* The names of a directory in that state, for the caller to free; NULL: it is none. */
struct fat_dir *live_history_dir(struct live_history *history, unsigned state, unsigned number, enum path path);
