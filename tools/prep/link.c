/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what a board is called --------------------------------------------------- */

#define SERIAL_DIGITS 8 /* that the firmware asks with */
#define MAC_GROUPS 6

static bool is_digit(char character)
{
	return strchr("0123456789abcdefABCDEF", character) && character != '\0';
}

static char lower(char character)
{
	return character >= 'A' && character <= 'F' ? (char)(character - 'A' + 'a') : character;
}

/* How many hexadecimal digits it is; 0: it has something else. */
static size_t all_digits(const char *text)
{
	size_t length = 0;

	while (is_digit(text[length]))
		length++;
	return text[length] == '\0' ? length : 0;
}

static bool read_serial(const char *board, char name[LINK_NAME_BYTES])
{
	bool prefix = strncasecmp(board, "0x", 2) == 0;
	const char *digits = prefix ? board + 2 : board;
	size_t length = all_digits(digits);

	if (length == 0 || length > 16 || (!prefix && length != SERIAL_DIGITS && length != 16))
		return false;
	for (size_t i = 0; i < SERIAL_DIGITS; i++) {
		size_t from_end = SERIAL_DIGITS - i;

		name[i] = from_end > length ? '0' : lower(digits[length - from_end]);
	}
	name[SERIAL_DIGITS] = '\0';
	return true;
}

static void write_mac(const char digits[2 * MAC_GROUPS], char name[LINK_NAME_BYTES])
{
	for (size_t i = 0; i < MAC_GROUPS; i++) {
		name[3 * i] = lower(digits[2 * i]);
		name[3 * i + 1] = lower(digits[2 * i + 1]);
		name[3 * i + 2] = i + 1 < MAC_GROUPS ? '-' : '\0';
	}
}

/* Six groups of one or two digits, or three of just four. */
static bool read_groups(const char *board, char separator, size_t groups, char digits[2 * MAC_GROUPS])
{
	size_t width = 2 * MAC_GROUPS / groups, least = width == 2 ? 1 : width, group = 0;

	for (const char *at = board;; at++, group++) {
		size_t length = 0;

		while (is_digit(at[length]))
			length++;
		if (group == groups || length > width || length < least)
			return false;
		memset(digits + group * width, '0', width);
		memcpy(digits + group * width + (width - length), at, length);
		at += length;
		if (*at == '\0')
			return group + 1 == groups;
		if (*at != separator)
			return false;
	}
}

static bool read_mac(const char *board, char name[LINK_NAME_BYTES])
{
	char digits[2 * MAC_GROUPS];

	if (all_digits(board) == 2 * MAC_GROUPS) {
		write_mac(board, name);
		return true;
	}
	/* pxelinux puts the hardware's type in front. */
	if (strlen(board) == 20 && strncmp(board, "01-", 3) == 0)
		board += 3;
	if (!read_groups(board, ':', MAC_GROUPS, digits) && !read_groups(board, '-', MAC_GROUPS, digits) &&
	    !read_groups(board, '.', MAC_GROUPS / 2, digits))
		return false;
	write_mac(digits, name);
	return true;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text);

	return length > strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

static bool names_partition(const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon && colon[1] && colon[1 + strspn(colon + 1, "0123456789")] == '\0';
}

/* What the mount would show as something else, or not at all. */
static bool can_be_link(const char *name)
{
	for (const char *at = name; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			return false;
	return *name && *name != '.' && !strchr(name, '/') && !names_partition(name) && !ends_with(name, ".img") &&
	       !ends_with(name, ".raw") && !ends_with(name, ".d");
}

int link_board(const char *board, char name[LINK_NAME_BYTES], enum link_kind *kind)
{
	if (strlen(board) >= LINK_NAME_BYTES)
		return -ENAMETOOLONG;
	if (read_serial(board, name)) {
		*kind = LINK_SERIAL;
		return 0;
	}
	if (read_mac(board, name)) {
		*kind = LINK_MAC;
		return 0;
	}
	*kind = LINK_NAME;
	strcpy(name, board);
	return can_be_link(name) ? 0 : -EINVAL;
}

int link_target(const char *image, unsigned partition, char target[LINK_NAME_BYTES])
{
	size_t length = strlen(image);
	int written;

	if (partition > 0 && (ends_with(image, ".img") || ends_with(image, ".raw")))
		length -= strlen(".img");
	if (partition > 0)
		written = snprintf(target, LINK_NAME_BYTES, "%.*s:%u", (int)length, image, partition);
	else
		written = snprintf(target, LINK_NAME_BYTES, "%s", image);
	return written >= 0 && written < LINK_NAME_BYTES ? 0 : -ENAMETOOLONG;
}

/* ---- in the directory ------------------------------------------------------------ */

/* -ENOENT; -ENOTUNIQ: no link. */
static int read_link(int images_fd, const char *name, char present[PATH_MAX])
{
	ssize_t length = readlinkat(images_fd, name, present, PATH_MAX - 1);

	present[length > 0 ? length : 0] = '\0';
	return length >= 0 ? 0 : errno == EINVAL ? -ENOTUNIQ : -errno;
}

/* `jammy` and `jammy.img` are one image in the mount. */
static bool same_target(const char *a, const char *b)
{
	const char *longer = strlen(a) > strlen(b) ? a : b, *shorter = longer == a ? b : a;
	size_t length = strlen(shorter);

	if (strncmp(longer, shorter, length) != 0 || strchr(shorter, ':'))
		return strcmp(longer, shorter) == 0;
	return longer[length] == '\0' || strcmp(longer + length, ".img") == 0 || strcmp(longer + length, ".raw") == 0;
}

/* A link of a name that the mount does not show, which then takes the place of the other. */
static int move_link(int images_fd, const char *name, const char *target)
{
	char temporary[64];
	int error;

	snprintf(temporary, sizeof(temporary), ".imagefs-link.%d", (int)getpid());
	/* One of a process of our number that was killed. */
	if (symlinkat(target, images_fd, temporary) != 0 &&
	    (errno != EEXIST || unlinkat(images_fd, temporary, 0) != 0 || symlinkat(target, images_fd, temporary) != 0))
		return -errno;
	if (renameat(images_fd, temporary, images_fd, name) == 0)
		return 0;
	error = -errno;
	unlinkat(images_fd, temporary, 0);
	return error;
}

int link_make(int images_fd, const char *name, const char *target, bool move, char present[PATH_MAX], bool *made)
{
	int error = read_link(images_fd, name, present);

	*made = false;
	if (error == -ENOENT) {
		if (symlinkat(target, images_fd, name) != 0)
			return -errno;
		*made = true;
		return 0;
	}
	if (error != 0)
		return error;
	if (same_target(present, target))
		return 0;
	if (!move)
		return -EEXIST;
	error = move_link(images_fd, name, target);
	*made = error == 0;
	return error;
}

int link_remove(int images_fd, const char *name, char present[PATH_MAX])
{
	int error = read_link(images_fd, name, present);

	if (error != 0)
		return error;
	return unlinkat(images_fd, name, 0) == 0 ? 0 : -errno;
}
