/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fat/ against volumes that others made: mkfs.fat makes them, mtools fills
 * them, and every byte must come back.
 */
#include <criterion/criterion.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fat/fat.h"

/* A shell command in the scratch directory; the tools of root are in /sbin. */
static int __attribute__((format(printf, 2, 3))) run(const char *scratch, const char *format, ...)
{
	char command[2048], whole[4096];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	snprintf(whole, sizeof(whole),
		 "cd '%s' && export PATH=\"$PATH:/usr/sbin:/sbin\" LC_ALL=C.UTF-8 MTOOLS_SKIP_CHECK=1 TZ=UTC "
		 "&& { %s; } >log 2>&1",
		 scratch, command);
	return system(whole);
}

static void must_run(const char *scratch, const char *command)
{
	if (run(scratch, "%s", command) != 0) {
		char show_log[PATH_MAX + 16];

		snprintf(show_log, sizeof(show_log), "cat '%s/log' >&2", scratch);
		cr_assert_fail("%s: %d", command, system(show_log));
	}
}

static char *scratch_directory(void)
{
	static char scratch[PATH_MAX];
	const char *parent = getenv("TMPDIR");

	snprintf(scratch, sizeof(scratch), "%s/imagefs-fat-XXXXXX", parent ? parent : "/tmp");
	cr_assert_not_null(mkdtemp(scratch));
	return scratch;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

static void require_tools(void)
{
	if (run("/", "command -v mkfs.fat && command -v mcopy && command -v mmd") != 0)
		cr_skip_test("mkfs.fat and mtools are not installed");
}

struct loaded {
	unsigned char *bytes;
	size_t size;
};

static struct loaded load(const char *directory, const char *name)
{
	struct loaded loaded = { 0 };
	char path[2 * PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", directory, name);

	FILE *file = fopen(path, "rb");

	cr_assert(file && fstat(fileno(file), &st) == 0, "%s", path);
	loaded.size = (size_t)st.st_size;
	loaded.bytes = malloc(loaded.size + 1);
	cr_assert_eq(fread(loaded.bytes, 1, loaded.size, file), loaded.size);
	fclose(file);
	return loaded;
}

static void read_file(const struct fat_volume *volume, struct source *source, const struct fat_entry *entry,
		      unsigned char *out)
{
	struct fat_extents extents;
	uint64_t volume_offset, run_bytes;
	struct fat_cursor cursor = { 0 };

	cr_assert_eq(fat_extents_of_file(volume, source, entry->first_cluster, entry->size_bytes, &extents),
		     0);
	for (uint64_t done = 0; done < entry->size_bytes; done += run_bytes) {
		cr_assert(fat_extents_map(volume, &extents, done, &cursor, &volume_offset, &run_bytes));
		run_bytes = min_u64(run_bytes, entry->size_bytes - done);
		cr_assert_eq(source_read(source, volume_offset, out + done, run_bytes), 0);
	}
	fat_extents_free(&extents);
}

/* Compare the directory that starts at `cluster` with the host's `path`; returns the files in it. */
static size_t compare_tree(const struct fat_volume *volume, struct source *source, uint32_t cluster,
			   const char *path)
{
	struct fat_dir *dir;
	size_t files = 0;

	cr_assert_eq(fat_dir_read(volume, source, cluster, &dir), 0);
	for (size_t i = 0; i < fat_dir_count(dir); i++) {
		const struct fat_entry *entry = fat_dir_entry(dir, i);
		char below[PATH_MAX];

		cr_assert_eq(fat_dir_find(dir, entry->name), (long)i);
		cr_assert_eq(fat_dir_find(dir, entry->short_name), (long)i);
		if (entry->attributes & FAT_ATTR_DIRECTORY) {
			snprintf(below, sizeof(below), "%s/%s", path, entry->name);
			files += compare_tree(volume, source, entry->first_cluster, below);
			continue;
		}

		struct loaded expected = load(path, entry->name);
		unsigned char *bytes = malloc(entry->size_bytes + 1);

		cr_assert_eq(entry->size_bytes, expected.size, "%s/%s", path, entry->name);
		read_file(volume, source, entry, bytes);
		cr_assert_eq(memcmp(bytes, expected.bytes, expected.size), 0, "%s/%s", path, entry->name);
		cr_assert_eq(fat_entry_times(entry, 0).modified.tv_sec, 1700000000);
		free(bytes);
		free(expected.bytes);
		files++;
	}
	fat_dir_free(dir);
	return files;
}

/* Files of many sizes and names, below tree/. */
static void make_tree(const char *scratch)
{
	must_run(scratch,
		 "mkdir -p tree/overlays/deep tree/empty-directory && cd tree &&"
		 " printf 'arm_64bit=1\\n' >config.txt && : >empty.bin && printf x >X &&"
		 " head -c 300000 /dev/urandom >start4.elf && head -c 65536 /dev/urandom >exact.64k &&"
		 " head -c 511 /dev/urandom >overlays/vc4-kms-v3d.dtbo &&"
		 " head -c 512 /dev/urandom >overlays/README &&"
		 " head -c 513 /dev/urandom >'overlays/deep/\xC3\xBCml\xC3\xA4ut \xE2\x82\xAC.txt' &&"
		 " head -c 70000 /dev/urandom >\"overlays/deep/$(printf 'n%.0s' $(seq 200))\" &&"
		 " for i in $(seq 60); do printf $i >overlays/file-with-a-long-name-$i.dtbo; done &&"
		 " find . -type f -exec touch -d @1700000000 {} +");
}

static void compare_image(const char *scratch, const char *what)
{
	struct loaded image = load(scratch, "image");
	struct source_memory memory = source_memory_of(image.bytes, image.size);
	char tree[PATH_MAX + 8];
	struct fat_volume volume;

	snprintf(tree, sizeof(tree), "%s/tree", scratch);
	cr_assert_eq(fat_volume_read(&memory.source, &volume), 0, "%s", what);
	cr_assert_str_eq(volume.label, "BOOTFS");
	cr_assert_eq(volume.volume_id, 0x12345678);
	cr_assert_not(volume.dirty);
	cr_assert_eq(compare_tree(&volume, &memory.source, 0, tree), 69, "%s", what);
	free(image.bytes);
}

static void fill_and_compare(const char *scratch, const char *megabytes, const char *mkfs_options)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "rm -f image && truncate -s %s image && mkfs.fat -n BOOTFS -i 12345678 %s image", megabytes,
		 mkfs_options);
	must_run(scratch, command);
	must_run(scratch, "mcopy -s -m -i image tree/* ::");
	compare_image(scratch, mkfs_options);
}

