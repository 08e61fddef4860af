/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * types: what the files of cache/tree and those that use them (cache.h) have in
 * common: the handles, what is asked with a call, and what is shown of a node.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/device/device.h"
#include "fat/fat.h"
#include "part/part.h"

struct cache;
struct cache_image;
struct cache_dir;
struct cache_version;

struct cache_settings {
	int64_t settle_ns;	    /* new content younger than this is waited for */
	uint64_t keep_bytes;	    /* of memory for copies; more go to temporary files, in shares of it (tree.c) */
	uint64_t keep_files;	    /* so many of these at most, of all images: each is a descriptor */
	uint64_t keep_limit_bytes;  /* a larger file is never copied */
	uint64_t image_memory_bytes; /* what the content of one image may make us hold, beside kept bytes, */
	uint64_t all_memory_bytes;   /* and that of all */
	unsigned partition;	    /* the boot partition of every image; 0: by content */
	const char *temporary_directory; /* for kept bytes past the budget; borrowed */
};

extern const struct cache_settings cache_settings_default;

struct cache_op {
	bool may_block;
	bool final_retry; /* the same system call was answered -ESTALE before: it asks once more only */
	int64_t retry_ns; /* out, with -EINPROGRESS: when to come back, at the earliest */
	bool busy;	  /* out, with -EINPROGRESS: not for a writer, but for our own reading of the device */
	bool moves;	  /* likewise, and that comes back, */
	bool flows;	  /* and what is wanted comes nearer: not yet to be given up */
	bool ask_rest;	  /* say whether the image is at rest */
	bool at_rest;	  /* out, of cache_dir_lookup with ask_rest: nothing was written for the settle time */
	/* CLOCK_MONOTONIC: the request came before. What was looked at since then, for it or for others, is good for it; 0: nothing is. */
	int64_t came_ns;
	int64_t until_ns; /* likewise: nobody waits for the answer longer than that; 0: not known */
	const atomic_bool *over; /* nobody waits for the answer any more: where nothing is believed, no look is taken for it. Or NULL */
	bool keep_wanted; /* out, also with -EINPROGRESS: call cache_version_keep now, where nobody waits for it */
	/*
	 * Out, for --debug=changes: which rule gave the answer, or what is waited for. Constant
	 * text, so that it costs one store: "exact: not written since it was last looked at".
	 */
	const char *rule;
};

/* The next inode number. Never the same twice, across mounts either (it starts from the clock). */
uint64_t cache_next_id(void);

/* ---- images ----------------------------------------------------------------- */

void cache_image_put(struct cache_image *image);

/*
 * Why it cannot be reached just now, or, if it can, what was last wrong with the image as a whole; or NULL. The first
 * of it alone. Constant strings.
 */
const char *cache_image_problem(struct cache_image *image);
const char *cache_image_unreached(struct cache_image *image);
const char *cache_image_change_source(struct cache_image *image);

/* CLOCK_MONOTONIC: when its device last answered a read that had to wait for it; 0: never. Never blocks. */
int64_t cache_image_answered_ns(const struct cache_image *image);

/* Is its storage so slow that a copy of a file comes too late for who opens it next? Never blocks. */
bool cache_image_is_slow(const struct cache_image *image);

/* What is known of its writes (write_log.h); before the first call for it. Takes over the reference. */
struct write_log;
void cache_image_set_log(struct cache_image *image, struct write_log *log);
struct write_log *cache_image_log(struct cache_image *image); /* borrowed; NULL when there is none */

/* ---- directories ------------------------------------------------------------ */

/* What stat shows of a directory or version. Immutable for a version. */
struct cache_attributes {
	uint64_t id;
	uint64_t size_bytes; /* never 0 for a directory: TFTP servers take an empty one for an empty file */
	uint32_t cluster_bytes;
	uint32_t cluster_count; /* of the whole volume */
	uint8_t fat_attributes;
	struct fat_times times; /* as on disk: local time of the board, time zone not applied */
	bool is_root;		/* a root directory has no entry, and no times */
};

enum cache_node_kind {
	CACHE_NODE_DIR,
	CACHE_NODE_FILE,
};

struct cache_node {
	enum cache_node_kind kind;
	struct cache_attributes attributes;
	union {
		struct cache_dir *dir;	       /* a user of it */
		struct cache_version *version; /* a user of it */
	};
	char name[FAT_NAME_BYTES_MAX + 1]; /* as its entry has it, whatever the spelling that was asked for */
};

struct cache_dir *cache_dir_ref(struct cache_dir *dir); /* one more user; of one that has users */
void cache_dir_put(struct cache_dir *dir);

/* ---- versions --------------------------------------------------------------- */

/* Never blocks: nothing of it ever changes. */
void cache_version_attributes(const struct cache_version *version, struct cache_attributes *attributes);

void cache_version_put(struct cache_version *version);
