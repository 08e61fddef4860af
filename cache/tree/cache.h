/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache: images, directories and file versions, and whether they are still true.
 *
 * This is what the daemon (fuse/) and the tools see. The tree is
 *
 *     image -> table -> volume (one FAT partition) -> directory -> version
 *
 * A version is one file's directory entry, cluster chain and bytes as they were
 * together at one time (CONTRACT C). It has an id of its own, which is its inode
 * number: an unchanged file keeps it, other content never gets it. Directories
 * have ids too, but follow their image: they are looked at again, not versioned.
 *
 * How anything is believed
 *   Each call observes the device first (cache/device/device.h). What was read under
 *   the same generation is true. Under another one, the blocks an answer rests
 *   on (its validation set) are read again: equal, and the answer stands; not, and
 *   it is made anew. File data is compared by the hashes of the chunks that
 *   were ever handed out. Content that is new is only believed when the device
 *   has been quiet for the settle time, or when it has lasted for ten times as
 *   long on a device that never is; until then the call says so and is repeated
 *   (see struct cache_op).
 *
 * Calls that can wait
 *   They take a cache_op and return 0, an errno that the reader shall see
 *   (-ENOENT -EIO -ESTALE ...), or one of
 *     -EAGAIN       op->may_block was false and a device must be waited for, or
 *                   another thread holds the image: repeat with may_block;
 *     -EINPROGRESS  the image is being written: repeat after op->retry_ns. Whoever
 *                   runs out of patience answers -EIO, never -ENOENT.
 *   Repeating is always safe: no call keeps state between its tries.
 *
 * Locking: all functions may be called from any thread. Each image has one lock.
 * It is held while metadata is read, so that there is one truth per image at a
 * time; only requests for the same image ever wait for it. File data is read
 * without it.
 *
 * Ownership: functions that hand out an image, directory or version add a user
 * to it; give it back with the matching _put. A user keeps the object, not its
 * truth: a directory that is gone answers -ESTALE.
 */
#pragma once

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
	uint64_t memory_budget_bytes; /* for kept bytes; past it they go to a temporary file */
	uint64_t keep_limit_bytes;  /* a larger file is never copied */
	unsigned partition;	    /* the boot partition of every image; 0: by content */
	const char *temporary_directory; /* for kept bytes past the budget; borrowed */
};

extern const struct cache_settings cache_settings_default;

struct cache_op {
	bool may_block;
	bool final_retry; /* the same system call was answered -ESTALE before: it asks once more only */
	int64_t retry_ns; /* out, with -EINPROGRESS: when to come back, at the earliest */
	bool busy;	  /* out, with -EINPROGRESS: not for a writer, but for our own reading of the device */
	bool keep_wanted; /* out, also with -EINPROGRESS: call cache_version_keep now, where nobody waits for it */
	/*
	 * Out, for --debug=changes: which rule gave the answer, or what is waited for. Constant
	 * text, so that it costs one store: "exact: not written since it was last looked at".
	 */
	const char *rule;
};

/* NULL: no memory. Settings are copied. */
struct cache *cache_new(const struct cache_settings *settings);
void cache_free(struct cache *cache); /* after all its images are put */

/* Bytes kept for versions in use, in memory and in temporary files. */
void cache_kept_bytes(struct cache *cache, uint64_t *memory_bytes, uint64_t *file_bytes);

/* The next inode number. Never the same twice, across mounts either (it starts from the clock). */
uint64_t cache_next_id(void);

/* ---- images (image.c, tree.c, root.c, status.c) ---- */

/* Takes over `device`, also when it fails with -ENOMEM. The image has one user: the caller. */
int cache_image_new(struct cache *cache, struct cache_device *device, uint32_t sector_bytes_hint,
		    struct cache_image **image);
void cache_image_put(struct cache_image *image);

/*
 * The numbers of its FAT partitions, ascending, at most `capacity`; *total is
 * how many there are. 0 is an unpartitioned FAT. -ENODATA: neither table nor
 * FAT, so not an image. -EIO: a table that cannot be believed.
 */
int cache_image_partitions(struct cache_image *image, struct cache_op *op, unsigned *numbers, size_t capacity,
			   size_t *total);

