/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "live_history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/source.h"
#include "part/part.h"

#define BLOCK_BYTES 4096U
#define BLOCKS_MAX (IMAGE_BYTES_MAX / BLOCK_BYTES)

const struct path_words path_words[PATHS_KNOWN] = {
	[PATH_ROOT] = { PATH_ROOT, "" },
	[PATH_FILE] = { PATH_ROOT, "file-with-a-long-name.bin" },
	[PATH_STILL] = { PATH_ROOT, "still.txt" },
	[PATH_NEW] = { PATH_ROOT, "file.new" },
	[PATH_SUB] = { PATH_ROOT, "sub" },
	[PATH_INNER] = { PATH_SUB, "inner.bin" },
	[PATH_DEEP] = { PATH_SUB, "deep" },
	[PATH_LEAF] = { PATH_DEEP, "leaf.txt" },
	[PATH_CONFIG] = { PATH_ROOT, "config.txt" },
	[PATH_FILE_SHORT] = { PATH_ROOT, "file.bin" },
};

/* Also a source. */
struct state {
	struct source source; /* first */
	const unsigned char *blocks[BLOCKS_MAX];
	unsigned char *own; /* those that were made for it, in one piece; others are shared with the one before */
	struct truth *truths;
	struct part_table *table;
	int table_error;
	bool table_read;
};

struct live_history {
	unsigned count;
	struct state states[STATES_MAX];
};

static int state_read(struct source *self, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	const struct state *state = (const struct state *)self;
	unsigned char *out = buffer;

	while (length_bytes > 0) {
		size_t in_block = offset_bytes % BLOCK_BYTES;
		size_t part = (size_t)min_u64(length_bytes, BLOCK_BYTES - in_block);

		memcpy(out, state->blocks[offset_bytes / BLOCK_BYTES] + in_block, part);
		out += part;
		offset_bytes += part;
		length_bytes -= part;
	}
	return 0;
}

void live_history_add(struct live_history *history, const unsigned char *bytes, uint64_t size_bytes)
{
	struct state *state = &history->states[history->count];
	const struct state *before = history->count > 0 ? state - 1 : NULL;
	size_t changed = 0;

	if (history->count == STATES_MAX)
		abort();
	*state = (struct state){ .source = { .read = state_read, .size_bytes = size_bytes } };
	for (unsigned i = 0; i < BLOCKS_MAX; i++) {
		state->blocks[i] = before ? before->blocks[i] : NULL;
		if (before && memcmp(before->blocks[i], bytes + (size_t)i * BLOCK_BYTES, BLOCK_BYTES) == 0)
			continue;
		state->blocks[i] = NULL;
		changed++;
	}
	state->own = malloc(changed * BLOCK_BYTES + 1);
	if (!state->own)
		abort();
	for (unsigned i = 0; i < BLOCKS_MAX; i++) {
		if (state->blocks[i])
			continue;
		state->blocks[i] = state->own + --changed * BLOCK_BYTES;
		memcpy(state->own + changed * BLOCK_BYTES, bytes + (size_t)i * BLOCK_BYTES, BLOCK_BYTES);
	}
	history->count++;
}

struct live_history *live_history_new(const unsigned char *bytes, uint64_t size_bytes)
{
	struct live_history *history = malloc(sizeof(*history));

	if (!history)
		abort();
	history->count = 0;
	live_history_add(history, bytes, size_bytes);
	return history;
}

static void free_truths(struct truth *truth)
{
	while (truth) {
		struct truth *next = truth->next;

		fat_extents_free(&truth->extents);
		free(truth);
		truth = next;
	}
}

void live_history_free(struct live_history *history)
{
	for (unsigned i = 0; i < history->count; i++) {
		struct state *state = &history->states[i];

		free(state->own);
		free_truths(state->truths);
		free(state->table);
	}
	free(history);
}

unsigned live_history_count(const struct live_history *history)
{
	return history->count;
}

