/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/node.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

/* These names go before an image of the same name, which is found by its file's. */
static const char *const reserved[CONTROL_RESERVED] = { "status", "status.json", "metrics" };

uint64_t control_reserved_id(const char *name)
{
	for (uint64_t i = 0; i < CONTROL_RESERVED; i++)
		if (strcmp(name, reserved[i]) == 0)
			return CONTROL_STATUS + i;
	return 0;
}

const char *control_reserved_name(size_t index)
{
	return index < CONTROL_RESERVED ? reserved[index] : NULL;
}

struct lane *control_lane_of_name(struct control_base *control, const char *name)
{
	return &control->name_lanes[text_hash(name, 0) % CONTROL_NAME_LANES];
}

struct control_node *control_node_of(uint64_t id)
{
	return id >= CONTROL_IMAGES ? (struct control_node *)(uintptr_t)id : NULL;
}

struct control_node *control_node_new(const struct control_base *control, const char *name,
				      const struct view_image *image, const struct stat *st)
{
	struct control_node *node = malloc(sizeof(*node));
	char *copy = strdup(name);

	if (!node || !copy) {
		free(node);
		free(copy);
		return NULL;
	}
	*node = (struct control_node){ .name = copy, .lookups = 1 };
	if (image)
		node->image = image->identity;
	/* Who may write to the image may report of it. */
	node->uid = st ? st->st_uid : getuid();
	node->gid = st ? st->st_gid : getgid();
	if (control->options->control_group_given)
		node->gid = control->options->control_group;
	return node;
}

void control_node_forget(uint64_t id, uint64_t count)
{
	struct control_node *node = control_node_of(id);

	if (!node || atomic_fetch_sub(&node->lookups, count) != count)
		return;
	free(node->name);
	free(node);
}

void control_node_attributes(uint64_t id, struct stat *st)
{
	const struct control_node *node = control_node_of(id);

	*st = (struct stat){ .st_mode = S_IFREG | 0444, .st_nlink = 1, .st_uid = getuid(), .st_gid = getgid() };
	if (node) {
		st->st_mode = S_IFREG | 0660;
		st->st_uid = node->uid;
		st->st_gid = node->gid;
	} else if (id == CONTROL_ROOT) {
		st->st_mode = S_IFDIR | 0755;
	}
	/* See node.h. */
	st->st_ino = id == CONTROL_ROOT ? id : cache_next_id();
	clock_gettime(CLOCK_REALTIME, &st->st_mtim);
	st->st_atim = st->st_ctim = st->st_mtim;
	st->st_blksize = 4096;
}
