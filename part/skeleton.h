/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * skeleton: the sectors of an image that make up its partition table, and
 * nothing else, in a sparse memory file that libblkid can probe. Private to
 * part/.
 *
 * skeleton.c walks the table and fills it, judge.c asks libblkid about it, and
 * table.c decides which skeletons to make and what to believe.
 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/source.h"
#include "part/ondisk.h"
#include "part/part.h"

/* Links followed in all chains of EBRs together. Linux and libblkid stop after as many empty ones. */
#define EBR_LINKS_MAX 100

/* GPT arrays larger than this are refused: 8192 entries, where Linux can number 255. */
#define GPT_ARRAY_BYTES_MAX ((uint64_t)1 << 20)

#define SKELETON_SEEN_MAX (MBR_ENTRY_COUNT * (1 + EBR_LINKS_MAX))

/* A partition, in units of 512 bytes. */
struct part_range {
	unsigned number; /* 0: a logical partition whose number is not known yet */
	uint64_t start;
	uint64_t length;
};

struct skeleton {
	int fd;		       /* the memory file; -1 before and after */
	uint64_t size_bytes;   /* how large libblkid is to believe the disk */
	uint32_t sector_bytes; /* 512 or 4096 */

	/* MBR: each partition the walk met, and the start libblkid, which adds in 32 bits, will say. */
	unsigned seen_count;
	struct {
		struct part_range range;
		uint32_t told_start;
	} seen[SKELETON_SEEN_MAX];
};

static inline void skeleton_close(struct skeleton *skeleton)
{
	if (skeleton->fd >= 0)
		close(skeleton->fd);
	skeleton->fd = -1;
}

/* A skeleton that ends with its block. */
#define SKELETON_SCOPE(name)                          \
	CLEANUP(skeleton_close) struct skeleton name; \
	name.fd = -1

/* ---- what sector 0 says about itself; `mbr` is MBR_BYTES long (skeleton.c) ---- */

/* 55AA, and boot indicators that Linux would accept. */
bool mbr_is_table(const unsigned char *mbr);

enum mbr_gpt {
	MBR_NO_GPT,
	MBR_PROTECTS_GPT,  /* 55AA and an entry of type 0xEE at sector 1: Linux looks for a GPT only then */
	MBR_GPT_ELSEWHERE, /* 55AA and one at another sector: for Linux neither a GPT nor an MBR */
};

/* By block/partitions/efi.c (pmbr_part_valid) and msdos.c, which leaves the disk alone for any entry of that type. */
enum mbr_gpt mbr_speaks_of_gpt(const unsigned char *mbr);

/* No entry at all, and a jump over what describes a file system: "EB xx 90" or "E9 xx xx" (fatgen103, BS_jmpBoot). */
bool boot_is_of_volume(const unsigned char *boot);

/* mbr_is_table, and at least one entry begins inside the image but not at its first sector. */
bool mbr_has_partitions(const unsigned char *mbr, uint64_t size_bytes);

/* mbr_is_table, and at least one entry begins at the image's first sector. */
bool mbr_has_whole_disk(const unsigned char *mbr);

/* ---- making one (skeleton.c) -------------------------------------------------- */

/*
 * The MBR and its EBRs. `hide_boot_code` leaves the first 440 bytes out, so
 * that libblkid can't take what is left of a FAT there for the better answer.
 */
int skeleton_of_mbr(struct source *source, uint32_t sector_bytes, bool hide_boot_code,
		    struct skeleton *skeleton);

enum gpt_copy {
	GPT_COPY_PRIMARY, /* sector 1 */
	GPT_COPY_LAST,	  /* the image's last sector: where the backup belongs */
	GPT_COPY_NAMED,	  /* where the primary says the backup is: the image grew since */
};

/* The protective MBR and one copy of the GPT; -ENODATA when that copy is not there. */
int skeleton_of_gpt(struct source *source, uint32_t sector_bytes, enum gpt_copy copy,
		    struct skeleton *skeleton);

/* ---- asking libblkid (judge.c) ------------------------------------------------ */

struct verdict {
	size_t count;
	struct part_range ranges[PART_ENTRIES_MAX]; /* ascending number */
};

/*
 * The partitions libblkid finds, those left out that it can't have from the
 * skeleton. -ENODATA when it finds no table of that scheme.
 */
int skeleton_judge(const struct skeleton *skeleton, enum part_scheme scheme, struct verdict *verdict);
