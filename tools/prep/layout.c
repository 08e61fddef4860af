/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <blkid/blkid.h>
#include <linux/fs.h>

#include "tools/prep/file_source.h"

/* ---- what a partition holds ----------------------------------------------- */

static void take(blkid_probe probe, const char *name, char to[LAYOUT_WORD_BYTES])
{
	const char *value;
	size_t length;

	to[0] = '\0';
	if (blkid_probe_lookup_value(probe, name, &value, &length) == 0 && length <= LAYOUT_WORD_BYTES) {
		memcpy(to, value, length);
		to[LAYOUT_WORD_BYTES - 1] = '\0';
	}
}

static void look_at(int fd, const struct part_entry *entry, char type[LAYOUT_WORD_BYTES],
		    char uuid[LAYOUT_WORD_BYTES])
{
	blkid_probe probe = blkid_new_probe();

	type[0] = uuid[0] = '\0';
	if (!probe)
		return;
	if (blkid_probe_set_device(probe, fd, (blkid_loff_t)entry->offset_bytes,
				   (blkid_loff_t)entry->length_bytes) == 0) {
		blkid_probe_enable_superblocks(probe, 1);
		blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_UUID);
		if (blkid_do_safeprobe(probe) == 0) {
			take(probe, "TYPE", type);
			take(probe, "UUID", uuid);
		}
	}
	blkid_free_probe(probe);
}

/* ---- the root ------------------------------------------------------------- */

static void take_root(struct layout *layout, unsigned number, const char *type, const char *uuid)
{
	layout->root = number;
	memcpy(layout->root_type, type, LAYOUT_WORD_BYTES);
	memcpy(layout->root_uuid, uuid, LAYOUT_WORD_BYTES);
}

static void find_root(int fd, struct layout *layout)
{
	size_t others = 0;

	for (size_t i = 0; i < layout->table->count; i++) {
		const struct part_entry *entry = &layout->table->entries[i];
		char type[LAYOUT_WORD_BYTES], uuid[LAYOUT_WORD_BYTES];

		if (entry->is_fat || entry->number == 0)
			continue;
		look_at(fd, entry, type, uuid);
		if (strcmp(type, "swap") == 0)
			continue;
		if (layout->root == 0 || (!*layout->root_type && *type))
			take_root(layout, entry->number, type, uuid);
		else if (*type && others + 1 < sizeof(layout->others) / sizeof(layout->others[0]))
			layout->others[others++] = entry->number;
	}
}

static int find_given(int fd, unsigned root, struct layout *layout, struct problem *problem)
{
	const struct part_entry *entry = part_table_find(layout->table, root);
	char type[LAYOUT_WORD_BYTES], uuid[LAYOUT_WORD_BYTES];

	if (!entry)
		return problem_set(problem, -ENOENT, "has no partition %u", root);
	look_at(fd, entry, type, uuid);
	take_root(layout, root, type, uuid);
	return 0;
}

int layout_read(int fd, unsigned root, struct layout *layout, struct problem *problem)
{
	struct file_source source;
	int sector = 0, error = file_source_of(fd, &source);

	*layout = (struct layout){ 0 };
	if (error != 0)
		return problem_set(problem, error, "%s", strerror(-error));
	if (ioctl(fd, BLKSSZGET, &sector) != 0)
		sector = 0;
	error = part_table_read(&source.source, (uint32_t)sector, &layout->table);
	if (error != 0)
		return problem_set(
			problem, error, "%s",
			error == -ENODATA
				? "has neither a partition table nor a FAT: is it an image of a disk?"
			: error == -EIO ? "has a partition table that cannot be believed"
					: strerror(-error));
	if (root != 0)
		error = find_given(fd, root, layout, problem);
	else
		find_root(fd, layout);
	if (error != 0)
		layout_free(layout);
	return error;
}

void layout_free(struct layout *layout)
{
	free(layout->table);
	layout->table = NULL;
}
