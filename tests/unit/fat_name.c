/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fat/name.c and fat/long_name.c: what is a name, and which. */
#include <criterion/criterion.h>

#include "fat/name.h"
#include "fat_image.h"

/* The short name of 11 bytes and byte 12, or "" when it is none. */
static const char *short_of(const char *name, uint8_t nt_bits)
{
	static char out[FAT_SHORT_NAME_BYTES];
	unsigned char raw[FAT_ENTRY_BYTES];

	fat_image_entry(raw, name, 0x20, 0, 0);
	raw[12] = nt_bits;
	memset(out, 'x', sizeof(out));

	size_t length = fat_short_name_decode(raw, out);

	cr_assert_eq(length, strlen(out));
	return out;
}

Test(fat_name, checksums_are_those_of_linux)
{
	cr_assert_eq(fat_short_checksum((const unsigned char *)"VMLINUX    "), 44);
	cr_assert_eq(fat_short_checksum((const unsigned char *)"README  TXT"), 115);
	cr_assert_eq(fat_short_checksum((const unsigned char *)"ABCDEFGHA  "), 98);
}

Test(fat_name, short_names_have_a_dot_only_before_an_extension)
{
	cr_assert_str_eq(short_of("CONFIG  TXT", 0), "CONFIG.TXT");
	cr_assert_str_eq(short_of("KERNEL      ", 0), "KERNEL");
	cr_assert_str_eq(short_of("A       B  ", 0), "A.B");
	cr_assert_str_eq(short_of("ABCDEFGHIJK", 0), "ABCDEFGH.IJK");
	cr_assert_str_eq(short_of("        TXT", 0), ".TXT");
}

Test(fat_name, case_bits_lower_base_and_extension)
{
	cr_assert_str_eq(short_of("CONFIG  TXT", 0x08), "config.TXT");
	cr_assert_str_eq(short_of("CONFIG  TXT", 0x10), "CONFIG.txt");
	cr_assert_str_eq(short_of("CONFIG  TXT", 0x18), "config.txt");
	cr_assert_str_eq(short_of("CONFIG  TXT", 0xE7), "CONFIG.TXT", "other bits mean nothing");
	cr_assert_str_eq(short_of("\x80\x8E\x8F\x90\x92\x99\x9A\xA5\xE4\xE8 ", 0x18),
			 "\u00E7\u00E4\u00E5\u00E9\u00E6\u00F6\u00FC\u00F1.\u03C3\u03C6");
	cr_assert_str_eq(short_of("\xE2\xE9\xEA     \xE2  ", 0x18), "\u0393\u0398\u03A9.\u0393",
			 "no partner");
}

Test(fat_name, code_page_437_is_shown_in_utf8)
{
	cr_assert_str_eq(short_of("\x80\xE1\xFF     \xB0\x9E\xDB", 0),
			 "\u00C7\u00DF\u00A0.\u2591\u20A7\u2588");
	cr_assert_str_eq(short_of("\x05         ", 0), "\u03C3", "0x05 stands for 0xE5");
	cr_assert_str_eq(short_of("A\x05        ", 0), "A\x05", "but only in the first place");
	cr_assert_str_eq(short_of("\xB0\xB1\xB2\xB3\xB4\xB5\xB6\xB7\xB8\xB9\xBA", 0),
			 "\u2591\u2592\u2593\u2502\u2524\u2561\u2562\u2556.\u2555\u2563\u2551",
			 "the longest");
}

Test(fat_name, what_dos_forbids_is_shown_as_linux_does)
{
	cr_assert_str_eq(short_of("lower   txt", 0), "lower.txt");
	cr_assert_str_eq(short_of(" A B    C D", 0), " A B.C D");
	cr_assert_str_eq(short_of("A+,;=[]*?<>", 0), "A+,;=[]*.?<>");
	cr_assert_str_eq(short_of("A\\B        ", 0), "A\\B");
	cr_assert_str_eq(short_of("A\nB        ", 0), "A\nB");
	cr_assert_str_eq(short_of("AB\0CDEF TX\0", 0), "AB.TX", "a NUL ends a part");
	cr_assert_str_eq(short_of("A.         ", 0), "A.");
}

Test(fat_name, what_can_be_no_file_name_is_none)
{
	cr_assert_str_eq(short_of("           ", 0), "");
	cr_assert_str_eq(short_of(".          ", 0), "");
	cr_assert_str_eq(short_of("..         ", 0), "");
	cr_assert_str_eq(short_of("        .  ", 0), "", "forged ..");
	cr_assert_str_eq(short_of(".       .  ", 0), "", "forged ...");
	cr_assert_str_eq(short_of("A/B        ", 0), "");
	cr_assert_str_eq(short_of("A       T/T", 0), "");
	cr_assert_str_eq(short_of("\0          ", 0), "");
}

