/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Short names, and what can be a name at all.
 *
 * The rules are those of Linux fs/fat/dir.c (fat_parse_short) as mounted with
 * codepage=437, utf8, shortname=mixed. It shows whatever bytes are there, lower
 * case and characters that DOS forbids included, and so does this. Shown as
 * they are, in long names too: control characters (a line feed among them:
 * whoever writes a name to a log must quote it) and backslashes (nothing below
 * a path means anything by one; dnsmasq takes it for '/', and so does not find
 * such a file). Not shown is only what the kernel above could not take.
 */
#include <string.h>

#include "fat/name.h"

/* Code page 437 from 0x80 up: Unicode's VENDORS/MICSFT/PC/CP437.TXT. */
static const uint16_t cp437_upper_half[128] = {
	0x00C7, 0x00FC, 0x00E9, 0x00E2, 0x00E4, 0x00E0, 0x00E5, 0x00E7, /* 80 */
	0x00EA, 0x00EB, 0x00E8, 0x00EF, 0x00EE, 0x00EC, 0x00C4, 0x00C5, /* 88 */
	0x00C9, 0x00E6, 0x00C6, 0x00F4, 0x00F6, 0x00F2, 0x00FB, 0x00F9, /* 90 */
	0x00FF, 0x00D6, 0x00DC, 0x00A2, 0x00A3, 0x00A5, 0x20A7, 0x0192, /* 98 */
	0x00E1, 0x00ED, 0x00F3, 0x00FA, 0x00F1, 0x00D1, 0x00AA, 0x00BA, /* A0 */
	0x00BF, 0x2310, 0x00AC, 0x00BD, 0x00BC, 0x00A1, 0x00AB, 0x00BB, /* A8 */
	0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, /* B0 */
	0x2555, 0x2563, 0x2551, 0x2557, 0x255D, 0x255C, 0x255B, 0x2510, /* B8 */
	0x2514, 0x2534, 0x252C, 0x251C, 0x2500, 0x253C, 0x255E, 0x255F, /* C0 */
	0x255A, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256C, 0x2567, /* C8 */
	0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256B, /* D0 */
	0x256A, 0x2518, 0x250C, 0x2588, 0x2584, 0x258C, 0x2590, 0x2580, /* D8 */
	0x03B1, 0x00DF, 0x0393, 0x03C0, 0x03A3, 0x03C3, 0x00B5, 0x03C4, /* E0 */
	0x03A6, 0x0398, 0x03A9, 0x03B4, 0x221E, 0x03C6, 0x03B5, 0x2229, /* E8 */
	0x2261, 0x00B1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00F7, 0x2248, /* F0 */
	0x00B0, 0x2219, 0x00B7, 0x221A, 0x207F, 0x00B2, 0x25A0, 0x00A0, /* F8 */
};

/*
 * Lower case within the code page, for the case bits only; lookups fold ASCII.
 * Greek capitals without a partner in the page stay.
 */
static unsigned char cp437_lower(unsigned char c)
{
	switch (c) {
	case 0x80:
		return 0x87; /* C with cedilla */
	case 0x8E:
		return 0x84; /* A with diaeresis */
	case 0x8F:
		return 0x86; /* A with ring */
	case 0x90:
		return 0x82; /* E with acute */
	case 0x92:
		return 0x91; /* AE */
	case 0x99:
		return 0x94; /* O with diaeresis */
	case 0x9A:
		return 0x81; /* U with diaeresis */
	case 0xA5:
		return 0xA4; /* N with tilde */
	case 0xE4:
		return 0xE5; /* sigma */
	case 0xE8:
		return 0xED; /* phi */
	default:
		return fat_fold_ascii(c);
	}
}