void live_history_block(const struct live_history *history, unsigned state, unsigned block, unsigned char *out)
{
	memcpy(out, history->states[state].blocks[block], BLOCK_BYTES);
}

/* ---- partitions ------------------------------------------------------------ */

static struct part_table *table_of(struct live_history *history, unsigned number, int *error)
{
	struct state *state = &history->states[number];

	if (!state->table_read) {
		state->table_error = part_table_read(&state->source, 0, &state->table);
		state->table_read = true;
	}
	*error = state->table_error;
	return state->table_error == 0 ? state->table : NULL;
}

int live_history_partitions(struct live_history *history, unsigned state, unsigned *numbers, size_t capacity, size_t *total)
{
	int error;
	const struct part_table *table = table_of(history, state, &error);

	*total = 0;
	for (size_t i = 0; table && i < table->count; i++) {
		if (!table->entries[i].is_fat)
			continue;
		if (*total < capacity)
			numbers[*total] = table->entries[i].number;
		++*total;
	}
	return error;
}

bool live_history_same_table(struct live_history *history, unsigned since)
{
	int error;
	const struct part_table *table = table_of(history, since, &error);

	for (unsigned state = since + 1; state < history->count; state++) {
		const struct part_table *other = table_of(history, state, &error);

		if (!table || !other || !part_table_equal(table, other))
			return false;
	}
	return true;
}

int live_history_boot(struct live_history *history, unsigned state)
{
	int error;
	const struct part_table *table = table_of(history, state, &error);
	struct part_choice choice;
	unsigned number;
	size_t count;

	/* An only FAT is not looked into. */
	if (table && part_table_fat_count(table) == 1) {
		live_history_partitions(history, state, &number, 1, &count);
		return (int)number;
	}
	if (!table || part_choose_boot(&history->states[state].source, table, &choice) != 0)
		return -1;
	return (int)choice.entry->number;
}

/* ---- paths ----------------------------------------------------------------- */

struct place {
	struct source_slice slice;
	struct fat_volume volume;
	const struct part_entry *entry;
};

static bool find_volume(struct live_history *history, unsigned state, unsigned number, struct place *place)
{
	int error;
	const struct part_table *table = table_of(history, state, &error);

	place->entry = table ? part_table_find(table, number) : NULL;
	if (!place->entry || !place->entry->is_fat)
		return false;
	place->slice = source_slice_of(&history->states[state].source, place->entry->offset_bytes,
				       place->entry->length_bytes);
	return fat_volume_read(&place->slice.source, &place->volume) == 0;
}

#define DEPTH_MAX 3

/*
 * The entry of a path; its directory is the caller's to free, and the entry lives as
 * long. An entry of a directory that leads back to one above it is broken.
 */
static enum truth_kind find_entry(struct place *place, enum path path, struct fat_dir **dir, const struct fat_entry **entry)
{
	enum path way[DEPTH_MAX];
	uint32_t above[DEPTH_MAX + 2] = { 0, place->volume.root_cluster };
	uint32_t cluster = 0;
	unsigned depth = 0;

	for (enum path at = path; at != PATH_ROOT; at = path_words[at].parent)
		way[depth++] = at;
	for (unsigned level = 0; level < depth; level++) {
		long index;

		fat_dir_free(*dir);
		*dir = NULL;
		if (fat_dir_read(&place->volume, &place->slice.source, cluster, dir) != 0)
			return TRUTH_BROKEN;
		index = fat_dir_find(*dir, path_words[way[depth - 1 - level]].name);
		if (index < 0)
			return TRUTH_ABSENT;
		*entry = fat_dir_entry(*dir, (size_t)index);
		if (!((*entry)->attributes & FAT_ATTR_DIRECTORY))
			return level + 1 == depth ? TRUTH_FILE : TRUTH_BROKEN;
		cluster = (*entry)->first_cluster;
		for (unsigned i = 0; i <= level + 1; i++)
			if (above[i] == cluster)
				return TRUTH_BROKEN;
		above[level + 2] = cluster;
	}
	return TRUTH_DIR;
}

