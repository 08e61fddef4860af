/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * part: which partitions an image has, and which of them a Pi boots from.
 *
 * The table is judged by libblkid, but libblkid never sees the image: part/
 * first walks the table itself through the source, with every step bounded and
 * checked, and copies only the sectors it visited into a sparse memory file of
 * the image's size; libblkid probes that skeleton. So it reads one moment of
 * the table, cannot be led in circles, needs no descriptor of the image (on
 * block devices only O_DIRECT reads are coherent, which libblkid does not do),
 * and the source can record exactly which sectors the answer rests on.
 *
 * Errors, in every function that returns int: 0, or
 *   -ENODATA  neither a partition table nor a FAT: not an image
 *   -EIO      a table is there and cannot be believed, or bytes are missing
 *   -ENOMEM   no memory
 *   any other negative value: what the source's read returned (-EAGAIN).
 * Not for a hot path: allocate, parse, keep the result.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/source.h"

enum part_scheme {
	PART_SCHEME_NONE, /* no table: the image is one FAT */
	PART_SCHEME_MBR,
	PART_SCHEME_GPT,
};

struct part_entry {
	unsigned number;       /* the kernel's: logical partitions from 5; 0 for an unpartitioned FAT */
	uint64_t offset_bytes; /* in the image */
	uint64_t length_bytes; /* cut at the end of the image; never 0 */
	bool is_fat;	       /* by content: fat_volume_read accepts its first sector */
};

/* At most this many entries are kept (GPT's usual 128, MBR's 4 + libblkid's 100 logical). */
#define PART_ENTRIES_MAX 256

struct part_table {
	enum part_scheme scheme;
	uint32_t sector_bytes; /* 512 or 4096: the unit of the table */
	size_t count;
	struct part_entry entries[]; /* ascending number */
};

/*
 * Read the table of `source`. `sector_bytes_hint` is the logical sector size of
 * the device, or 0 for a file: then 512 is tried before 4096. Extended
 * containers are not entries. *table is owned by the caller; free() it.
 * Reads the first 4 KiB, the GPT's headers and entries, each EBR (at most 100),
 * and the first sector of each partition.
 */
int part_table_read(struct source *source, uint32_t sector_bytes_hint, struct part_table **table);

bool part_table_equal(const struct part_table *a, const struct part_table *b);

/* The entry with that number, or NULL. Borrowed from the table. */
const struct part_entry *part_table_find(const struct part_table *table, unsigned number);

size_t part_table_fat_count(const struct part_table *table);

/* Why a partition was chosen; for the log and for status. */
enum part_boot_reason {
	PART_BOOT_FILES,     /* the first FAT that holds a Pi's boot files */
	PART_BOOT_FIRST_FAT, /* none does: the first FAT */
	PART_BOOT_AUTOBOOT,  /* autoboot.txt of an earlier FAT, or of this one, names it */
};

/* "boot files", "first FAT", "autoboot.txt": constant. */
const char *part_boot_reason_text(enum part_boot_reason reason);

/* Numbers are those of the table's entries. */
struct part_choice {
	const struct part_entry *entry; /* borrowed from the table; NULL: none could be chosen */
	enum part_boot_reason reason;
	unsigned autoboot; /* whose autoboot.txt counts; 0: there is none */
	unsigned named;	   /* the partition that it names, in the table or not; 0: none */
	unsigned tryboot;  /* what it names for the tryboot flag, where that is another; 0: none */
};

/*
 * CONTRACT N4: the boot partition of an image, by content: what autoboot.txt
 * names, as the firmware reads it, else the first FAT with boot files, else the
 * first FAT. *choice is overwritten. -ENODATA when no partition is a FAT. -EIO when
 * a FAT before the one with boot files or autoboot.txt cannot be read (it may be the
 * one, half way through an update), when autoboot.txt itself cannot be, or when it
 * names a partition that holds no FAT (choice->named, entry NULL) and several
 * others do. Other errors of the source end the search and are returned.
 */
int part_choose_boot(struct source *source, const struct part_table *table, struct part_choice *choice);

/* Does a root directory entry of that name mark a Pi's boot partition? (ASCII case folded) */
bool part_is_boot_file_name(const char *name);
