/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache_model_reader: what a reader of the model check does, and what it may see. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache_model.h"

/* ---- what may be seen ---------------------------------------------------- */

static const struct file *file_of(const struct run *run, unsigned frame, const char *name)
{
	const struct file *files = run->script->update->frames[frame].files;

	for (size_t i = 0; i < FILES_MAX && files[i].short_name; i++)
		if (strcmp(name, "still.txt") == 0 ? files[i].slot == 3 : files[i].slot == 0)
			return &files[i];
	return NULL;
}

/* The complete frames that somebody may see who began when `since` was the last frame done. */
static unsigned states_since(const struct run *run, unsigned since)
{
	const struct frame *frames = run->script->update->frames;
	unsigned states = 0, last = frames_begun(run);

	while (!frames[since].complete)
		since--;
	while (!frames[last].complete)
		last++;
	for (unsigned i = since; i <= last; i++)
		if (frames[i].complete)
			states |= 1U << i;
	return states;
}

static unsigned all_states(const struct run *run)
{
	return (1U << run->script->frame_count) - 1;
}

/* Those of them that hold the file with this size. */
static unsigned states_of_size(const struct run *run, unsigned states, const char *name, uint64_t size_bytes)
{
	for (unsigned i = 0; i < run->script->frame_count; i++) {
		const struct file *file = file_of(run, i, name);

		if (!file || file->size_bytes != size_bytes)
			states &= ~(1U << i);
	}
	return states;
}

static unsigned states_of_bytes(const struct run *run, unsigned states, const char *name, uint64_t at,
				const unsigned char *bytes, size_t length_bytes)
{
	for (unsigned i = 0; i < run->script->frame_count; i++)
		if (states & (1U << i) && !content_is(bytes, file_of(run, i, name)->seed, at, length_bytes))
			states &= ~(1U << i);
	return states;
}

static unsigned states_without(const struct run *run, unsigned states, const char *name)
{
	for (unsigned i = 0; i < run->script->frame_count; i++)
		if (file_of(run, i, name))
			states &= ~(1U << i);
	return states;
}

/* The states that an id may stand for by all that was ever read of it. */
static unsigned *states_of_id(struct run *run, uint64_t id)
{
	for (unsigned i = 0; i < run->id_count; i++)
		if (run->ids[i].id == id)
			return &run->ids[i].states;
	cr_assert_lt(run->id_count, IDS_MAX);
	run->ids[run->id_count].id = id;
	run->ids[run->id_count].states = all_states(run);
	return &run->ids[run->id_count++].states;
}

/* ---- readers ------------------------------------------------------------- */

/* 0, or the error; a rule broken is noted. */
static int begin(struct run *run, struct handle *handle, const char *name)
{
	unsigned since = frames_done(run);
	int error = reader_walk(&run->reader, name, &handle->node);

	TRACE(run, "  lookup: %d, id %llu\n", error,
	      (unsigned long long)(error ? 0 : handle->node.attributes.id));
	handle->name = name;
	handle->opened = false;
	handle->at = 0;
	if (error == -ENOENT && states_without(run, states_since(run, since), name) == 0)
		broken(run, "names: a name was absent that is in all states");
	if (error != 0)
		return error;
	handle->since = frames_done(run);
	handle->states = states_of_size(run, all_states(run), name, handle->node.attributes.size_bytes);
	if ((handle->states & states_since(run, since)) == 0)
		broken(run, "fresh: stat shows a size of no state that may be seen");
	error = reader_open(&run->reader, handle->node.version);
	TRACE(run, "  open: %d\n", error);
	handle->opened = error == 0;
	if (handle->opened && (handle->states & states_since(run, handle->since)) == 0)
		broken(run, "fresh: open of a state that is gone");
	if (error != 0)
		cache_version_put(handle->node.version);
	return error;
}

static int read_on(struct run *run, struct handle *handle, size_t piece_bytes)
{
	unsigned char piece[1 << 18];
	unsigned *id_states = states_of_id(run, handle->node.attributes.id);
	uint64_t size_bytes = handle->node.attributes.size_bytes;
	long got = reader_read(&run->reader, handle->node.version, handle->at, piece_bytes, piece);

	TRACE(run, "  read at %llu: %ld\n", (unsigned long long)handle->at, got);
	if (got < 0)
		return (int)got;
	if ((uint64_t)got != min_u64(piece_bytes, size_bytes - handle->at))
		broken(run, "whole: a short read");
	handle->states = states_of_bytes(run, handle->states, handle->name, handle->at, piece, (size_t)got);
	if (handle->states == 0)
		broken(run, "whole: bytes of no state, or of two");
	/* What nobody had read yet may have become a later state's. */
	else if ((handle->states & states_since(run, handle->since)) == 0)
		broken(run, "fresh: bytes of a state that was gone at the open");
	*id_states &= states_of_bytes(run, states_of_size(run, *id_states, handle->name, size_bytes),
				      handle->name, handle->at, piece, (size_t)got);
	if (*id_states == 0)
		broken(run, "versions: one id stands for two states");
	handle->at += (uint64_t)got;
	return 0;
}

