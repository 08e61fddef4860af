/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/meanings.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

/*
 * Some hundred bytes each, of names that there are. Who lists SOURCE asks for them in a row, again and again: of
 * 20,000 names four in a hundred fall on a set that has no room, and take another's place.
 */
#define SETS 16384
#define WAYS 4

struct kept_meaning {
	uint64_t generation;
	struct meaning meaning; /* its strings are behind the name */
	char name[];
};

struct meanings {
	pthread_mutex_t lock;
	unsigned turn;				 /* lock: whose place is taken next, where all are as good */
	struct kept_meaning *places[SETS][WAYS]; /* lock */
};

struct meanings *meanings_new(void)
{
	struct meanings *meanings = calloc(1, sizeof(*meanings));

	if (meanings)
		pthread_mutex_init(&meanings->lock, NULL);
	return meanings;
}

static struct kept_meaning **set_of(struct meanings *meanings, const char *name)
{
	return meanings->places[text_hash(name, 0) % SETS];
}

/* Under the lock. Where the name is; or else where it goes: to an empty place, or one whose generation is over. */
static struct kept_meaning **place_of(struct meanings *meanings, uint64_t generation, const char *name)
{
	struct kept_meaning **set = set_of(meanings, name), **free = NULL;

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i] && strcmp(set[i]->name, name) == 0)
			return &set[i];
		if (!free && (!set[i] || set[i]->generation < generation))
			free = &set[i];
	}
	return free ? free : &set[meanings->turn++ % WAYS];
}

/* Copy the strings to `at`, which has room for them. */
static void copy_strings(struct meaning *meaning, char *at)
{
	size_t bytes = strlen(meaning->file) + 1;

	meaning->file = memcpy(at, meaning->file, bytes);
	if (meaning->text)
		meaning->text = strcpy(at + bytes, meaning->text);
}

static size_t strings_bytes(const struct meaning *meaning)
{
	return strlen(meaning->file) + 1 + (meaning->text ? strlen(meaning->text) + 1 : 0);
}

bool meanings_find(struct meanings *meanings, uint64_t generation, const char *name, struct meaning *meaning, char *buffer)
{
	struct kept_meaning **set = set_of(meanings, name);

	LOCK_SCOPE(&meanings->lock);
	for (size_t i = 0; i < WAYS; i++) {
		if (!set[i] || set[i]->generation != generation || strcmp(set[i]->name, name) != 0)
			continue;
		*meaning = set[i]->meaning;
		copy_strings(meaning, buffer);
		return true;
	}
	return false;
}

void meanings_keep(struct meanings *meanings, uint64_t generation, const char *name, const struct meaning *meaning)
{
	size_t name_bytes = strlen(name) + 1, bytes = strings_bytes(meaning);
	struct kept_meaning *kept = bytes <= MEANING_BYTES ? malloc(sizeof(*kept) + name_bytes + bytes) : NULL, **place;

	if (!kept)
		return;
	kept->generation = generation;
	kept->meaning = *meaning;
	strcpy(kept->name, name);
	copy_strings(&kept->meaning, kept->name + name_bytes);
	pthread_mutex_lock(&meanings->lock);
	place = place_of(meanings, generation, name);
	/* Who was slower may have seen an older state. */
	if (!*place || (*place)->generation <= generation) {
		struct kept_meaning *last = *place;

		*place = kept;
		kept = last;
	}
	pthread_mutex_unlock(&meanings->lock);
	free(kept);
}
