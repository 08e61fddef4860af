/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * autoboot: what autoboot.txt says of which partition is booted. Private to part/.
 *
 * Rules from the Raspberry Pi documentation, "autoboot.txt": at most 512 bytes of
 * it are read; the filters are [all], [none] and [tryboot]; boot_partition=N names
 * a partition by its number, 0 the default one, and the last line that counts wins.
 * Lines under any other filter count for some boards only, and for none here.
 * tryboot_a_b says which files of the partition are taken, not which partition.
 */
#pragma once

#include <stddef.h>

#define AUTOBOOT_NAME "autoboot.txt"
#define AUTOBOOT_BYTES_MAX ((size_t)512)

struct autoboot {
	unsigned partition; /* 0: none is named */
	unsigned tryboot;   /* booted instead when the tryboot flag is set; 0: the same one */
};

/* Any bytes will do; `length` at most AUTOBOOT_BYTES_MAX, what is behind them is not looked at. */
struct autoboot autoboot_read(const char *text, size_t length);
