/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hash table over the names of one directory.
 *
 * Two names are the same if they are equal with ASCII case folded and trailing
 * dots dropped: Linux vfat's comparison under Debian's iocharset=ascii,utf8.
 * (It drops the dots of the name asked for only, and so does not find a file
 * whose name on disk ends in one; here that file is found.)
 *
 * The names come from the image, and an image is hostile: with a known hash it
 * could put 131072 names into one slot's chain and make each lookup walk them
 * all. So the hash is SipHash-2-4 (Aumasson, Bernstein, 2012) under a random
 * key. Open addressing, at most half full, never resized.
 */
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/bytes.h"
#include "fat/index.h"
#include "fat/name.h"

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
	return value << bits | value >> (64 - bits);
}

static void sip_rounds(uint64_t v[4], unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate_left(v[1], 13) ^ v[0];
		v[3] = rotate_left(v[3], 16) ^ v[2];
		v[0] = rotate_left(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate_left(v[1], 17) ^ v[2];
		v[3] = rotate_left(v[3], 21) ^ v[0];
		v[2] = rotate_left(v[2], 32);
	}
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_rounds(v, 2);
	v[0] ^= word;
}

static uint64_t siphash(const uint64_t key[2], const unsigned char *bytes, size_t length)
{
	/* The constants spell "somepseudorandomlygeneratedbytes". */
	uint64_t v[4] = {
		key[0] ^ 0x736F6D6570736575,
		key[1] ^ 0x646F72616E646F6D,
		key[0] ^ 0x6C7967656E657261,
		key[1] ^ 0x7465646279746573,
	};
	uint64_t last = (uint64_t)length << 56;
	size_t whole = length - length % 8;

	for (size_t i = 0; i < whole; i += 8)
		sip_word(v, get_le64(bytes + i));
	for (size_t i = whole; i < length; i++)
		last |= (uint64_t)bytes[i] << 8 * (i - whole);
	sip_word(v, last);
	v[2] ^= 0xFF;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* A name as it is compared: length 0 if it is none. */
struct folded_name {
	size_t length;
	unsigned char bytes[FAT_NAME_BYTES_MAX];
};

static void fold_name(const char *name, struct folded_name *folded)
{
	size_t length = fat_name_compared_length(name, strlen(name));

	/* No name is longer than this without its dots, so nothing longer is looked for. */
	folded->length = length <= sizeof(folded->bytes) ? length : 0;
	for (size_t i = 0; i < folded->length; i++)
		folded->bytes[i] = fat_fold_ascii((unsigned char)name[i]);
}

static bool name_matches(const char *name, const struct folded_name *folded)
{
	for (size_t i = 0; i < folded->length; i++) {
		/* A shorter name has its NUL here; no folded name has one. */
		if (fat_fold_ascii((unsigned char)name[i]) != folded->bytes[i])
			return false;
	}
	return fat_name_compared_length(name, strlen(name)) == folded->length;
}

static const char *slot_name(const struct fat_index *index, uint32_t slot)
{
	const struct fat_entry *entry = &index->entries[(slot - 1) / 2];

	return (slot - 1) % 2 ? entry->short_name : entry->name;
}

/* The slot that holds the name, or the empty one where it would be. */
static uint32_t *index_slot(const struct fat_index *index, const struct folded_name *folded)
{
	size_t mask = index->slot_count - 1;
	size_t i = siphash(index->key, folded->bytes, folded->length) & mask;

	/* Ends: at least half of the slots are empty. */
	while (index->slots[i] && !name_matches(slot_name(index, index->slots[i]), folded))
		i = (i + 1) & mask;
	return &index->slots[i];
}

static void draw_key(uint64_t key[2])
{
	struct timespec now;

	if (getrandom(key, 2 * sizeof(key[0]), GRND_NONBLOCK) == (ssize_t)(2 * sizeof(key[0])))
		return;
	/* Early at boot, or forbidden: harder to guess than nothing. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	key[0] = (uint64_t)now.tv_nsec * 0x9E3779B97F4A7C15;
	key[1] = (uint64_t)(uintptr_t)key ^ (uint64_t)now.tv_sec << 32;
}

int fat_index_init(struct fat_index *index, const struct fat_entry *entries, size_t entry_count)
{
	size_t slot_count = 8;

	/* Bounded: entry_count is at most FAT_DIRECTORY_ENTRIES_MAX. Two names each, half full. */
	while (slot_count <= 4 * entry_count)
		slot_count *= 2;
	index->slots = calloc(slot_count, sizeof(*index->slots));
	if (!index->slots)
		return -ENOMEM;
	index->slot_count = slot_count;
	index->entries = entries;
	draw_key(index->key);
	return 0;
}

void fat_index_free(struct fat_index *index)
{
	free(index->slots);
}

static void index_add_name(struct fat_index *index, const char *name, uint32_t slot)
{
	struct folded_name folded;

	fold_name(name, &folded);
	if (folded.length == 0)
		return;

	uint32_t *place = index_slot(index, &folded);

	if (*place == 0)
		*place = slot;
}

void fat_index_add(struct fat_index *index, size_t entry)
{
	uint32_t slot = (uint32_t)(1 + 2 * entry);

	index_add_name(index, index->entries[entry].name, slot);
	index_add_name(index, index->entries[entry].short_name, slot + 1);
}

long fat_index_find(const struct fat_index *index, const char *name)
{
	struct folded_name folded;

	fold_name(name, &folded);
	if (folded.length == 0)
		return -ENOENT;

	uint32_t slot = *index_slot(index, &folded);

	return slot ? (long)((slot - 1) / 2) : -ENOENT;
}
