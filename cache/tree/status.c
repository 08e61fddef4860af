/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/status.h"

#include <errno.h>

#include "cache/tree/boot.h"
#include "cache/tree/dir.h"
#include "cache/tree/table.h"
#include "cache/tree/volume.h"

static unsigned open_files_below(struct cache_dir *dir)
{
	unsigned open = 0;

	for (struct cache_dir *at = dir_list_below(dir); at; at = at->link) {
		size_t count = dir_slot_count(at);

		for (size_t i = 0; i < count; i++)
			if (at->slots[i].kind == SLOT_FILE && atomic_load(&at->slots[i].version->opens) > 0)
				open++;
	}
	return open;
}

static void status_of_boot(const struct cache_image *image, struct cache_image_status *status)
{
	const struct part_entry *entry;

	status->boot_by_option = image->cache->settings.partition != 0;
	status->boot_number = status->boot_by_option ? image->cache->settings.partition : image->boot->number;
	status->boot_reason = image->boot->reason;
	if (!status->boot_by_option && !image->boot->cached.loaded) {
		if (status->fat_count != 1)
			return;
		for (size_t i = 0; i < image->table->parts->count; i++)
			if (image->table->parts->entries[i].is_fat)
				status->boot_number = image->table->parts->entries[i].number;
		status->boot_reason = PART_BOOT_FIRST_FAT;
	}
	entry = part_table_find(image->table->parts, status->boot_number);
	if (!entry)
		return;
	status->boot_known = true;
	status->boot_offset_bytes = entry->offset_bytes;
	status->boot_length_bytes = entry->length_bytes;
}

int cache_image_status(struct cache_image *image, struct cache_image_status *status)
{
	*status = (struct cache_image_status){ 0 };
	if (pthread_mutex_trylock(&image->lock) != 0)
		return -EAGAIN;
	status->problem = atomic_load(&image->problem);
	status->change_source = cache_image_change_source(image);
	status->table_known = image->table->parts && image->table->cached.error == 0;
	if (status->table_known) {
		status->scheme = image->table->parts->scheme;
		status->fat_count = (unsigned)part_table_fat_count(image->table->parts);
		status_of_boot(image, status);
	}
	for (struct cache_volume *volume = image->volumes; volume; volume = volume->next)
		if (volume->root)
			status->open_files += open_files_below(volume->root);
	image_leave(image);
	return 0;
}
