/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "live_calls.h"

#include <errno.h>
#include <string.h>

#include "base/waits.h"
#include "cache/tree/dir.h"
#include "cache/tree/image.h"
#include "cache/tree/volume.h"
#include "live_answer.h"

unsigned call_begin(struct run *run)
{
	run->turns = 0;
	return writer_fresh(run->writer);
}

/* The root of a partition (CACHE_PARTITION_BOOT: of the boot partition), and its number. */
static int call_root(struct run *run, unsigned *number, struct cache_dir **root)
{
	unsigned since = call_begin(run), asked = *number;
	int error = reader_root(&run->reader, asked, root);

	answer_error(run, error, "root", asked == CACHE_PARTITION_BOOT ? 0 : -ENOENT);
	if (error == 0)
		*number = (*root)->volume->number;
	else if (error != -ENOENT)
		return error;
	for (unsigned state = run_now(run) + 1; state-- > since;) {
		unsigned numbers[8];
		bool there = false;
		size_t count;

		if (asked == CACHE_PARTITION_BOOT && live_history_boot(run->history, state) == (int)*number)
			return error;
		if (live_history_partitions(run->history, state, numbers, 8, &count) == 0)
			for (size_t i = 0; i < count && i < 8; i++)
				there = there || numbers[i] == *number;
		if (asked != CACHE_PARTITION_BOOT && there == (error == 0))
			return error;
	}
	PROMISE(false, "fresh: a partition that is not, or is");
	return error;
}

int call_lookup(struct run *run, struct cache_dir *dir, unsigned number, enum path path, struct cache_node *node)
{
	unsigned since = call_begin(run);
	int error = reader_lookup(&run->reader, dir, path_words[path].name, node);

	answer_lookup(run, since, number, path, error, node);
	return error;
}

/* From a directory down to the path below it. The node is the caller's to put. */
static int walk_from(struct run *run, struct cache_dir *dir, unsigned number, enum path above, enum path path,
		     struct cache_node *node)
{
	enum path way[PATHS];
	unsigned depth = 0;
	int error = 0;

	for (enum path at = path; at != above; at = path_words[at].parent)
		way[depth++] = at;
	*node = (struct cache_node){ .kind = CACHE_NODE_DIR, .dir = dir };
	while (error == 0 && depth-- > 0) {
		struct cache_node next = { 0 };

		error = node->kind == CACHE_NODE_DIR ? call_lookup(run, node->dir, number, way[depth], &next) : -ENOTDIR;
		node_put_any(node);
		*node = next;
	}
	return error;
}

int call_walk(struct run *run, unsigned *number, enum path path, struct cache_node *node)
{
	struct cache_dir *root;
	int error = call_root(run, number, &root);

	return error == 0 ? walk_from(run, root, *number, PATH_ROOT, path, node) : error;
}

/*
 * Are all writes told? What is written just after listening began is not taken for all: others may have been at it
 * (trust.c), and who opened it in between has what C1 to C3 promise.
 */
static bool is_exact(const struct run *run)
{
	return run->reader.image->seen.exact &&
	       (!run->feed || run->memory.now_ns - memory_feed_since_ns(run->feed) > WAIT_SETTLE_NS);
}

int call_open(struct run *run, struct handle *handle, unsigned number, enum path path, struct cache_node *node)
{
	unsigned since = call_begin(run);
	struct known *known;
	int error;

	if (node->kind == CACHE_NODE_DIR) {
		cache_dir_put(node->dir);
		return -EISDIR;
	}
	known = answer_known(run, node->attributes.id, number, path, node->attributes.size_bytes);
	error = reader_open(&run->reader, node->version);
	answer_error(run, error, "open", -ESTALE);
	if (error != 0) {
		cache_version_put(node->version);
		return error;
	}
	/* Only now: an entry may name any size, but no chain has more clusters than there are. */
	PROMISE(known->size_bytes <= IMAGE_BYTES_MAX, "bounded");
	if (!known->bytes) {
		known->bytes = calloc(1, known->size_bytes + 1);
		known->have = calloc(1, known->size_bytes + 1);
		PROMISE(known->bytes && known->have, "memory of the test");
	}
	PROMISE(answer_is_whole(run, since, known), "fresh");
	*handle = (struct handle){ node->version, known, since, is_exact(run) };
	return 0;
}