Test(fat_name, n6_spellings_of_one_name_compare_equal)
{
	cr_assert_eq(fat_name_compare("cmdline.txt", "CmdLine.TXT"), 0);
	cr_assert_eq(fat_name_compare("config.txt...", "config.txt"), 0, "Linux drops trailing dots");
	cr_assert_eq(fat_name_compare("", "."), 0);
	cr_assert_lt(fat_name_compare("a", "B"), 0);
	cr_assert_gt(fat_name_compare("b", "A"), 0);
	cr_assert_lt(fat_name_compare("a", "A.b"), 0);
	cr_assert_gt(fat_name_compare("a b", "A"), 0);
	cr_assert_neq(fat_name_compare("\xc3\xa4", "\xc3\x84"), 0, "only ASCII is folded");
	cr_assert_lt(fat_name_compare("z", "\xc3\xa4"), 0, "bytes have no sign");
}

#define SHORT "LONG~1  TXT"

struct slots {
	unsigned char bytes[32 * FAT_ENTRY_BYTES];
	size_t count;
};

static struct slots slots_of(const uint16_t *units, size_t count)
{
	struct slots slots;
	unsigned char *end = fat_image_long_units(slots.bytes, units, count, SHORT);

	slots.count = (size_t)(end - slots.bytes) / FAT_ENTRY_BYTES;
	return slots;
}

/* Feed slots in the order of `order` (indices from 0), then ask for the name of SHORT; "" if none. */
static const char *long_of(const unsigned char *slots, const int *order, size_t count)
{
	static char out[FAT_NAME_BUFFER_BYTES];
	struct fat_long_name name = { .slot_count = 0 };
	unsigned char raw[FAT_ENTRY_BYTES];

	/* What an earlier name left behind must not fill a slot that is missing. */
	for (size_t i = 0; i < sizeof(name.units) / sizeof(name.units[0]); i++)
		name.units[i] = 'x';
	fat_image_entry(raw, SHORT, 0x20, 0, 0);
	for (size_t i = 0; i < count; i++)
		fat_long_name_add(&name, slots + (order ? order[i] : (int)i) * FAT_ENTRY_BYTES);

	size_t length = fat_long_name_decode(&name, raw, out);

	if (length == 0)
		return "";
	cr_assert_eq(length, strlen(out));
	return out;
}

static const char *units_to_utf8(const uint16_t *units, size_t count)
{
	struct slots slots = slots_of(units, count);

	return long_of(slots.bytes, NULL, slots.count);
}

#define UTF8_OF(...)                                     \
	units_to_utf8((const uint16_t[]){ __VA_ARGS__ }, \
		      sizeof((const uint16_t[]){ __VA_ARGS__ }) / sizeof(uint16_t))

Test(fat_long_name, utf16_becomes_utf8)
{
	cr_assert_str_eq(UTF8_OF('a'), "a");
	cr_assert_str_eq(UTF8_OF(0x7F, 0x80, 0x7FF, 0x800, 0xFFFD), "\x7F\xC2\x80\u07FF\u0800\uFFFD");
	cr_assert_str_eq(UTF8_OF(0xD83D, 0xDE00, 'x'), "\U0001F600x", "a surrogate pair");
	cr_assert_str_eq(UTF8_OF(0xD800, 0xDC00, 0xDBFF, 0xDFFF), "\U00010000\U0010FFFF");
}

