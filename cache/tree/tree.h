/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tree: the inside of the cache, shared by image.c, volume.c, dir.c and
 * version.c and by nobody else.
 *
 * Who owns whom: an image owns its volumes, a volume its root directory, a
 * directory its slots and the nodes in them (subdirectories and versions). A
 * node knows its parent without owning it. When the image stops holding a node
 * (its entry is gone or changed) the node is detached: marked, taken out of its
 * slot, its own subtree detached likewise. A detached node lives until its last
 * user is gone; an attached one without users may be kept for the next lookup.
 *
 * Every field below is protected by image->lock unless it says otherwise.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "cache/tree/cache.h"
#include "cache/tree/footprint.h"
#include "cache/changes/guard.h"
#include "cache/device/kept.h"
#include "cache/changes/reports.h"

struct cache {
	struct cache_settings settings; /* constant */
	struct kept_budget *budget;	/* thread-safe */
	struct kept_budget *rescue;	/* of guards: what they save must not wait for a file */
};

/*
 * A belief: something parsed from the image (a table, a volume, a directory, a
 * chain), or the error that parsing it comes to, with what it rests on.
 */
struct belief {
	struct footprint footprint;
	uint64_t checked; /* the generation under which it was last seen to hold */
	int64_t since_ns; /* since when the image has held just this, as far as we looked */
	int error;	  /* 0, or what parsing it comes to */
	bool loaded;
	unsigned adopted; /* how often it was made anew */
};

/*
 * How one kind of belief is made. parse reads from the source only and leaves
 * its result in *result; commit takes the result over and says whether it
 * differs from what was there; discard frees a result that is not taken.
 */
struct belief_kind {
	int (*parse)(void *owner, struct source *source, void **result);
	bool (*commit)(void *owner, void *result);
	void (*discard)(void *result);
};

struct cache_volume {
	struct cache_image *image;
	unsigned number;
	struct part_entry entry;
	struct belief belief;
	struct fat_volume fat;
	struct cache_dir *root; /* NULL until the volume was read */
	struct cache_volume *next;
};

struct cache_image {
	struct cache *cache;	     /* constant */
	struct cache_device *device; /* constant; thread-safe */
	struct reports *reports;     /* constant after the start; or NULL; thread-safe */
	uint32_t sector_bytes_hint;  /* constant */
	_Atomic unsigned users;	     /* the caller of cache_image_new, and every user of a node */

	pthread_mutex_t lock;		 /* held across metadata reads: see cache.h */
	struct cache_observation seen;	 /* the last one */
	struct belief table_belief;
	struct part_table *table;
	unsigned dull_of; /* which table the reports were last told of */
	struct belief boot_belief;
	enum part_boot_reason boot_reason;
	unsigned boot_number;
	struct cache_volume *volumes; /* list */
	_Atomic(const char *) problem; /* no lock */
	_Atomic(struct node *) looks;  /* no lock: nodes whose users went */
	size_t idle_events;	       /* how often a node lost its last user, since they were counted */
};

/*
 * What directories and versions have in common: who uses them. A user may go at
 * any time and must not wait for the image (a forget must never block), so the
 * counts are atomic, and a node whose count came to nothing is pushed on the
 * image's list of nodes to look at; whoever holds the lock looks, at the latest
 * when leaving it.
 */
struct node {
	_Atomic unsigned state; /* how many users, and NODE_QUEUED */
	bool is_version;	/* constant */
	struct node *next;	/* of the list; the pusher's until it is pushed */
};

#define NODE_QUEUED (1U << 31)

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
	};
	enum slot_kind kind;
};

struct cache_dir {
	struct node node; /* first */
	struct cache_image *image;
	struct cache_volume *volume; /* NULL once detached */
	struct cache_dir *parent;    /* NULL for a root, and once detached */
	uint64_t id;
	uint32_t first_cluster;
	unsigned depth;
	struct fat_entry entry; /* its own, without the strings; unused in a root */
	uint32_t cluster_bytes, cluster_count;
	struct belief belief;
	uint64_t path_checked; /* the generation under which it and all above it were last seen to hold */
	struct fat_dir *content;
	struct slot *slots; /* one for each entry of content */
	bool detached;
};

struct chunk_hash {
	uint64_t low, high;
};

