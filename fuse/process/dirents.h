/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dirents: a listing as bytes, and the pieces of it that the kernel asks for.
 *
 * The bytes are, for each entry, what it is (an enum dirent_type), its name, and a NUL.
 * readdir's offsets are 0 for ".", 1 for "..", then 2 and the place in the bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "fuse/process/api.h"

enum dirent_type {
	DIRENT_DIRECTORY = 'd',
	DIRENT_FILE = 'f',
	DIRENT_LINK = 'l',
};

/* Into `buffer`, what fits of the entries from `offset` on. How much of it is used. */
size_t dirents_deal(fuse_req_t fuse, char *buffer, size_t size_bytes, const char *bytes, size_t length_bytes,
		    uint64_t offset);