Test(fat_long_name, a_surrogate_pair_may_cross_two_slots)
{
	cr_assert_str_eq(UTF8_OF('0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 0xD83D, 0xDE00),
			 "0123456789ab\U0001F600");
}

Test(fat_long_name, an_unpaired_surrogate_leaves_the_short_name)
{
	cr_assert_str_eq(UTF8_OF('a', 0xD83D), "");
	cr_assert_str_eq(UTF8_OF('a', 0xD83D, 'b'), "");
	cr_assert_str_eq(UTF8_OF('a', 0xDE00), "");
	cr_assert_str_eq(UTF8_OF(0xDE00, 0xD83D), "");
	cr_assert_str_eq(UTF8_OF(0xD83D, 0xD83D, 0xDE00), "");
}

Test(fat_long_name, what_can_be_no_file_name_leaves_the_short_name)
{
	cr_assert_str_eq(UTF8_OF('.'), "");
	cr_assert_str_eq(UTF8_OF('.', '.'), "");
	cr_assert_str_eq(UTF8_OF('.', '.', '.'), "");
	cr_assert_str_eq(UTF8_OF('a', '/', 'b'), "");
	cr_assert_str_eq(UTF8_OF('/'), "");
	cr_assert_str_eq(UTF8_OF(0, 'a'), "", "empty");
	cr_assert_str_eq(UTF8_OF(0xFFFF), "", "nothing but padding");
}

Test(fat_long_name, spaces_dots_and_control_characters_are_shown)
{
	cr_assert_str_eq(UTF8_OF('.', 'a'), ".a");
	cr_assert_str_eq(UTF8_OF(' ', 'a', ' '), " a ");
	cr_assert_str_eq(UTF8_OF('a', '.', '.'), "a..");
	cr_assert_str_eq(UTF8_OF('a', '\n', '\\', 1), "a\n\\\x01");
}

Test(fat_long_name, a_name_ends_at_its_terminator_its_padding_or_its_last_slot)
{
	uint16_t units[26];

	for (size_t i = 0; i < 26; i++)
		units[i] = (uint16_t)('a' + i);
	cr_assert_str_eq(units_to_utf8(units, 12), "abcdefghijkl", "a terminator alone");
	cr_assert_str_eq(units_to_utf8(units, 13), "abcdefghijklm", "no terminator");
	cr_assert_str_eq(units_to_utf8(units, 14), "abcdefghijklmn", "a terminator and padding");
	cr_assert_str_eq(units_to_utf8(units, 26), "abcdefghijklmnopqrstuvwxyz");
	units[5] = 0;
	cr_assert_str_eq(units_to_utf8(units, 26), "abcde", "what is behind the terminator counts nothing");
	cr_assert_str_eq(UTF8_OF('a', 'b', 0xFFFF, 0xFFFF), "ab", "padding without terminator");
}

Test(fat_long_name, the_longest_has_255_units_in_20_slots)
{
	uint16_t units[260];
	char expected[FAT_NAME_BUFFER_BYTES] = "";

	for (size_t i = 0; i < 260; i++)
		units[i] = 0x20AC;
	for (size_t i = 0; i < 255; i++)
		strcat(expected, "\u20AC");
	cr_assert_str_eq(units_to_utf8(units, 255), expected);
	cr_assert_eq(strlen(expected), FAT_NAME_BYTES_MAX);
	cr_assert_str_eq(units_to_utf8(units, 256), "");
	cr_assert_str_eq(units_to_utf8(units, 260), "");
}

/* Three slots of "abcdefghijklmnopqrstuvwxyz012", in disk order: ordinals 0x43, 2, 1. */
static struct slots three_slots(void)
{
	uint16_t units[29];
	const char *name = "abcdefghijklmnopqrstuvwxyz012";

	for (size_t i = 0; i < 29; i++)
		units[i] = (unsigned char)name[i];
	return slots_of(units, 29);
}

Test(fat_long_name, slots_in_any_but_descending_order_are_orphans)
{
	struct slots slots = three_slots();
	static const struct {
		int order[6];
		size_t count;
		bool is_name;
	} cases[] = {
		{ { 0, 1, 2 }, 3, true },
		{ { 0, 2, 1 }, 3, false },
		{ { 2, 1, 0 }, 3, false },
		{ { 0, 1 }, 2, false },
		{ { 1, 2 }, 2, false },
		{ { 0, 2 }, 2, false },
		{ { 0, 1, 1, 2 }, 4, false },
		{ { 0, 1, 2, 2 }, 4, false },
		{ { 0, 0, 1, 2 }, 4, true },
		{ { 0, 1, 0, 1, 2 }, 5, true },
		{ { 1, 0, 1, 2 }, 4, true },
		{ { 0, 1, 2, 1 }, 4, false },
		{ { 0, 1, 2, 0, 1, 2 }, 6, true },
		{ { 0 }, 0, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_str_eq(long_of(slots.bytes, cases[i].order, cases[i].count),
				 cases[i].is_name ? "abcdefghijklmnopqrstuvwxyz012" : "", "case %zu", i);
}

Test(fat_long_name, a_checksum_that_differs_anywhere_makes_orphans)
{
	for (int slot = 0; slot < 3; slot++) {
		struct slots slots = three_slots();

		slots.bytes[slot * 32 + 13] ^= 1;
		cr_expect_str_eq(long_of(slots.bytes, NULL, 3), "", "in slot %d", slot);
	}

	struct slots slots = three_slots();

	for (int slot = 0; slot < 3; slot++)
		slots.bytes[slot * 32 + 13] ^= 1;
	cr_assert_str_eq(long_of(slots.bytes, NULL, 3), "", "of another short name");
}

Test(fat_long_name, ordinals_beyond_1_to_20_start_nothing)
{
	static const uint8_t ordinals[] = { 0x40, 0x55, 0x7F, 0xC1, 0xFF, 0x00, 0x15, 0x80 };
	uint16_t units[13] = { 'a' };

	for (size_t i = 0; i < sizeof(ordinals); i++) {
		struct slots slots = slots_of(units, 1);

		slots.bytes[0] = ordinals[i];
		cr_expect_str_eq(long_of(slots.bytes, NULL, 1), "", "0x%02x", ordinals[i]);
	}
}
