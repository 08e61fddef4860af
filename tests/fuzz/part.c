/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz part/: partition tables of images of any size, and the choice among
 * their partitions.
 *
 * The input describes a sparse image, so that a few hundred bytes reach an EBR
 * in its middle and the backup GPT at its end (part_pack.py makes such inputs
 * of images; all numbers little-endian):
 *
 *   u8   0x01: the hint is 4096
 *   u8   which read of the source fails with -EAGAIN, in a second run
 *   u64  the image's size in bytes; taken modulo 2^62
 *   then records, until the input ends, a later one over an earlier:
 *   u8   0x01: the sector counts backwards from the end of the image
 *        0x02: this is a GPT header: give it, and its array, good check sums
 *   u32  sector, of 512 bytes
 *   u16  length
 *   the bytes; cut at the end of the input
 *
 * Check sums are repaired because no fuzzer guesses them: without that, nothing
 * behind them would be tried.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/source.h"
#include "part/ondisk.h"
#include "part/part.h"

#define RECORDS_MAX 512
#define ARRAY_BYTES_MAX (64 * 1024) /* more is left without a good check sum */

#define REQUIRE(condition)                                                                \
	do {                                                                              \
		if (!(condition)) {                                                       \
			fprintf(stderr, "line %d: not true: %s\n", __LINE__, #condition); \
			abort();                                                          \
		}                                                                         \
	} while (0)

struct record {
	uint64_t offset_bytes;
	size_t length_bytes;
	unsigned char *bytes; /* in the copy of the input */
	bool is_gpt_header;
};

struct image {
	struct source source; /* first, so that an image is a source */
	unsigned read_count;
	unsigned failing_read; /* this one answers -EAGAIN; 0: none */
	size_t record_count;
	struct record records[RECORDS_MAX];
};

/* Lay the part of a record that touches the range over it. */
static void overlay(const struct record *record, uint64_t offset_bytes, unsigned char *buffer,
		    size_t length_bytes)
{
	uint64_t from = max_u64(offset_bytes, record->offset_bytes);
	uint64_t to = min_u64(offset_bytes + length_bytes, record->offset_bytes + record->length_bytes);

	if (from < to)
		memcpy(buffer + (from - offset_bytes), record->bytes + (from - record->offset_bytes),
		       to - from);
}

static void image_fill(const struct image *image, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	memset(buffer, 0, length_bytes);
	for (size_t i = 0; i < image->record_count; i++)
		overlay(&image->records[i], offset_bytes, buffer, length_bytes);
}

static int image_read(struct source *self, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	struct image *image = (struct image *)self;

	REQUIRE(range_within(offset_bytes, length_bytes, self->size_bytes));
	if (++image->read_count == image->failing_read)
		return -EAGAIN;
	image_fill(image, offset_bytes, buffer, length_bytes);
	return 0;
}

static uint32_t crc32_of(const unsigned char *bytes, size_t length)
{
	static uint32_t table[256];
	uint32_t crc = 0xffffffff;

	for (uint32_t i = 0; i < 256 && table[255] == 0; i++) {
		uint32_t value = i;

		for (int bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
		table[i] = value;
	}
	for (size_t i = 0; i < length; i++)
		crc = table[(crc ^ bytes[i]) & 0xff] ^ crc >> 8;
	return ~crc;
}

/* Offsets of what only this fuzzer and libblkid need to know. */
#define GPT_HEADER_BYTES 12
#define GPT_HEADER_CRC 16
#define GPT_MY_LBA 24
#define GPT_ARRAY_CRC 88

static void repair(struct image *image, struct record *record)
{
	static unsigned char array[ARRAY_BYTES_MAX];
	unsigned char *header = record->bytes;
	uint64_t array_bytes, array_offset, lba;
	uint32_t header_bytes = get_le32(header + GPT_HEADER_BYTES);

	if (header_bytes > record->length_bytes || header_bytes < GPT_ARRAY_CRC + 4)
		return;
	lba = get_le64(header + GPT_MY_LBA);
	array_bytes = (uint64_t)get_le32(header + GPT_ENTRY_COUNT) * get_le32(header + GPT_ENTRY_SIZE);
	/* The header's own place says how large the sectors are. */
	if (mul_u64(get_le64(header + GPT_ENTRIES_LBA), lba ? record->offset_bytes / lba : 512,
		    &array_offset) &&
	    array_bytes <= sizeof(array) &&
	    range_within(array_offset, array_bytes, image->source.size_bytes)) {
		image_fill(image, array_offset, array, array_bytes);
		put_le32(header + GPT_ARRAY_CRC, crc32_of(array, array_bytes));
	}
	put_le32(header + GPT_HEADER_CRC, 0);
	put_le32(header + GPT_HEADER_CRC, crc32_of(header, header_bytes));
}

/* Bounded by RECORDS_MAX. Records outside the image are kept; no read reaches them. */
static void image_expand(struct image *image, unsigned char *input, size_t size)
{
	while (size >= 7 && image->record_count < RECORDS_MAX) {
		struct record *record = &image->records[image->record_count++];
		uint64_t distance = (uint64_t)get_le32(input + 1) * UNIT_BYTES;

		record->offset_bytes = distance;
		if (input[0] & 1)
			record->offset_bytes =
				image->source.size_bytes - min_u64(distance, image->source.size_bytes);
		record->length_bytes = get_le16(input + 5);
		record->is_gpt_header = input[0] & 2;
		input += 7;
		size -= 7;
		record->length_bytes = (size_t)min_u64(record->length_bytes, size);
		record->bytes = input;
		input += record->length_bytes;
		size -= record->length_bytes;
	}
	for (size_t i = 0; i < image->record_count; i++)
		if (image->records[i].is_gpt_header && image->records[i].length_bytes >= GPT_HEADER_BYTES + 4)
			repair(image, &image->records[i]);
}

static void check_table(const struct image *image, const struct part_table *table)
{
	size_t fat_count = 0;

	REQUIRE(table->sector_bytes == 512 || table->sector_bytes == 4096);
	REQUIRE(table->count <= PART_ENTRIES_MAX);
	for (size_t i = 0; i < table->count; i++) {
		const struct part_entry *entry = &table->entries[i];

		REQUIRE(entry->length_bytes > 0);
		REQUIRE(range_within(entry->offset_bytes, entry->length_bytes, image->source.size_bytes));
		REQUIRE(i == 0 || entry->number > entry[-1].number);
		REQUIRE((entry->number == 0) == (table->scheme == PART_SCHEME_NONE));
		REQUIRE(part_table_find(table, entry->number) == entry);
		fat_count += entry->is_fat;
	}
	REQUIRE(table->scheme != PART_SCHEME_NONE || (table->count == 1 && fat_count == 1));
	REQUIRE(part_table_fat_count(table) == fat_count);
}

static void check_choice(struct image *image, const struct part_table *table)
{
	size_t fat_count = part_table_fat_count(table);
	struct part_choice choice;
	int result = part_choose_boot(&image->source, table, &choice);

	/* Of several one may not be known. */
	REQUIRE(fat_count > 0 ? result == 0 || (result == -EIO && fat_count > 1) : result == -ENODATA);
	REQUIRE((result == 0) == (choice.entry != NULL));
	REQUIRE(!choice.entry || (choice.entry->is_fat && part_table_find(table, choice.entry->number) == choice.entry));
	REQUIRE(choice.entry && choice.reason == PART_BOOT_AUTOBOOT ? choice.entry->number == choice.named : true);
	REQUIRE(choice.named == 0 || choice.autoboot == 0 || part_table_find(table, choice.autoboot)->is_fat);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct image image;
	struct part_table *table = NULL, *again = NULL;

	if (size < 10)
		return 0;
	unsigned char *input = malloc(size);
	REQUIRE(input);
	memcpy(input, data, size);
	image = (struct image){
		.source = { .read = image_read,
			    .size_bytes = get_le64(input + 2) & (((uint64_t)1 << 62) - 1) },
	};
	image_expand(&image, input + 10, size - 10);

	uint32_t hint = input[0] & 1 ? 4096 : 0;
	int result = part_table_read(&image.source, hint, &table);
	unsigned read_count = image.read_count;

	/* Nor -ENOMEM: nothing an image says makes a call ask for much, or keep a descriptor. */
	REQUIRE(result == 0 || result == -EIO || result == -ENODATA);
	REQUIRE((result == 0) == (table != NULL));
	/* Head, and for two sector sizes: links, partitions, and for each GPT copy header and array. */
	REQUIRE(read_count <= 1 + 2 * (100 + PART_ENTRIES_MAX + 4 * 2));

	image.read_count = 0;
	image.failing_read = 1 + input[1];
	int second = part_table_read(&image.source, hint, &again);
	REQUIRE(second == (image.failing_read <= read_count ? -EAGAIN : result));
	REQUIRE(!again || part_table_equal(table, again));
	image.failing_read = 0;

	if (result == 0) {
		check_table(&image, table);
		check_choice(&image, table);
	}
	free(table);
	free(again);
	free(input);
	return 0;
}