size_t fat_utf8_put(uint32_t code_point, char *out)
{
	unsigned char *bytes = (unsigned char *)out;

	if (code_point < 0x80) {
		bytes[0] = (unsigned char)code_point;
		return 1;
	}
	if (code_point < 0x800) {
		bytes[0] = (unsigned char)(0xC0 | code_point >> 6);
		bytes[1] = (unsigned char)(0x80 | (code_point & 0x3F));
		return 2;
	}
	if (code_point < 0x10000) {
		bytes[0] = (unsigned char)(0xE0 | code_point >> 12);
		bytes[1] = (unsigned char)(0x80 | (code_point >> 6 & 0x3F));
		bytes[2] = (unsigned char)(0x80 | (code_point & 0x3F));
		return 3;
	}
	bytes[0] = (unsigned char)(0xF0 | code_point >> 18);
	bytes[1] = (unsigned char)(0x80 | (code_point >> 12 & 0x3F));
	bytes[2] = (unsigned char)(0x80 | (code_point >> 6 & 0x3F));
	bytes[3] = (unsigned char)(0x80 | (code_point & 0x3F));
	return 4;
}

size_t fat_name_compared_length(const char *name, size_t length)
{
	while (length > 0 && name[length - 1] == '.')
		length--;
	return length;
}

int fat_name_compare(const char *a, const char *b)
{
	size_t a_length = fat_name_compared_length(a, strlen(a)), b_length = fat_name_compared_length(b, strlen(b));

	for (size_t i = 0; i < a_length && i < b_length; i++) {
		int order = fat_fold_ascii((unsigned char)a[i]) - fat_fold_ascii((unsigned char)b[i]);

		if (order != 0)
			return order;
	}
	return a_length < b_length ? -1 : a_length > b_length;
}

bool fat_name_is_usable(const char *name, size_t length)
{
	return fat_name_compared_length(name, length) > 0 && !memchr(name, '/', length) &&
	       !memchr(name, '\0', length);
}

uint8_t fat_short_checksum(const unsigned char short_name[11])
{
	uint8_t sum = 0;

	/* fatgen103, ChkSum(): rotate right by one bit, then add; all in 8 bits. */
	for (size_t i = 0; i < DIR_NAME_BYTES; i++)
		sum = (uint8_t)((sum << 7 | sum >> 1) + short_name[i]);
	return sum;
}

/*
 * Base or extension: up to the first NUL, without trailing spaces; spaces
 * before or inside are part of the name (Linux). Returns the bytes of UTF-8.
 */
static size_t short_name_part(const unsigned char *part, size_t length, bool is_lower, char *out)
{
	const unsigned char *nul = memchr(part, '\0', length);
	size_t out_length = 0;

	if (nul)
		length = (size_t)(nul - part);
	while (length > 0 && part[length - 1] == ' ')
		length--;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = is_lower ? cp437_lower(part[i]) : part[i];

		out_length += fat_utf8_put(c < 0x80 ? c : cp437_upper_half[c - 0x80], out + out_length);
	}
	return out_length;
}

size_t fat_short_name_decode(const unsigned char raw[FAT_ENTRY_BYTES], char *out)
{
	unsigned char short_name[DIR_NAME_BYTES];
	uint8_t nt_bits = raw[DIR_NT_RES];
	size_t length;

	memcpy(short_name, raw + DIR_NAME, sizeof(short_name));
	if (short_name[0] == DIR_NAME_0_KANJI_E5)
		short_name[0] = 0xE5;

	/* 8 + 1 + 3 characters of at most 3 bytes each: FAT_SHORT_NAME_BYTES. */
	length = short_name_part(short_name, DIR_NAME_BASE_BYTES, nt_bits & DIR_NT_LOWER_BASE, out);

	size_t extension =
		short_name_part(short_name + DIR_NAME_BASE_BYTES, DIR_NAME_BYTES - DIR_NAME_BASE_BYTES,
				nt_bits & DIR_NT_LOWER_EXT, out + length + 1);

	if (extension > 0) {
		out[length] = '.';
		length += 1 + extension;
	}
	out[length] = '\0';
	if (fat_name_is_usable(out, length))
		return length;
	out[0] = '\0';
	return 0;
}

void fat_label_decode(const unsigned char label[BS_VOL_LAB_BYTES], char out[FAT_LABEL_BYTES])
{
	size_t length = strnlen((const char *)label, BS_VOL_LAB_BYTES);

	while (length > 0 && label[length - 1] == ' ')
		length--;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = label[i];

		out += fat_utf8_put(c < 0x20 || c == 0x7F ? '?' : c < 0x80 ? c : cp437_upper_half[c - 0x80], out);
	}
	*out = '\0';
}
