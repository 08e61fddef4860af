/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The names of a directory, hashed. Internal to fat/.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "fat/fat.h"

struct fat_index {
	const struct fat_entry *entries; /* borrowed: what the slots point into */
	uint32_t *slots;		 /* 0: empty; else 1 + 2 * entry + (1 for its short name) */
	size_t slot_count;		 /* a power of two, more than twice the names in it */
	uint64_t key[2];		 /* of the hash, drawn at random */
};

/* Make an empty index with room for both names of `entry_count` entries. 0 or -ENOMEM. */
int fat_index_init(struct fat_index *index, const struct fat_entry *entries, size_t entry_count);
void fat_index_free(struct fat_index *index);

/* Add both names of entries[entry]. A name that is there already keeps pointing to the earlier entry. */
void fat_index_add(struct fat_index *index, size_t entry);

/* The entry that has the name, or -ENOENT. */
long fat_index_find(const struct fat_index *index, const char *name);
