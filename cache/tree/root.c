/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/root.h"

#include <errno.h>

#include "cache/tree/path.h"
#include "cache/tree/settle.h"
#include "cache/tree/table.h"
#include "cache/tree/volume.h"

int cache_image_partitions(struct cache_image *image, struct cache_op *op, unsigned *numbers, size_t capacity,
			   size_t *total)
{
	int error = image_enter(image, op);

	if (error != 0)
		return error;
	error = table_refresh(image, op);
	if (error == 0 && !image_settled(image, op, image->table->cached.since_ns, NULL))
		error = -EINPROGRESS;
	*total = 0;
	/* A table has at most PART_ENTRIES_MAX entries. */
	for (size_t i = 0; error == 0 && i < image->table->parts->count; i++) {
		if (!image->table->parts->entries[i].is_fat)
			continue;
		if (*total < capacity)
			numbers[*total] = image->table->parts->entries[i].number;
		++*total;
	}
	image_leave(image);
	return error;
}

/* What cannot be understood is an I/O error to the reader, never "not there". */
static int as_io_error(int error)
{
	return error == -ENODATA || error == -EINVAL ? -EIO : error;
}

/*
 * While directories and tables are being rewritten the boot files of one
 * partition can be out of sight for a moment: a choice that is new must last
 * before anyone is sent there. Asked when everything has been looked at once,
 * so that the waits run side by side.
 */
static bool path_settled(struct cache_image *image, struct cache_op *op, const struct cache_volume *volume, bool boot)
{
	struct cache_range where = volume_range(volume);

	return image_settled(image, op, image->table->cached.since_ns, NULL) &&
	       (!boot || !image->table->boot_cached.loaded || image_settled(image, op, image->table->boot_cached.since_ns, NULL)) &&
	       cached_settled(image, op, &volume->cached, volume->cached.since_ns, &where);
}

/* What is asked for, and the answer. */
struct root_of {
	struct cache_image *image;
	unsigned partition;
	struct cache_dir *root;
};

static int root_once(void *object, struct cache_op *op)
{
	struct root_of *of = object;
	struct cache_image *image = of->image;
	unsigned number = of->partition;
	bool boot = number == CACHE_PARTITION_BOOT;
	struct cache_volume *volume;
	int error = table_refresh(image, op);

	if (error == 0 && boot)
		error = table_choose_boot(image, op, &number);
	if (error != 0) {
		if (error == -ENODATA && !image->problem)
			image->problem = "none of its partitions is a FAT";
		return as_io_error(error);
	}
	error = volume_get(image, op, number, &volume);
	if (error == -ENOENT && !image_settled(image, op, image->table->cached.since_ns, NULL))
		return -EINPROGRESS;
	if (error == -ENOENT && boot) {
		image->problem = "it has no FAT partition of the number asked for";
		return -EIO;
	}
	if (error == 0)
		error = path_refresh_dir(volume->root, op);
	if (error == -ESTALE || (error == 0 && !volume->root)) { /* made anew meanwhile: look again */
		op->retry_ns = 0;
		error = -EINPROGRESS;
	}
	if (error == 0 && !path_settled(image, op, volume, boot))
		error = -EINPROGRESS;
	if (error != 0)
		return as_io_error(error);
	of->root = volume->root;
	return 0;
}

int cache_image_root(struct cache_image *image, struct cache_op *op, unsigned number, struct cache_dir **root)
{
	struct root_of of = { image, number, NULL };
	int error = image_enter(image, op);

	if (error != 0)
		return error;
	error = path_until_one_generation(image, op, root_once, &of);
	if (error == 0) {
		node_use(image, &of.root->node);
		*root = of.root;
	}
	image_leave(image);
	return error;
}