void call_close(struct handle *handle)
{
	if (!handle->version)
		return;
	cache_version_close(handle->version);
	cache_version_put(handle->version);
	handle->version = NULL;
}

long call_read(struct run *run, const struct handle *handle, uint64_t offset_bytes, size_t length_bytes)
{
	size_t left_bytes = (size_t)min_u64(length_bytes, handle->known->size_bytes - offset_bytes);
	unsigned char *piece = malloc(left_bytes + 1);
	long got;

	PROMISE(piece, "memory of the test");
	call_begin(run);
	got = reader_read(&run->reader, handle->version, offset_bytes, length_bytes, piece);
	TRACE(run, "  read %zu at %llu: %ld\n", length_bytes, (unsigned long long)offset_bytes, got);
	if (got < 0) {
		answer_error(run, (int)got, "read", -ESTALE);
		PROMISE(!run->keeps || !handle->exact || writer_is_beyond(run->writer) ||
				!live_history_same_table(run->history, handle->since),
			"kept");
	} else {
		PROMISE((size_t)got == left_bytes, "whole");
		answer_learn(run, handle, offset_bytes, piece, (size_t)got);
	}
	free(piece);
	return got;
}

int call_read_to_end(struct run *run, const struct handle *handle, size_t piece_bytes)
{
	uint64_t at = 0;

	while (at < handle->known->size_bytes) {
		long got = call_read(run, handle, at, piece_bytes);

		if (got < 0)
			return (int)got;
		at += (uint64_t)got;
	}
	return 0;
}

static int fetch_once(struct run *run, unsigned number, enum path path, size_t piece_bytes)
{
	struct handle handle = { 0 };
	struct cache_node node;
	int error = call_walk(run, &number, path, &node);

	if (error == 0)
		error = call_open(run, &handle, number, path, &node);
	if (error != 0)
		return error;
	error = call_read_to_end(run, &handle, piece_bytes);
	call_close(&handle);
	return error;
}

int call_fetch(struct run *run, unsigned number, enum path path, size_t piece_bytes)
{
	int error = fetch_once(run, number, path, piece_bytes);

	return error == -ESTALE ? fetch_once(run, number, path, piece_bytes) : error;
}

static bool listing_is(const struct cache_listing *listing, const struct fat_dir *dir)
{
	if (fat_dir_count(dir) != listing->count)
		return false;
	for (size_t i = 0; i < listing->count; i++)
		if (strcmp(fat_dir_entry(dir, i)->name, listing->entries[i].name) != 0)
			return false;
	return true;
}

void call_list(struct run *run, struct cache_dir *dir, unsigned number, enum path path)
{
	unsigned since = call_begin(run);
	struct cache_listing listing;
	int error = reader_list(&run->reader, dir, &listing);
	bool found = false;

	answer_error(run, error, "list", -ESTALE);
	for (unsigned state = run_now(run) + 1; error == 0 && !found && state-- > since;) {
		struct fat_dir *truth = live_history_dir(run->history, state, number, path);

		found = truth && listing_is(&listing, truth);
		fat_dir_free(truth);
	}
	PROMISE(error != 0 || found, "fresh");
	if (error == 0)
		cache_listing_free(&listing);
}

void call_partitions(struct run *run)
{
	unsigned since = call_begin(run), numbers[8], wanted[8];
	size_t count = 0, wanted_count = 0;
	int error = reader_partitions(&run->reader, numbers, 8, &count);

	answer_error(run, error, "partitions", -ENODATA);
	if (error == -EIO)
		return;
	for (unsigned state = run_now(run) + 1; state-- > since;)
		if (live_history_partitions(run->history, state, wanted, 8, &wanted_count) == error && wanted_count == count &&
		    memcmp(wanted, numbers, min_u64(count, 8) * sizeof(*numbers)) == 0)
			return;
	PROMISE(false, "fresh");
}
