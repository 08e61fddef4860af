/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which partition a Pi boots from, by content (CONTRACT N4).
 *
 * Type bytes, GUIDs, flags and labels differ between the makers of images; the
 * files the firmware asks for don't. A FAT counts when its root holds one of
 * them as a file. What is inside the files is not looked at.
 *
 * autoboot.txt is not among the names: it says that another partition is to be
 * booted, and may be alone on the first, or have bootcode.bin beside it (a Pi 3
 * wants it there). The firmware reads the one of the first FAT alone, and what it
 * names is booted whatever else is there. So the first FAT with autoboot.txt or
 * with boot files decides.
 *
 * A partition that it names and that holds no FAT is not replaced by a guess: of
 * an A/B image whose A is being made anew B must not be taken for A.
 */
#include "part/part.h"

#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "fat/fat.h"
#include "part/autoboot.h"

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

const char *part_boot_reason_text(enum part_boot_reason reason)
{
	static const char *const texts[] = {
		[PART_BOOT_FILES] = "boot files",
		[PART_BOOT_FIRST_FAT] = "first FAT",
		[PART_BOOT_AUTOBOOT] = AUTOBOOT_NAME,
	};

	return texts[reason];
}

/* What the root directory of a FAT says. */
struct marks {
	bool boot_files;
	bool has_autoboot;
	struct autoboot autoboot;
};

static int read_autoboot(const struct fat_volume *volume, struct source *source, const struct fat_dir *root,
			 struct marks *marks)
{
	long index = fat_dir_find(root, AUTOBOOT_NAME);
	const struct fat_entry *entry = index < 0 ? NULL : fat_dir_entry(root, (size_t)index);
	char text[AUTOBOOT_BYTES_MAX];
	size_t length;
	int result;

	if (!entry || entry->attributes & FAT_ATTR_DIRECTORY)
		return 0;
	length = (size_t)min_u64(entry->size_bytes, sizeof(text));
	result = fat_file_read(volume, source, entry, text, length);
	if (result < 0)
		return result;
	marks->has_autoboot = true;
	marks->autoboot = autoboot_read(text, length);
	return 0;
}

/* Bounded by fat_dir_read, at 65536 entries. */
static int read_marks(struct source *source, const struct part_entry *partition, struct marks *marks)
{
	struct source_slice slice = source_slice_of(source, partition->offset_bytes, partition->length_bytes);
	CLEANUP(cleanup_free_dir) struct fat_dir *root = NULL;
	struct fat_volume volume;
	int result = fat_volume_read(&slice.source, &volume);

	*marks = (struct marks){ 0 };
	if (result == 0)
		result = fat_dir_read(&volume, &slice.source, 0, &root);
	if (result < 0)
		return result;
	for (size_t i = 0; i < fat_dir_count(root) && !marks->boot_files; i++) {
		const struct fat_entry *entry = fat_dir_entry(root, i);

		marks->boot_files = !(entry->attributes & FAT_ATTR_DIRECTORY) && part_is_boot_file_name(entry->name);
	}
	return read_autoboot(&volume, &slice.source, root, marks);
}

static int choose(struct part_choice *choice, const struct part_entry *entry, enum part_boot_reason reason)
{
	choice->entry = entry;
	choice->reason = reason;
	return 0;
}

/* `entry` is the first with marks. */
static int choose_by_marks(const struct part_table *table, const struct part_entry *entry, const struct marks *marks,
			   struct part_choice *choice)
{
	const struct part_entry *named;

	/* That of another FAT behind the first one's is not read. */
	if (marks->has_autoboot && !choice->autoboot) {
		choice->autoboot = entry->number;
		choice->named = marks->autoboot.partition;
		choice->tryboot = marks->autoboot.tryboot;
	}
	named = choice->named ? part_table_find(table, choice->named) : NULL;
	if (named && named->is_fat)
		return choose(choice, named, PART_BOOT_AUTOBOOT);
	/* The only FAT there is stays what it is, for whoever wants to look into it. */
	if (choice->named && part_table_fat_count(table) > 1)
		return -EIO;
	return marks->boot_files ? choose(choice, entry, PART_BOOT_FILES) : 0;
}

int part_choose_boot(struct source *source, const struct part_table *table, struct part_choice *choice)
{
	const struct part_entry *first_fat = NULL;
	bool unreadable = false;

	*choice = (struct part_choice){ 0 };
	for (size_t i = 0; i < table->count && !choice->entry; i++) {
		const struct part_entry *entry = &table->entries[i];
		struct marks marks;
		int result;

		if (!entry->is_fat)
			continue;
		if (!first_fat)
			first_fat = entry;
		result = read_marks(source, entry, &marks);
		if (result < 0 && result != -EIO && result != -EINVAL)
			return result;
		unreadable = unreadable || result < 0;
		if (!marks.boot_files && !(marks.has_autoboot && !choice->autoboot))
			continue;
		/* An A/B image whose A is torn must not be taken for B. The only FAT is chosen in any case. */
		if (unreadable && part_table_fat_count(table) > 1)
			return -EIO;
		result = choose_by_marks(table, entry, &marks, choice);
		if (result < 0)
			return result;
	}
	if (!first_fat)
		return -ENODATA;
	return choice->entry ? 0 : choose(choice, first_fat, PART_BOOT_FIRST_FAT);
}