int read_to_end(struct run *run, struct handle *handle, size_t piece_bytes)
{
	int error = 0;

	while (error == 0 && handle->at < handle->node.attributes.size_bytes)
		error = read_on(run, handle, piece_bytes);
	return error;
}

void finish(struct handle *handle)
{
	if (!handle->opened)
		return;
	cache_version_close(handle->node.version);
	cache_version_put(handle->node.version);
	handle->opened = false;
}

static int fetch(struct run *run, const char *name, size_t piece_bytes)
{
	struct handle handle;
	int error = begin(run, &handle, name);

	if (error != 0)
		return error;
	error = read_to_end(run, &handle, piece_bytes);
	if (error != 0 && run->keeps)
		broken(run, "kept: an open file was refused");
	finish(&handle);
	return error;
}

/* As the kernel and any client: an open that finds its version gone looks the name up again. */
static int fetch_again(struct run *run, const char *name, size_t piece_bytes)
{
	int error = fetch(run, name, piece_bytes);

	return error == -ESTALE ? fetch(run, name, piece_bytes) : error;
}

/* While the first one waits for the device. What is read alone by one at a time is waited for in vain. */
void second_reader(struct run *run)
{
	int64_t waited_ns = run->reader.waited_ns; /* by the first */

	run->second_done = true;
	run->memory.in_data = false;
	TRACE(run, "  second reader\n");
	fetch_again(run, run->script->update->name, run->script->update->cluster_bytes);
	TRACE(run, "  second reader ends\n");
	run->reader.waited_ns = waited_ns;
	run->memory.in_data = true;
}

static bool listing_has(const struct cache_listing *listing, const char *name)
{
	for (size_t i = 0; i < listing->count; i++)
		if (strcasecmp(listing->entries[i].name, name) == 0)
			return true;
	return false;
}

static bool listing_is(const struct run *run, const struct cache_listing *listing, unsigned frame)
{
	const struct file *files = run->script->update->frames[frame].files;
	size_t count = 0;

	for (; count < FILES_MAX && files[count].short_name; count++) {
		const char *name = files[count].slot == 3   ? "still.txt"
				   : files[count].slot == 4 ? "file.new"
							    : F_NAME;

		if (!listing_has(listing, name))
			return false;
	}
	return listing->count == count;
}

static int list(struct run *run)
{
	unsigned since = frames_done(run), states;
	struct cache_listing listing;
	struct cache_dir *root;
	int error = reader_root(&run->reader, CACHE_PARTITION_BOOT, &root);

	if (error != 0)
		return error;
	error = reader_list(&run->reader, root, &listing);
	cache_dir_put(root);
	TRACE(run, "  list: %d\n", error);
	if (error != 0)
		return error;
	states = states_since(run, since);
	for (unsigned i = 0; i < run->script->frame_count; i++)
		if (states & (1U << i) && !listing_is(run, &listing, i))
			states &= ~(1U << i);
	if (states == 0)
		broken(run, "fresh: a listing of no state, or of an old one");
	cache_listing_free(&listing);
	return 0;
}

void do_task(struct run *run)
{
	const struct update *update = run->script->update;

	switch (run->plan->task) {
	case FETCH:
		fetch_again(run, update->name, 1 << 18);
		break;
	case FETCH_PIECES:
		fetch_again(run, update->name, update->cluster_bytes);
		break;
	case LIST:
		list(run);
		break;
	default:
		fetch_again(run, "still.txt", 4096);
	}
}

static bool exists_at_the_end(const struct run *run)
{
	return file_of(run, run->script->frame_count - 1, run->script->update->name);
}

/* The writer is done: no excuse for anything. */
void expect_the_end(struct run *run)
{
	int error = fetch_again(run, run->script->update->name, 1 << 18);

	if (error != (exists_at_the_end(run) ? 0 : -ENOENT))
		broken(run, "alive: the last state cannot be read");
	if (fetch_again(run, "still.txt", 4096) != 0)
		broken(run, "alive: a file that never changed cannot be read");
	if (list(run) != 0)
		broken(run, "alive: the last state cannot be listed");
}

void warm_up(struct run *run, struct handle *held)
{
	const char *name = run->script->update->name;

	if (run->plan->warmth == COLD)
		return;
	list(run);
	fetch(run, "still.txt", 4096);
	if (!file_of(run, 0, name))
		return;
	if (run->plan->warmth == WARM) {
		fetch(run, name, 1 << 18);
		return;
	}
	if (begin(run, held, name) != 0)
		broken(run, "alive: cannot open at rest");
	else if (run->plan->warmth == HELD)
		read_on(run, held, run->script->update->cluster_bytes);
}
