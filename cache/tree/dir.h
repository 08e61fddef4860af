/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dir: one directory of a volume, its slots, and the nodes that stand in them.
 *
 * A directory owns its slots and the nodes in them (subdirectories and versions);
 * a node knows its parent without owning it. When a directory is parsed anew, a
 * node stays in its slot if its entry is the same in name and in all 32 bytes (a
 * subdirectory: in name and start cluster); else the node is detached, and the
 * next lookup makes a new one. That is how a version comes by its own inode
 * number. A detached node lives until its last user is gone; one that stands in
 * a slot may be kept for the next lookup.
 *
 * A node is in use as long as the kernel remembers it. So that a wide directory takes
 * little then, its content may be reduced to the entries that nodes stand for; the
 * validation set tells whether these are true, and a lookup reads all of it again.
 *
 * Walks of a subtree are loops, not recursion: a tree may be DIR_DEPTH_MAX deep.
 *
 * Every field is protected by the image's lock.
 */
#pragma once

#include "cache/tree/cached.h"
#include "cache/tree/version.h"

/* Deeper trees are refused: Linux cannot name them either (PATH_MAX / 2). */
#define DIR_DEPTH_MAX 2048

enum slot_kind {
	SLOT_EMPTY,
	SLOT_DIR,
	SLOT_FILE,
};

/* One entry of a directory, beside its fat_entry. */
struct slot {
	int64_t since_ns; /* since when the image has held just this entry */
	union {
		struct cache_dir *dir;
		struct cache_version *version;
		uint64_t blank_id; /* SLOT_EMPTY: that of the blank version that stood here; 0: none did, or no more */
	};
	enum slot_kind kind;
};

struct cache_dir {
	struct node node; /* first */
	struct cache_image *image;
	struct cache_volume *volume; /* NULL once detached */
	struct cache_dir *parent;    /* NULL for a root, and once detached */
	struct cache_dir *link;	     /* of a list that a walk, or a detaching, makes */
	struct cache_dir *down;	     /* on the way from the root that is refreshed just now: the next; path.c */
	uint64_t id;
	uint32_t first_cluster;
	unsigned depth;
	struct fat_entry entry; /* its own, without the strings; unused in a root */
	struct location place;	/* constant */
	struct cached cached;
	uint64_t path_checked; /* the generation under which it and all above it were last seen to hold */
	uint64_t size_bytes;   /* of its clusters, as last read; or 0 */
	struct fat_dir *content;
	bool partial;	    /* of `content` only what nodes stand for is left */
	struct slot *slots; /* one for each entry of content */
	bool detached;
};

/* `parent` and `entry` are NULL for a root. -ENOMEM. */
int dir_new(struct cache_image *image, struct cache_volume *volume, const struct location *place, struct cache_dir *parent,
	    const struct fat_entry *entry, struct cache_dir **dir);

/* With all that is below it. Frees what has no users. */
void dir_detach(struct cache_dir *dir);

/* It is pinned no more, or its users went: free it if it is detached and idle. */
void dir_free_if_gone(struct cache_dir *dir);

/*
 * What is in it, as of the generation seen; those above it are the caller's matter (path.h). It
 * may be partial afterwards: the nodes that stand in it do so still. -EDQUOT: the image's share
 * of memory is used up.
 */
int dir_refresh_content(struct cache_dir *dir, struct cache_op *op);

/* The same, and all of it. */
int dir_complete_content(struct cache_dir *dir, struct cache_op *op);

/* Let go of what can be read again: it is partial, or as if it was never read. */
void dir_reduce(struct cache_dir *dir);

/* Put a node into the empty slot of an entry. -EIO: a directory that leads back to one above it. */
int dir_fill_slot(struct cache_dir *dir, size_t index);

/* The version is no longer what the image holds: the next lookup of its name makes another. Returns -ESTALE. */
int dir_supersede(struct cache_version *version);

/*
 * The next lookup of its name makes another; but it is still looked at, by
 * dir_has_entry, as long as somebody uses it. Returns -ESTALE.
 */
int dir_retire(struct cache_version *version);

/* Before a retired version is freed. */
void dir_let_go(struct cache_version *version);

/* Has the directory an entry like this one? As far as its content was looked at. */
bool dir_has_entry(const struct cache_dir *dir, const struct fat_entry *entry);

/* How many slots it has. */
size_t dir_slot_count(const struct cache_dir *dir);

/*
 * It and all directories below it that were looked up, linked by `link`, each
 * after those below it: nothing may be attached while the list is used.
 */
struct cache_dir *dir_list_below(struct cache_dir *dir);

/* Free what is below it and has no users. */
void dir_trim(struct cache_dir *dir);

/*
 * The same, and of what has users all that nobody needs just now: contents, and what is known of
 * the bytes of files that are not open (which then have another number when they are opened).
 */
void dir_relieve(struct cache_dir *dir);