Test(fat_real, what_mtools_writes_comes_back_from_every_kind_of_volume)
{
	static const char *const kinds[][2] = {
		{ "1440K", "-F 12" },
		{ "4M", "-F 12 -s 4" },
		{ "8M", "-F 12 -s 128" },
		{ "16M", "-F 16" },
		{ "300M", "-F 16 -s 128" },
		{ "64M", "-F 16 -S 4096" },
		{ "64M", "-F 32 -s 1" },
		{ "300M", "-F 32 -s 8" },
		{ "40M", "-F 32 -s 1 -f 1 -R 40" },
		{ "300M", "-F 32 -S 4096 -s 1" },
		{ "70M", "-F 32 -S 1024 -s 1 -a" },
	};
	require_tools();

	char *scratch = scratch_directory();

	make_tree(scratch);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		fill_and_compare(scratch, kinds[i][0], kinds[i][1]);
	nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

Test(fat_real, fragmented_files_come_back)
{
	require_tools();

	char *scratch = scratch_directory();

	make_tree(scratch);
	must_run(scratch, "truncate -s 1440K image && mkfs.fat -n BOOTFS -i 12345678 -F 12 -s 1 image");
	/* Fill it with one-cluster files, delete every other one, so that the tree has only holes to go to.
	 */
	must_run(scratch, "head -c 500 /dev/zero >pad && mmd -i image ::pads &&"
			  " for i in $(seq 1000); do ln pad pad$i; done && mcopy -i image pad? pad?? pad??? "
			  "pad???? ::pads &&"
			  " mdel -i image '::pads/pad*[13579]'");
	must_run(scratch, "mcopy -s -m -i image tree/* :: && mdeltree -i image ::pads");
	compare_image(scratch, "fragmented");
	nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
