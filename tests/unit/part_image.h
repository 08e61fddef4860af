/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images for the tests of part/: made by the tools that make them in the field,
 * or by hand where no tool makes what is wanted, in a directory that is gone
 * when the test is. And a source over them that counts, and fails on request.
 */
#pragma once

#include <stdint.h>

#include "base/bytes.h"
#include "base/source.h"
#include "part/ondisk.h"
#include "part/part.h"

#define MIB ((uint64_t)1 << 20)

struct image {
	struct source source; /* first, so that an image is a source */
	int fd;
	char dir[64];
	unsigned read_count;
	size_t longest_read_bytes;
	uint64_t fail_offset_bytes; /* a read that touches this byte ... */
	int fail_with;		    /* ... answers this, unless it is 0 */
};

/* Run `script` (sh -e) with $I naming a sparse image of that size, and open what it made. */
struct image *image_make(uint64_t size_bytes, const char *script);
void image_free(struct image *image);
void cleanup_free_image(struct image **image);
#define IMAGE __attribute__((cleanup(cleanup_free_image))) struct image *

void image_write(struct image *image, uint64_t offset_bytes, const void *bytes, size_t length_bytes);
void image_zero(struct image *image, uint64_t offset_bytes, size_t length_bytes);
void image_resize(struct image *image, uint64_t size_bytes);

/* A small FAT at a place, by mkfs.fat; its boot sector alone is enough for part_table_read. */
void image_put_fat(struct image *image, uint64_t offset_bytes, uint64_t length_bytes);

/* One entry of an MBR or EBR at `offset_bytes`, which gets its signature. */
void image_put_entry(struct image *image, uint64_t offset_bytes, unsigned index, unsigned char type,
		     uint32_t start, uint32_t length);

/* ---- GPT by hand: what sgdisk can't make, with good check sums --------------- */

struct gpt_range {
	uint64_t first_lba;
	uint64_t last_lba;
};

struct gpt_plan {
	uint32_t sector_bytes;
	uint64_t header_lba, alternate_lba, entries_lba;
	uint64_t first_usable_lba, last_usable_lba;
	uint32_t entry_count, entry_size; /* as the header says; 128 entries are written at most */
	struct gpt_range ranges[4];	  /* all zeroes: an unused entry */
};

/* What mkfs-like tools make of an image of this size, without partitions. */
struct gpt_plan gpt_plan_of(const struct image *image, uint32_t sector_bytes);
void image_put_gpt(struct image *image, const struct gpt_plan *plan);
void image_put_protective_mbr(struct image *image);

/* ---- asserting ---------------------------------------------------------------- */

/* Read the table and check all of it: "MBR 512: 1 1+32 fat, 5 64+8" (number, MiB + MiB); or "EIO", "ENODATA".
 */
void expect_table(struct image *image, const char *expected);
void expect_table_hint(struct image *image, uint32_t sector_bytes_hint, const char *expected);
