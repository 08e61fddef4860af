/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images for the tests of part/; see part_image.h. */
#include "part_image.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int image_read(struct source *self, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	struct image *image = (struct image *)self;

	image->read_count++;
	if (length_bytes > image->longest_read_bytes)
		image->longest_read_bytes = length_bytes;
	if (image->fail_with && offset_bytes <= image->fail_offset_bytes &&
	    image->fail_offset_bytes - offset_bytes < length_bytes)
		return image->fail_with;
	return pread(image->fd, buffer, length_bytes, (off_t)offset_bytes) == (ssize_t)length_bytes ? 0
												    : -EIO;
}

static void run(const struct image *image, const char *script)
{
	char command[4096];
	int length = snprintf(command, sizeof(command),
			      "exec >'%s/log' 2>&1; PATH=$PATH:/usr/sbin:/sbin; I='%s/image'; set -ex; %s",
			      image->dir, image->dir, script);

	cr_assert(length > 0 && (size_t)length < sizeof(command));
	cr_assert_eq(system(command), 0, "%s (see %s/log)", script, image->dir);
}

struct image *image_make(uint64_t size_bytes, const char *script)
{
	struct image *image = calloc(1, sizeof(*image));
	char path[128];

	cr_assert(image);
	strcpy(image->dir, "/tmp/imagefs-part-XXXXXX");
	cr_assert(mkdtemp(image->dir));
	snprintf(path, sizeof(path), "%s/image", image->dir);
	image->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert(image->fd >= 0);
	image_resize(image, size_bytes);
	if (script)
		run(image, script);
	image_resize(image, size_bytes);
	image->source.read = image_read;
	return image;
}

void image_free(struct image *image)
{
	char command[128];

	close(image->fd);
	snprintf(command, sizeof(command), "rm -rf '%s'", image->dir);
	cr_assert_eq(system(command), 0);
	free(image);
}

void cleanup_free_image(struct image **image)
{
	image_free(*image);
}

void image_write(struct image *image, uint64_t offset_bytes, const void *bytes, size_t length_bytes)
{
	cr_assert_eq(pwrite(image->fd, bytes, length_bytes, (off_t)offset_bytes), (ssize_t)length_bytes);
}

void image_zero(struct image *image, uint64_t offset_bytes, size_t length_bytes)
{
	void *zeroes = calloc(1, length_bytes);

	cr_assert(zeroes);
	image_write(image, offset_bytes, zeroes, length_bytes);
	free(zeroes);
}

void image_resize(struct image *image, uint64_t size_bytes)
{
	cr_assert_eq(ftruncate(image->fd, (off_t)size_bytes), 0);
	image->source.size_bytes = size_bytes;
}

void image_put_fat(struct image *image, uint64_t offset_bytes, uint64_t length_bytes)
{
	char script[256];

	snprintf(script, sizeof(script),
		 "truncate -s %" PRIu64 " $I.fat; mkfs.fat $I.fat; "
		 "dd if=$I.fat of=$I bs=64K seek=%" PRIu64 " oflag=seek_bytes conv=notrunc,sparse; rm $I.fat",
		 length_bytes, offset_bytes);
	run(image, script);
}

void image_put_entry(struct image *image, uint64_t offset_bytes, unsigned index, unsigned char type,
		     uint32_t start, uint32_t length)
{
	unsigned char entry[MBR_ENTRY_BYTES] = { 0 };
	unsigned char signature[2] = { 0x55, 0xaa };

	entry[MBR_ENTRY_TYPE] = type;
	put_le32(entry + MBR_ENTRY_START, start);
	put_le32(entry + MBR_ENTRY_LENGTH, length);
	image_write(image, offset_bytes + MBR_ENTRIES + index * MBR_ENTRY_BYTES, entry, sizeof(entry));
	image_write(image, offset_bytes + MBR_SIGNATURE, signature, sizeof(signature));
}

/* ---- GPT by hand ---------------------------------------------------------- */

static uint32_t crc32_of(const unsigned char *bytes, size_t length)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

struct gpt_plan gpt_plan_of(const struct image *image, uint32_t sector_bytes)
{
	uint64_t last = image->source.size_bytes / sector_bytes - 1;
	uint64_t array = 128 * GPT_ENTRY_BYTES / sector_bytes;

