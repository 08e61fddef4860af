/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names: what can be one, which are the same, and long ones put together from
 * their slots. Internal to fat/.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fat/fat.h"
#include "fat/ondisk.h"

/* Longer than a name, so that a name and its NUL fit. */
#define FAT_NAME_BUFFER_BYTES (FAT_NAME_BYTES_MAX + 1)

/* ---- fat/name.c ---- */

/* ASCII upper case to lower, all else as it is, whatever the locale. */
static inline unsigned char fat_fold_ascii(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

/*
 * Length of the part of a name that is compared: without trailing dots, which
 * Linux vfat drops from every name it is asked for.
 */
size_t fat_name_compared_length(const char *name, size_t length);

/*
 * Can it be a file name? Not if it has a '/' or NUL, or is nothing but dots:
 * "." and ".." mean something else, and no lookup could reach the rest.
 */
bool fat_name_is_usable(const char *name, size_t length);

/*
 * A volume's label, of a boot sector or a root directory, for people: without its
 * padding, by code page 437 as short names; a control character becomes '?', a NUL ends it.
 */
void fat_label_decode(const unsigned char label[BS_VOL_LAB_BYTES], char out[FAT_LABEL_BYTES]);

/* Write a code point that is no surrogate as UTF-8: 1 to 4 bytes, returned. */
size_t fat_utf8_put(uint32_t code_point, char *out);

/* ---- fat/long_name.c ---- */

/* A long name on its way: slots seen so far, in disk order. */
struct fat_long_name {
	uint16_t units[LDIR_ORD_MAX * LDIR_UNITS];
	unsigned slot_count;	/* of the whole name; 0: no name is on its way */
	unsigned slots_missing; /* slots still to come before the short entry */
	uint8_t checksum;	/* of that short entry's name */
};

void fat_long_name_forget(struct fat_long_name *name);

/* Take the next slot (32 bytes whose attribute is LDIR_ATTR). One out of order makes the name forgotten. */
void fat_long_name_add(struct fat_long_name *name, const unsigned char *slot);

/*
 * The long name of the live short entry `raw`, which follows the slots added,
 * as UTF-8 with a NUL. `out` holds FAT_NAME_BUFFER_BYTES. Returns its length, or
 * 0 when there is none for this entry or it cannot be a file name.
 */
size_t fat_long_name_decode(const struct fat_long_name *name, const unsigned char *raw, char *out);
