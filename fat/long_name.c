/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Long names: slots before a short entry, last part of the name first.
 *
 * A name counts only if its slots come in descending order from the one marked
 * as last, all with the checksum of the short name, directly before the live
 * short entry (Linux fat_parse_long). Anything else is the remains of a tool
 * that knows no long names, or half of a rename: the slots are orphans, and the
 * short name stands alone.
 *
 * It stands alone as well when the long name is one that could not be used or
 * not be told from another: over 255 units, with a '/', nothing but dots, or
 * with an unpaired surrogate. (Linux drops unpaired surrogates, so that
 * different files may get equal names; the short name is always there, and
 * keeps them apart.)
 */
#include "base/bytes.h"
#include "fat/name.h"

void fat_long_name_forget(struct fat_long_name *name)
{
	name->slot_count = 0;
}

/* Copy `count` units out of a slot, which is nowhere aligned for it. */
static void copy_units(uint16_t *units, const unsigned char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		units[i] = get_le16(bytes + 2 * i);
}

void fat_long_name_add(struct fat_long_name *name, const unsigned char *slot)
{
	unsigned ordinal = slot[LDIR_ORD];
	bool is_last = ordinal & LDIR_ORD_LAST;

	ordinal &= ~(unsigned)LDIR_ORD_LAST;
	if (is_last && ordinal >= 1 && ordinal <= LDIR_ORD_MAX) {
		name->slot_count = ordinal;
		name->slots_missing = ordinal;
		name->checksum = slot[LDIR_CHKSUM];
	} else if (is_last || name->slot_count == 0 || name->slots_missing != ordinal || ordinal == 0 ||
		   name->checksum != slot[LDIR_CHKSUM]) {
		fat_long_name_forget(name);
		return;
	}

	/* 1 <= ordinal <= LDIR_ORD_MAX: checked above, for the first slot and so for all. */
	uint16_t *units = name->units + (size_t)(ordinal - 1) * LDIR_UNITS;

	copy_units(units, slot + LDIR_NAME_1, LDIR_NAME_1_UNITS);
	units += LDIR_NAME_1_UNITS;
	copy_units(units, slot + LDIR_NAME_2, LDIR_NAME_2_UNITS);
	units += LDIR_NAME_2_UNITS;
	copy_units(units, slot + LDIR_NAME_3, LDIR_NAME_3_UNITS);
	name->slots_missing--;
}

/*
 * How many units the name has: up to the terminator, which a name that fills
 * its last slot has not; padding without a terminator is not part of it either.
 */
static size_t long_name_units(const struct fat_long_name *name)
{
	size_t room = (size_t)name->slot_count * LDIR_UNITS;
	size_t count = 0;

	while (count < room && name->units[count] != 0)
		count++;
	while (count > 0 && name->units[count - 1] == LDIR_PADDING)
		count--;
	return count;
}

static bool is_high_surrogate(uint16_t unit)
{
	return (unit & 0xFC00) == 0xD800;
}

static bool is_low_surrogate(uint16_t unit)
{
	return (unit & 0xFC00) == 0xDC00;
}

/* UTF-16 to UTF-8: at most 3 bytes for a unit. 0 on an unpaired surrogate. */
static size_t utf8_from_utf16(const uint16_t *units, size_t count, char *out)
{
	size_t length = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t code_point = units[i];

		if (is_high_surrogate(units[i])) {
			if (i + 1 == count || !is_low_surrogate(units[i + 1]))
				return 0;
			code_point = 0x10000 + ((uint32_t)(units[i] & 0x3FF) << 10 | (units[i + 1] & 0x3FF));
			i++;
		} else if (is_low_surrogate(units[i])) {
			return 0;
		}
		length += fat_utf8_put(code_point, out + length);
	}
	return length;
}

size_t fat_long_name_decode(const struct fat_long_name *name, const unsigned char *raw, char *out)
{
	if (name->slot_count == 0 || name->slots_missing != 0 ||
	    name->checksum != fat_short_checksum(raw + DIR_NAME))
		return 0;

	size_t count = long_name_units(name);

	if (count > FAT_NAME_UNITS_MAX)
		return 0;

	size_t length = utf8_from_utf16(name->units, count, out);

	if (!fat_name_is_usable(out, length))
		return 0;
	out[length] = '\0';
	return length;
}