static void find_truth(struct live_history *history, unsigned state, struct truth *truth)
{
	const struct fat_entry *entry = NULL;
	struct fat_dir *dir = NULL;
	struct place place;

	truth->kind = TRUTH_BROKEN;
	if (!find_volume(history, state, truth->number, &place))
		return;
	truth->kind = find_entry(&place, truth->path, &dir, &entry);
	truth->volume = place.volume;
	truth->volume_bytes = place.entry->offset_bytes;
	truth->volume_length_bytes = place.entry->length_bytes;
	if (truth->kind == TRUTH_FILE) {
		truth->size_bytes = entry->size_bytes;
		truth->readable = fat_extents_of_file(&place.volume, &place.slice.source, entry->first_cluster,
						      entry->size_bytes, &truth->extents) == 0;
	}
	fat_dir_free(dir);
}

const struct truth *live_history_truth(struct live_history *history, unsigned state, unsigned number, enum path path)
{
	struct truth **first = &history->states[state].truths;
	struct truth *truth = *first;

	while (truth && (truth->number != number || truth->path != path))
		truth = truth->next;
	if (truth)
		return truth;
	truth = calloc(1, sizeof(*truth));
	if (!truth)
		abort();
	*truth = (struct truth){ .next = *first, .number = number, .path = path };
	*first = truth;
	find_truth(history, state, truth);
	return truth;
}

bool live_history_has(struct live_history *history, unsigned state, const struct truth *truth, uint64_t offset_bytes,
		 const unsigned char *bytes, size_t length_bytes)
{
	struct state *held = &history->states[state];
	unsigned char block[BLOCK_BYTES];
	struct fat_cursor cursor = { 0 };

	if (length_bytes > 0 && !truth->readable)
		return false;
	while (length_bytes > 0) {
		uint64_t at, run_bytes;
		size_t part;

		if (!fat_extents_map(&truth->volume, &truth->extents, offset_bytes, &cursor, &at, &run_bytes))
			return false;
		part = (size_t)min_u64(min_u64(length_bytes, run_bytes), sizeof(block));
		if (!range_within(at, part, truth->volume_length_bytes) ||
		    source_read(&held->source, truth->volume_bytes + at, block, part) != 0 ||
		    memcmp(block, bytes, part) != 0)
			return false;
		offset_bytes += part;
		bytes += part;
		length_bytes -= part;
	}
	return true;
}

bool live_history_whole(struct live_history *history, unsigned state, const struct truth *truth)
{
	uint64_t length_bytes = min_u64(truth->volume_length_bytes,
					history->states[state].source.size_bytes - truth->volume_bytes);

	if (!truth->readable)
		return false;
	for (size_t i = 0; i < truth->extents.count; i++) {
		const struct fat_extent *extent = &truth->extents.list[i];
		uint64_t bytes = (uint64_t)extent->cluster_count * truth->volume.cluster_bytes;

		/* Of its last cluster only what the size says is read. */
		if (i + 1 == truth->extents.count)
			bytes -= truth->extents.cluster_count * truth->volume.cluster_bytes - truth->size_bytes;
		if (!range_within(fat_cluster_offset_bytes(&truth->volume, extent->first_cluster), bytes, length_bytes))
			return false;
	}
	return true;
}

struct fat_dir *live_history_dir(struct live_history *history, unsigned state, unsigned number, enum path path)
{
	const struct fat_entry *entry = NULL;
	struct fat_dir *dir = NULL, *content = NULL;
	struct place place;

	if (!find_volume(history, state, number, &place))
		return NULL;
	if (find_entry(&place, path, &dir, &entry) == TRUTH_DIR &&
	    fat_dir_read(&place.volume, &place.slice.source, entry ? entry->first_cluster : 0, &content) != 0)
		content = NULL;
	fat_dir_free(dir);
	return content;
}
