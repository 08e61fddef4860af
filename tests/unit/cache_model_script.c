/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache_model_script: the updates of the model check, as the writes between their frames in any order. */
#include <stdlib.h>
#include <string.h>

#include "cache_model.h"

#define F_ENTRY "FILE    BIN", "file-with-a-long-name.bin", 0

#define NEW_ENTRY "FILE    NEW", NULL, 4
#define BYSTANDER                                          \
	{                                                  \
		"STILL   TXT", NULL, 3, { 20 }, 700, 99, 1 \
	}

/* clang-format off */
const struct update updates[] = {
	{ "overwrite in place", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 3, 5 }, 10000, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 3, 5 }, 10000, 2, 1 }, BYSTANDER }, true } } },
	{ "overwrite in place, with a new time", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 5 }, 8192, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 5 }, 8192, 2, 2 }, BYSTANDER }, true } } },
	{ "replace by rename", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 3 }, 5000, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 3 }, 5000, 1, 1 }, BYSTANDER, { NEW_ENTRY, { 6, 7 }, 6000, 2, 2 } } },
		{ { { F_ENTRY, { 6, 7 }, 6000, 2, 2 }, BYSTANDER, { NEW_ENTRY, { 6, 7 }, 6000, 2, 2 } } },
		{ { { F_ENTRY, { 6, 7 }, 6000, 2, 2 }, BYSTANDER }, true } } },
	{ "remove, then rename", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 3 }, 5000, 1, 1 }, BYSTANDER, { NEW_ENTRY, { 6, 7 }, 6000, 2, 2 } }, true },
		{ { BYSTANDER, { NEW_ENTRY, { 6, 7 }, 6000, 2, 2 } } },
		{ { { F_ENTRY, { 6, 7 }, 6000, 2, 2 }, BYSTANDER }, true } } },
	{ "shrink", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 3, 5 }, 10000, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2 }, 3000, 1, 2 }, BYSTANDER }, true } } },
	{ "grow", F_NAME, 4096, {
		{ { { F_ENTRY, { 2 }, 3000, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 3, 5 }, 10000, 1, 2 }, BYSTANDER }, true } } },
	{ "remove and make again of the same clusters", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 3 }, 8000, 1, 1 }, BYSTANDER }, true },
		{ { BYSTANDER } },
		{ { { F_ENTRY, { 3, 2 }, 8000, 2, 1 }, BYSTANDER }, true } } },
	{ "two files trade clusters", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 3 }, 6000, 1, 1 }, BYSTANDER, { NEW_ENTRY, { 6 }, 3000, 2, 1 } }, true },
		{ { { F_ENTRY, { 6, 7 }, 6000, 3, 1 }, BYSTANDER, { NEW_ENTRY, { 2 }, 3000, 4, 1 } }, true } } },
	{ "truncated to nothing, then written", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 3 }, 5000, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 0 }, 0, 0, 2 }, BYSTANDER } },
		{ { { F_ENTRY, { 2, 3 }, 6000, 2, 3 }, BYSTANDER }, true } } },
	{ "two updates in a row", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 5 }, 8000, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 5 }, 8000, 2, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 5 }, 8000, 3, 1 }, BYSTANDER }, true } } },
	{ "a new file", F_NAME, 4096, {
		{ { BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 5 }, 8000, 2, 1 }, BYSTANDER }, true } } },
	{ "a file removed, its clusters reused", F_NAME, 4096, {
		{ { { F_ENTRY, { 2, 5 }, 8000, 1, 1 }, BYSTANDER }, true },
		{ { BYSTANDER, { NEW_ENTRY, { 2, 5 }, 8000, 2, 1 } }, true } } },
	{ "overwrite in place, of several chunks", F_NAME, 32768, {
		{ { { F_ENTRY, { 2, 4, 6, 8 }, 131072, 1, 1 }, BYSTANDER }, true },
		{ { { F_ENTRY, { 2, 4, 6, 8 }, 131072, 2, 1 }, BYSTANDER }, true } } },
};
/* clang-format on */

const size_t update_count = sizeof(updates) / sizeof(updates[0]);

static unsigned frames_of(const struct update *update)
{
	unsigned count = 0;

	while (count < FRAMES_MAX && update->frames[count].files[0].short_name)
		count++;
	return count;
}

/* The same volume with other files; what clusters held stays in them. */
static struct small_volume paint(const struct small_volume *from, const struct frame *old,
				 const struct frame *new, uint32_t cluster_bytes)
{
	struct small_volume volume = from ? small_volume_copy(from) : small_volume_new(cluster_bytes);

	for (size_t i = 0; old && i < FILES_MAX && old->files[i].short_name; i++)
		small_volume_remove(&volume, &old->files[i]);
	/* An entry that never was still must not end the directory. */
	for (size_t i = 0; !from && i < 5; i++)
		fat_image_root(volume.fat)[i * 32] = 0xE5;
	for (size_t i = 0; i < FILES_MAX && new->files[i].short_name; i++)
		small_volume_put(&volume, &new->files[i]);
	return volume;
}

