/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "live_answer.h"

#include <errno.h>
#include <string.h>

void answer_error(const struct run *run, int error, const char *call, int allowed)
{
	TRACE(run, "  %s: %d\n", call, error);
	PROMISE(error == 0 || error == -EIO || error == allowed || (allowed == -ENOENT && error == -ESTALE), "errors");
}

static bool was(struct run *run, unsigned since, unsigned number, enum path path, enum truth_kind kind, uint64_t size_bytes)
{
	for (unsigned state = run_now(run) + 1; state-- > since;) {
		const struct truth *truth = live_history_truth(run->history, state, number, path);

		if (truth->kind == kind && (kind != TRUTH_FILE || truth->size_bytes == size_bytes))
			return true;
	}
	return false;
}

void answer_lookup(struct run *run, unsigned since, unsigned number, enum path path, int error,
			 const struct cache_node *node)
{
	answer_error(run, error, path_words[path].name, -ENOENT);
	if (error == -ENOENT)
		PROMISE(was(run, since, number, path, TRUTH_ABSENT, 0), "names");
	else if (error == 0 && node->kind == CACHE_NODE_DIR)
		PROMISE(was(run, since, number, path, TRUTH_DIR, 0), "fresh");
	else if (error == 0)
		PROMISE(was(run, since, number, path, TRUTH_FILE, node->attributes.size_bytes), "fresh");
}

struct known *answer_known(struct run *run, uint64_t id, unsigned number, enum path path, uint64_t size_bytes)
{
	struct known *known = run->ids;

	while (known < run->ids + run->id_count && known->id != id)
		known++;
	if (known == run->ids + run->id_count) {
		PROMISE(run->id_count < IDS_MAX, "bounded");
		run->id_count++;
		*known = (struct known){ id, number, path, size_bytes, NULL, NULL, 0 };
	}
	PROMISE(known->number == number && known->path == path && known->size_bytes == size_bytes, "versions");
	return known;
}

/* The next piece of it that is known, from *at on and before `end`: its length, or 0. */
static size_t next_piece(const struct known *known, uint64_t *at, uint64_t end)
{
	const unsigned char *next = memchr(known->have + *at, 1, end - *at), *last;

	if (!next)
		return 0;
	*at = (uint64_t)(next - known->have);
	last = memchr(next, 0, end - *at);
	return last ? (size_t)(last - next) : end - *at;
}

/* A version is its entry, whatever name leads to it: that of a long name that was broken, too. */
static const struct truth *truth_of(struct run *run, unsigned state, const struct known *known)
{
	const struct truth *truth = live_history_truth(run->history, state, known->number, known->path);

	if (truth->kind == TRUTH_ABSENT && known->path == PATH_FILE)
		truth = live_history_truth(run->history, state, known->number, PATH_FILE_SHORT);
	return truth;
}

static bool has_all(struct run *run, unsigned state, const struct known *known)
{
	const struct truth *truth = truth_of(run, state, known);

	if (truth->kind != TRUTH_FILE || truth->size_bytes != known->size_bytes)
		return false;
	for (uint64_t at = 0, length; (length = next_piece(known, &at, known->size_bytes)) > 0; at += length)
		if (!live_history_has(run->history, state, truth, at, known->bytes + at, length))
			return false;
	return true;
}

bool answer_is_whole(struct run *run, unsigned since, struct known *known)
{
	for (unsigned state = run_now(run) + 1; state-- > since;) {
		if (has_all(run, state, known)) {
			known->state = state;
			return true;
		}
	}
	return false;
}

void answer_learn(struct run *run, const struct handle *handle, uint64_t offset_bytes, const unsigned char *bytes,
		  size_t length_bytes)
{
	struct known *known = handle->known;

	for (uint64_t at = offset_bytes, end = at + length_bytes, length; (length = next_piece(known, &at, end)) > 0; at += length)
		PROMISE(memcmp(known->bytes + at, bytes + (at - offset_bytes), length) == 0, "versions");
	memcpy(known->bytes + offset_bytes, bytes, length_bytes);
	memset(known->have + offset_bytes, 1, length_bytes);
	if (known->state >= handle->since &&
	    live_history_has(run->history, known->state, truth_of(run, known->state, known), offset_bytes, bytes, length_bytes))
		return;
	PROMISE(answer_is_whole(run, handle->since, known), "whole");
}