struct cache_version {
	struct node node; /* first */
	struct cache_image *image;
	struct cache_dir *dir; /* NULL once detached */
	uint64_t id;
	_Atomic unsigned opens; /* no lock to count down, the lock to count up */
	struct fat_entry entry; /* without the strings */
	struct fat_volume fat;
	uint64_t volume_offset_bytes; /* of the partition in the image */
	uint64_t volume_length_bytes;
	int64_t since_ns;	      /* since when the unknown chunks are what `hashes` notes, as far as we looked */
	struct belief chain_belief;
	struct extents *extents;      /* a reference; NULL until its chain was read, constant from then on */
	uint64_t data_checked;	    /* the generation under which all handed-out chunks held; 0: never */
	bool keeping;		    /* a thread is reading the whole of it, without the lock, */
	struct reading *filling;    /* and this is what it has so far; that thread's */
	bool detached;
	struct chunk_hash *hashes; /* one for each chunk, NULL until the first look; of unknown ones: the last look */
	unsigned char *known;	   /* a bit for each chunk: its bytes may have been handed out */
	uint64_t known_count;
	struct kept *kept; /* the whole content, or NULL */
	struct guard *guard; /* while it is open and its writers report; or NULL */
};

/* ---- cache/tree/belief.c ------------------------------------------------------ */

/* Observe the device anew; sets image->seen. */
int image_observe(struct cache_image *image, const struct cache_op *op);

/* ---- cache/tree/settle.c ------------------------------------------------------ */

/*
 * Was content that has been there since `since_ns` there long enough to be
 * believed? `where` is the partition it belongs to, NULL for what is in none.
 * Else sets op->retry_ns.
 */
bool image_settled(const struct cache_image *image, struct cache_op *op, int64_t since_ns,
		   const struct cache_range *where);

/* The same, of what a belief says: it may also be known that its blocks were not written by what goes on. */
bool belief_settled(const struct cache_image *image, struct cache_op *op, const struct belief *belief, int64_t since_ns,
		    const struct cache_range *where);

/* How long nothing was written there, as far as is known; 0 while something is. */
int64_t image_quiet_ns(const struct cache_image *image, const struct cache_range *where);

/* Content that lasted as long is believed whatever is written around it. */
int64_t image_lasting_ns(const struct cache_image *image, const struct cache_range *where);

/* What was true under this generation, and is untouched since, is older than the writes that go on. 0: not known. */
uint64_t image_burst_generation(const struct cache_image *image, const struct cache_range *where);

/* ---- cache/tree/belief.c ------------------------------------------------------ */

/* The most ranges that are compared; more, and it is read. */
#define CHANGES_MAX 128

/* Is it known without reading that nothing of the footprint was written since `generation`, and is not now? */
bool image_untouched(const struct cache_image *image, uint64_t generation, const struct footprint *footprint);

/* A writer that is faster than this many looks in a row is in flux; look again this soon. */
#define REFRESH_TRIES 3
#define RETRY_SOON_NS (5 * INT64_C(1000000))

/* Bring a belief up to the generation seen, which may be a newer one afterwards. Returns its error, or -EAGAIN, -ENOMEM, -EINPROGRESS. */
int belief_refresh(struct cache_image *image, struct cache_op *op, struct belief *belief,
		   const struct belief_kind *kind, void *owner, const struct cache_range *where);

/* ---- volume.c, dir.c, version.c ------------------------------------------ */

int image_refresh_table(struct cache_image *image, struct cache_op *op);
int volume_get(struct cache_image *image, struct cache_op *op, unsigned number, struct cache_volume **volume);
int volume_refresh(struct cache_volume *volume, struct cache_op *op);
void volume_free(struct cache_volume *volume);
struct cache_range volume_range(const struct cache_volume *volume);

int dir_new(struct cache_volume *volume, struct cache_dir *parent, const struct fat_entry *entry,
	    struct cache_dir **dir);
int dir_refresh(struct cache_dir *dir, struct cache_op *op);
void dir_detach(struct cache_dir *dir); /* frees it too when it has no users */
void dir_trim(struct cache_dir *dir);	/* frees what is below it and has no users */
void dir_look(struct cache_dir *dir);	/* its users went */
void image_count_idle(struct cache_image *image);

int version_new(struct cache_dir *dir, const struct fat_entry *entry, struct cache_version **version);
void version_detach(struct cache_version *version); /* frees it too when it has no users */

void version_look(struct cache_version *version); /* its users or openers went */

/* Forget the version that stands in a slot: its content is no longer the image's. */
void dir_drop_version(struct cache_dir *dir, struct cache_version *version);

/* ---- cache/tree/node.c -------------------------------------------------------- */

/* Add a user to a node, under the lock; it is a user of the image too. */
void node_use(struct cache_image *image, struct node *node);

/* May it be freed? Under the lock. A node on the list is the list's to free. */
bool node_idle(const struct node *node);

/* Take a user away, without the lock. */
void node_put(struct cache_image *image, struct node *node);

/* Have the holder of the lock look at the node, without the lock. */
void node_look_later(struct cache_image *image, struct node *node);

/* Look at all nodes of the list, under the lock (or when nobody else is left). */
void image_look_at_nodes(struct cache_image *image);

/* Begin a call: take the lock (only if it is free, when op may not block) and observe. 0, -EAGAIN or -EIO; unlocked on error. */
int image_enter(struct cache_image *image, struct cache_op *op);
void image_leave(struct cache_image *image);

