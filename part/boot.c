/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which partition a Pi boots from, by content (CONTRACT N4).
 *
 * Type bytes, GUIDs, flags and labels differ between the makers of images; the
 * files the firmware asks for don't. A FAT counts when its root holds one of
 * them as a file. What is inside the files is not looked at.
 *
 * autoboot.txt is not among the names: it says that another partition is to be
 * booted, and may be alone on the first.
 */
#include "part/part.h"

#include <string.h>

#include "base/cleanup.h"
#include "fat/fat.h"

/* From the Raspberry Pi documentation, "Boot folder contents" and "boot_ramdisk". */
static const struct boot_name {
	const char *prefix;
	const char *suffix; /* with anything between, unless NULL */
} boot_names[] = {
	{ "config.txt", NULL }, { "cmdline.txt", NULL }, { "bootcode.bin", NULL }, { "boot.img", NULL },
	{ "start", ".elf" },	{ "fixup", ".dat" },	 { "kernel", ".img" },	   { "bcm27", ".dtb" },
};

/* Not strncasecmp: its folding changes with the process's locale. */
static char ascii_lower(char letter)
{
	return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

static bool equal_folded(const char *text, const char *lower, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (ascii_lower(text[i]) != lower[i])
			return false;
	return true;
}

static bool matches(const char *name, size_t name_length, const struct boot_name *pattern)
{
	size_t prefix_length = strlen(pattern->prefix);
	size_t suffix_length = pattern->suffix ? strlen(pattern->suffix) : 0;

	if (name_length < prefix_length + suffix_length ||
	    !equal_folded(name, pattern->prefix, prefix_length))
		return false;
	if (!pattern->suffix)
		return name_length == prefix_length;
	return equal_folded(name + name_length - suffix_length, pattern->suffix, suffix_length);
}

bool part_is_boot_file_name(const char *name)
{
	size_t name_length = strlen(name);

	for (size_t i = 0; i < sizeof(boot_names) / sizeof(boot_names[0]); i++)
		if (matches(name, name_length, &boot_names[i]))
			return true;
	return false;
}

static void cleanup_free_dir(struct fat_dir *const *dir)
{
	fat_dir_free(*dir);
}

/* Bounded by fat_dir_read, at 65536 entries. */
static int holds_boot_files(struct source *source, const struct part_entry *partition, bool *holds)
{
	struct source_slice slice = source_slice_of(source, partition->offset_bytes, partition->length_bytes);
	CLEANUP(cleanup_free_dir) struct fat_dir *root = NULL;
	struct fat_volume volume;
	int result = fat_volume_read(&slice.source, &volume);

	*holds = false;
	if (result == 0)
		result = fat_dir_read(&volume, &slice.source, 0, &root);
	if (result < 0)
		return result;
	for (size_t i = 0; i < fat_dir_count(root) && !*holds; i++) {
		const struct fat_entry *entry = fat_dir_entry(root, i);

		*holds = !(entry->attributes & FAT_ATTR_DIRECTORY) && part_is_boot_file_name(entry->name);
	}
	return 0;
}

int part_choose_boot(struct source *source, const struct part_table *table, const struct part_entry **chosen,
		     enum part_boot_reason *reason)
{
	const struct part_entry *first_fat = NULL;
	bool unreadable = false;

	*chosen = NULL;
	for (size_t i = 0; i < table->count; i++) {
		const struct part_entry *entry = &table->entries[i];
		bool holds = false;

		if (!entry->is_fat)
			continue;
		if (!first_fat)
			first_fat = entry;
		int result = holds_boot_files(source, entry, &holds);
		if (result < 0 && result != -EIO && result != -EINVAL)
			return result;
		unreadable = unreadable || result < 0;
		if (holds) {
			/* An A/B image whose A is torn must not be taken for B. */
			if (unreadable)
				return -EIO;
			*chosen = entry;
			*reason = PART_BOOT_FILES;
			return 0;
		}
	}
	if (!first_fat)
		return -ENODATA;
	*chosen = first_fat;
	*reason = PART_BOOT_FIRST_FAT;
	return 0;
}
