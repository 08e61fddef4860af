/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kept: room for the content of one version, held for those who are reading it
 * while the image goes on: a whole copy, or the chunks that were preserved before
 * a write replaced them. In memory as long as all of them together stay within a
 * budget; past it in a temporary file that has no name.
 *
 * A budget is a whole, or an image's share of one (CONTRACT S5). In memory each kept
 * counts as large as it may become, in files as much as was written to it; and each file
 * is a descriptor.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct kept_budget;
struct kept;

struct kept_amount {
	uint64_t memory_bytes, file_bytes;
	uint64_t files; /* how many */
};

/* The whole. `directory` (borrowed) is where temporary files go. One reference, the caller's. NULL: no memory. */
struct kept_budget *kept_budget_new(const struct kept_amount *limit, const char *directory);

/* A share of `whole`, which it holds a reference to. Likewise. */
struct kept_budget *kept_budget_share(struct kept_budget *whole, const struct kept_amount *limit);
struct kept_budget *kept_budget_ref(struct kept_budget *budget); /* atomic; each kept holds one */
void kept_budget_unref(struct kept_budget *budget);		  /* NULL is fine */

/* Adds to *used what is in use, and to *limit how much may be. */
void kept_budget_add(const struct kept_budget *budget, struct kept_amount *used, struct kept_amount *limit);

enum kept_place {
	KEPT_ANYWHERE, /* in memory if it can be, else in a file */
	KEPT_IN_MEMORY,
	KEPT_IN_FILE,
};

/*
 * Room for `size_bytes`; one reference, the caller's. -ENOMEM; -EIO: no temporary file
 * can be had, or the budget has its share of them; -EAGAIN: it was to be in memory, and there is no room.
 */
int kept_new(struct kept_budget *budget, uint64_t size_bytes, enum kept_place place, struct kept **kept);
struct kept *kept_ref(struct kept *kept); /* atomic */

/*
 * NULL is fine. Of more than a megabyte the last reference returns before all is given back to the system, and to the
 * budget: a thread does that.
 */
void kept_unref(struct kept *kept);

/*
 * Fill, each byte once; from one thread at a time, and before it is read. -EIO: the temporary
 * file is full, or the budget's share of files is.
 */
int kept_write(struct kept *kept, uint64_t offset_bytes, const void *data, size_t length_bytes);

/* A pointer to the bytes when they are in memory, else NULL: then kept_read. */
const unsigned char *kept_memory(const struct kept *kept, uint64_t offset_bytes);
int kept_read(const struct kept *kept, uint64_t offset_bytes, void *buffer, size_t length_bytes);

/* A list of references that are to be given up later: put one before it; give up its first. Both return the list. */
struct kept *kept_put_first(struct kept *kept, struct kept *list);
struct kept *kept_unref_first(struct kept *list);
