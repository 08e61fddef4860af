/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/boot.h"

#include <errno.h>
#include <stdlib.h>

#include "cache/tree/table.h"

struct choice {
	unsigned number;
	enum part_boot_reason reason;
};

static int boot_parse(void *owner, struct source *source, void **result)
{
	struct cache_image *image = owner;
	const struct part_entry *chosen;
	enum part_boot_reason reason;
	struct choice *choice;
	int error = part_choose_boot(source, image->table->parts, &chosen, &reason);

	if (error != 0)
		return error;
	choice = malloc(sizeof(*choice));
	if (!choice)
		return -ENOMEM;
	choice->number = chosen->number;
	choice->reason = reason;
	*result = choice;
	return 0;
}

static bool boot_commit(void *owner, void *result)
{
	struct cache_image *image = owner;
	struct choice *choice = result;
	bool changed = image->boot->number != choice->number;

	image->boot->number = choice->number;
	image->boot->reason = choice->reason;
	free(choice);
	return changed;
}

static const struct cached_kind boot_kind = { boot_parse, boot_commit, free };

int boot_choose(struct cache_image *image, struct cache_op *op, unsigned *number)
{
	const struct part_table *parts = image->table->parts;
	int error;

	*number = image->cache->settings.partition;
	if (*number != 0)
		return 0;
	if (part_table_fat_count(parts) == 1) {
		for (size_t i = 0; i < parts->count; i++)
			if (parts->entries[i].is_fat)
				*number = parts->entries[i].number;
		return 0;
	}
	/* The choice rests on the table too. */
	if (image->boot->of_table != image->table->changes)
		image->boot->cached.loaded = false;
	image->boot->of_table = image->table->changes;
	error = cached_refresh(image, op, &image->boot->cached, &boot_kind, image, NULL);
	*number = image->boot->number;
	return error;
}
