/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * version: one file's entry, chain and bytes as they were together at one time.
 *
 * What it is made of
 *   The entry is constant: another entry is another version (dir.c). The chain
 *   is constant once it was read: if the same entry has another chain, that is
 *   another version too. The bytes are known by the hashes of the chunks that
 *   were ever read for somebody; a chunk nobody saw is whatever the image holds
 *   the first time somebody looks, as long as all that was seen is still there.
 *   So a version is exactly what its readers saw, and it stands as long as the
 *   image holds all of that at once; reading further is then reading the same
 *   thing. The first difference ends it.
 *
 * It stands in the slot of its entry, until it is detached: then the image holds
 * something else, and only what was preserved of it can be read. Or until it is
 * retired: then the next lookup makes another, which nothing is known of yet, but
 * this one may well be what the image holds, and is read as before.
 *
 * What is not here: waiting (the caller repeats), and any reading of the future:
 * an update that stops half way and leaves a sound file is that file.
 *
 * Every field is protected by the image's lock unless it says otherwise.
 */
#pragma once

#include "cache/changes/guard.h"
#include "cache/device/extents.h"
#include "cache/tree/cached.h"
#include "cache/tree/readahead.h"

/* The volume that directories and versions are on. */
struct location {
	struct fat_volume fat;
	struct cache_range range; /* in the image */
};

struct chunk_hash {
	uint64_t low, high;
};

/* What is held of each chunk: a hash, a time and a state. */
#define CHUNK_KNOWN_BYTES (sizeof(struct chunk_hash) + sizeof(int64_t) + 1)

enum chunk_state {
	CHUNK_NEW,    /* nobody has seen a byte of it */
	CHUNK_READ,   /* read for somebody, who waits until all that is known is compared after that */
	CHUNK_JOINED, /* the same, and that is being done */
	CHUNK_KNOWN,  /* its bytes may have been handed out */
};

/* Those who wait for a comparison: when the first of their reads began, and what lasted least. */
struct readers {
	bool any;
	int64_t start_ns, lasted_ns;
	uint64_t generation;
};

struct cache_version {
	struct node node; /* first */
	struct cache_image *image;
	struct cache_dir *dir; /* NULL once detached */
	uint64_t id;
	_Atomic unsigned opens; /* no lock to count down, the lock to count up */
	uint64_t opened;	/* how often it was, ever */
	struct fat_entry entry; /* without the strings; constant */
	struct location place;	/* constant */
	bool detached;

	struct cached chain;
	struct extents *extents; /* a reference; NULL until the chain was read, constant from then on */
	bool chain_changed;	 /* another one was read since */

	struct chunk_hash *hashes; /* one for each chunk, NULL until the first look; of unknown ones: the last look, */
	int64_t *noted_ns;	   /* and since when it has held that, as far as we looked; 0: not looked at */
	unsigned char *states;	   /* one enum chunk_state for each */
	uint64_t known_count;
	uint64_t data_checked; /* the generation under which all known chunks held; 0: never */

	struct readers waiting, joined; /* of the chunks that are CHUNK_READ, and CHUNK_JOINED */
	bool comparing;		      /* a thread holds what is known against the image, without the lock */
	uint64_t compared_generation; /* under this one */
	uint64_t compared_chunks;     /* the chunks before this one were seen to hold */

	uint64_t noted_generation; /* at the last open that had to wait for writes to it, */
	int64_t since_ns;	   /* and since when there was none, as far as it was asked */

	struct readahead readahead; /* of whoever reads it from one end to the other */

	bool retired;	    /* out of its slot, and true all the same: `dir` is pinned for it */
	bool copying;	    /* a thread is reading the whole of it, without the lock */
	int64_t copied_ns;  /* when one last ended */
	int64_t copier_ns;  /* until then (CLOCK_MONOTONIC) a copy is on its way, and its readers wait for it; 0: there is none */
	bool uncopied;	    /* none could be made since it was opened */
	struct kept *kept;  /* the whole content, or NULL */
	struct kept *growing; /* of which so much may be served: stream.c's, while it makes it; or NULL */
	uint64_t grown_bytes;
	int64_t streamed_ns;  /* when something of it was last read for that (CLOCK_MONOTONIC) */
	struct guard *guard; /* while it is open and its writers report; or NULL */
};

int version_new(struct cache_image *image, struct cache_dir *dir, const struct location *place,
		const struct fat_entry *entry, struct cache_version **version);

/* It is out of its slot. Frees it too when nobody uses it; and what is known of its bytes when nobody has it open. */
void version_detach(struct cache_version *version);

/*
 * Was it looked up, and never opened? Then nobody has seen a byte of it, its chain was not read, and all that it is is its entry
 * and its number: one made anew for the same entry with the same number is the same version.
 */
bool version_is_blank(const struct cache_version *version);

void version_drop_guard(struct cache_version *version);

/* What is preserved or copied of it, for nobody any more. */
void version_drop_content(struct cache_version *version);

/* Nothing is known of its bytes any more. */
void version_forget_chunks(struct cache_version *version);

/* What it takes of memory has changed: count it. */
void version_count(struct cache_version *version);

/* Its chain, as of the generation seen. May set chain_changed. -EDQUOT: the image's share of memory is used up. */
int version_refresh_chain(struct cache_version *version, struct cache_op *op);

/* Is it known without reading that none of its clusters was written since `generation`, and none is now? */
bool version_untouched(const struct cache_version *version, uint64_t generation);

/*
 * How long new content must have lasted before `start_ns`, when its reading began
 * under `generation`. 0: not at all, for nothing was written since that it could be half of.
 */
int64_t version_must_last_ns(const struct cache_version *version, int64_t start_ns, uint64_t generation);

/* Were its clusters not written by the writes that go on in its partition? */
bool version_older_than_burst(const struct cache_version *version);