#define CACHE_PARTITION_BOOT (~0U)

/*
 * The root directory of a partition, or of the boot partition. -ENOENT: there
 * is no partition of that number, or it holds no FAT. -EIO: the image cannot be
 * understood.
 */
int cache_image_root(struct cache_image *image, struct cache_op *op, unsigned number, struct cache_dir **root);

/* What was last wrong with the image as a whole, or NULL. A constant string. */
const char *cache_image_problem(struct cache_image *image);
const char *cache_image_change_source(struct cache_image *image);

/* What is known of its writes (write_log.h); before the first call for it. Takes over the reference. */
struct write_log;
void cache_image_report_to(struct cache_image *image, struct write_log *log);
struct write_log *cache_image_reports(struct cache_image *image); /* borrowed; NULL when there is none */

struct cache_image_status {
	bool table_known;
	enum part_scheme scheme;
	unsigned fat_count;
	bool boot_known;
	unsigned boot_number;
	enum part_boot_reason boot_reason; /* unless it is the only FAT, or */
	bool boot_by_option;
	uint64_t boot_offset_bytes, boot_length_bytes;
	const char *problem;	   /* constant text, or NULL */
	const char *change_source; /* constant text */
	unsigned open_files;	   /* files of its current directories that are open */
};

/* What is known of it just now, without a look at the device. -EAGAIN: it is busy; never blocks. */
int cache_image_status(struct cache_image *image, struct cache_image_status *status);

/* ---- directories (lookup.c, list.c) ---- */

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
	char name[FAT_NAME_BYTES_MAX + 1]; /* of a directory: as its entry has it, whatever the spelling that was asked for */
};

/* -ENOENT, -EIO, -ESTALE (the directory is gone), or waiting. */
int cache_dir_lookup(struct cache_dir *dir, struct cache_op *op, const char *name, struct cache_node *node);

struct cache_listing_entry {
	const char *name; /* belongs to the listing */
	bool is_directory;
};

struct cache_listing {
	size_t count;
	struct cache_listing_entry *entries;
	char *names;
};

/* All names at one moment. Free with cache_listing_free. -EIO, -ESTALE, -ENOMEM, or waiting. */
int cache_dir_list(struct cache_dir *dir, struct cache_op *op, struct cache_listing *listing);
void cache_listing_free(struct cache_listing *listing);

/* What stat shows of a directory now. -ESTALE, -EIO, or waiting. */
int cache_dir_stat(struct cache_dir *dir, struct cache_op *op, struct cache_attributes *attributes);

struct cache_dir *cache_dir_ref(struct cache_dir *dir); /* the caller is a user already */
void cache_dir_put(struct cache_dir *dir);

/* ---- versions (open.c, read.c, copy.c) ---- */

/* Never blocks: nothing of it ever changes. */
void cache_version_attributes(const struct cache_version *version, struct cache_attributes *attributes);

/*
 * Begin to use a version's bytes: is it still what the image holds? -ESTALE: it
 * is not, look the name up again. -EIO: entry, chain and bytes do not belong
 * together. Every successful open is ended by a close.
 */
int cache_version_open(struct cache_version *version, struct cache_op *op);
void cache_version_close(struct cache_version *version);

/* Bytes of a version in memory, until cache_bytes_release. */
struct cache_bytes {
	const unsigned char *data;
	size_t length_bytes;
	void *owner;
	size_t owner_bytes;
	struct kept *kept;
};

/*
 * Up to `length_bytes` from `offset_bytes`, fewer only at the end of the
 * version (none beyond it). All reads of one version see one content: -ESTALE
 * when that is gone, -EIO when the device fails.
 */
int cache_version_read(struct cache_version *version, struct cache_op *op, uint64_t offset_bytes,
		       size_t length_bytes, struct cache_bytes *bytes);
void cache_bytes_release(struct cache_bytes *bytes);

/*
 * Copy an open version, so that its readers can finish whatever the writer does;
 * gone with its last close. Takes as long as the device takes; its errors matter to
 * nobody.
 */
int cache_version_keep(struct cache_version *version, struct cache_op *op);

void cache_version_put(struct cache_version *version);