	return (struct gpt_plan){
		.sector_bytes = sector_bytes,
		.header_lba = 1,
		.alternate_lba = last,
		.entries_lba = 2,
		.first_usable_lba = 2 + array,
		.last_usable_lba = last - array - 1,
		.entry_count = 128,
		.entry_size = GPT_ENTRY_BYTES,
	};
}

void image_put_gpt(struct image *image, const struct gpt_plan *plan)
{
	unsigned char header[92] = GPT_SIGNATURE_VALUE "\0\0\1\0";
	unsigned char array[128 * GPT_ENTRY_BYTES] = { 0 };
	uint64_t array_bytes = (uint64_t)plan->entry_count * plan->entry_size;

	for (size_t i = 0; i < 4; i++) {
		unsigned char *entry = array + i * GPT_ENTRY_BYTES;

		if (plan->ranges[i].first_lba == 0)
			continue;
		memset(entry, (int)i + 1, 32); /* type and identity: not zero is all that counts */
		put_le64(entry + 32, plan->ranges[i].first_lba);
		put_le64(entry + 40, plan->ranges[i].last_lba);
	}
	put_le32(header + 12, sizeof(header));
	put_le64(header + 24, plan->header_lba);
	put_le64(header + GPT_ALTERNATE_LBA, plan->alternate_lba);
	put_le64(header + 40, plan->first_usable_lba);
	put_le64(header + GPT_LAST_USABLE_LBA, plan->last_usable_lba);
	put_le64(header + GPT_ENTRIES_LBA, plan->entries_lba);
	put_le32(header + GPT_ENTRY_COUNT, plan->entry_count);
	put_le32(header + GPT_ENTRY_SIZE, plan->entry_size);
	put_le32(header + 88, crc32_of(array, array_bytes < sizeof(array) ? array_bytes : sizeof(array)));
	put_le32(header + 16, crc32_of(header, sizeof(header)));
	image_write(image, plan->header_lba * plan->sector_bytes, header, sizeof(header));
	if (plan->entries_lba < image->source.size_bytes / plan->sector_bytes)
		image_write(image, plan->entries_lba * plan->sector_bytes, array, sizeof(array));
}

void image_put_protective_mbr(struct image *image)
{
	image_put_entry(image, 0, 0, MBR_TYPE_PROTECTIVE, 1, UINT32_MAX);
}

/* ---- asserting -------------------------------------------------------------- */

struct text {
	char bytes[8192];
	size_t length;
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *text, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int length =
		vsnprintf(text->bytes + text->length, sizeof(text->bytes) - text->length, format, arguments);
	va_end(arguments);
	cr_assert(length >= 0 && text->length + (size_t)length < sizeof(text->bytes));
	text->length += (size_t)length;
}

/* In MiB, or in bytes with a B where it is no round number of them. */
static void text_add_size(struct text *text, uint64_t bytes)
{
	if (bytes % MIB == 0)
		text_add(text, "%" PRIu64, bytes / MIB);
	else
		text_add(text, "%" PRIu64 "B", bytes);
}

static void text_of_table(struct text *text, const struct part_table *table)
{
	static const char *const schemes[] = { "NONE", "MBR", "GPT" };

	text_add(text, "%s %" PRIu32, schemes[table->scheme], table->sector_bytes);
	for (size_t i = 0; i < table->count; i++) {
		const struct part_entry *entry = &table->entries[i];

		text_add(text, "%s %u ", i == 0 ? ":" : ",", entry->number);
		text_add_size(text, entry->offset_bytes);
		text_add(text, "+");
		text_add_size(text, entry->length_bytes);
		text_add(text, "%s", entry->is_fat ? " fat" : "");
	}
}

void expect_table_hint(struct image *image, uint32_t sector_bytes_hint, const char *expected)
{
	struct part_table *table = NULL;
	struct text text = { 0 };
	int result = part_table_read(&image->source, sector_bytes_hint, &table);

	if (result == 0)
		text_of_table(&text, table);
	else
		text_add(&text, "%s", strerrorname_np(-result));
	cr_expect_str_eq(text.bytes, expected);
	cr_expect((result == 0) == (table != NULL));
	free(table);
}

void expect_table(struct image *image, const char *expected)
{
	expect_table_hint(image, 0, expected);
}