static size_t unit_at(const struct script *script, uint64_t offset_bytes)
{
	return offset_bytes < VOLUME_DATA_OFFSET ? 4096 : script->update->cluster_bytes;
}

/* What differs between two frames, in the order of the disk. */
static unsigned diff(const struct script *script, unsigned frame, struct step *steps)
{
	const struct small_volume *a = &script->frames[frame - 1], *b = &script->frames[frame];
	unsigned count = 0;

	for (uint64_t at = 0, unit; at < b->size_bytes; at += unit) {
		unit = min_u64(unit_at(script, at), b->size_bytes - at);
		if (memcmp(a->bytes + at, b->bytes + at, unit) != 0)
			steps[count++] = (struct step){ frame, LAND, at, unit };
	}
	return count;
}

/* The `order`th permutation of a part of the steps; returns what is left of the number. */
static unsigned permute(struct step *steps, unsigned count, unsigned order)
{
	for (unsigned left = count; left > 1; left--) {
		struct step chosen = steps[order % left];

		memmove(&steps[order % left], &steps[order % left + 1],
			(left - 1 - order % left) * sizeof(*steps));
		steps[left - 1] = chosen;
		order /= left;
	}
	return order;
}

void script_make(struct script *script, const struct update *update)
{
	*script = (struct script){ .update = update, .frame_count = frames_of(update) };
	for (unsigned i = 0; i < script->frame_count; i++)
		script->frames[i] =
			paint(i ? &script->frames[i - 1] : NULL, i ? &update->frames[i - 1] : NULL,
			      &update->frames[i], update->cluster_bytes);
}

void script_free(struct script *script)
{
	for (unsigned i = 0; i < script->frame_count; i++)
		small_volume_free(&script->frames[i]);
}

/* How many orders there are: within each frame any. */
unsigned script_orders(const struct script *script)
{
	unsigned orders = 1;

	for (unsigned frame = 1; frame < script->frame_count; frame++) {
		struct step changes[STEPS_MAX];

		for (unsigned count = diff(script, frame, changes); count > 1; count--)
			orders *= count;
	}
	return orders;
}

static void add_step(struct script *script, const struct step *step, enum phase phase, unsigned thread)
{
	cr_assert_lt(script->step_count, STEPS_MAX);
	script->steps[script->step_count] = *step;
	script->steps[script->step_count].thread = thread;
	script->steps[script->step_count++].phase = phase;
}

/* Who writes with libaio is one thread; others have one for each write that they have in flight. */
static void add_told(struct script *script, const struct step *changes, unsigned count, bool at_once, bool ends)
{
	for (unsigned i = 0; i < count; i += at_once ? count : 1) {
		unsigned last = at_once ? count : i + 1;

		for (unsigned j = i; j < last; j++)
			add_step(script, &changes[j], BEGIN, 1 + (j - i) * ends);
		for (unsigned j = i; j < last; j++)
			add_step(script, &changes[j], LAND, 1 + (j - i) * ends);
		for (unsigned j = i; ends && j < last; j++)
			add_step(script, &changes[j], END, 1 + (j - i) * ends);
	}
}

/* One write after the other, of which nothing is told before. */
static void add_untold(struct script *script, const struct step *changes, unsigned count, enum device_kind kind)
{
	for (unsigned i = 0; i < count; i++) {
		if (kind != DEVICE_EVENTS)
			add_step(script, &changes[i], SIGN, 1);
		add_step(script, &changes[i], LAND, 1);
		if (kind == DEVICE_KERNEL_BEFORE)
			add_step(script, &changes[i], END, 1);
	}
}

/* Make the steps in one of them, with what the kind of device tells of each write. */
void script_order(struct script *script, unsigned order, enum device_kind kind)
{
	bool at_once = order % 2;

	script->step_count = 0;
	for (unsigned frame = 1; frame < script->frame_count; frame++) {
		struct step changes[STEPS_MAX];
		unsigned count = diff(script, frame, changes);

		order = permute(changes, count, order);
		cr_assert(count > 0);
		/* In every second order all of them are in flight at once. */
		if (kind == DEVICE_REPORTED || kind == DEVICE_TOLD || kind == DEVICE_KERNEL_SYNC || kind == DEVICE_KERNEL_ASYNC)
			add_told(script, changes, count, at_once, kind != DEVICE_KERNEL_ASYNC);
		else
			add_untold(script, changes, count, kind);
	}
}
