/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/dirents.h"

#include <string.h>

static mode_t mode_of(char type)
{
	return type == DIRENT_DIRECTORY ? S_IFDIR : type == DIRENT_LINK ? S_IFLNK : S_IFREG;
}

/* The entry at or behind that place: seekdir takes any number. */
static size_t entry_at(const char *bytes, size_t length_bytes, uint64_t place)
{
	size_t at = place < length_bytes ? (size_t)place : length_bytes;

	while (at > 0 && at < length_bytes && bytes[at - 1] != '\0')
		at++;
	return at;
}

size_t dirents_deal(fuse_req_t fuse, char *buffer, size_t size_bytes, const char *bytes, size_t length_bytes,
		    uint64_t offset)
{
	size_t used = 0, at = offset < 2 ? 0 : entry_at(bytes, length_bytes, offset - 2);

	while (offset < 2 || at < length_bytes) {
		const char *name = offset == 0 ? "." : offset == 1 ? ".." : bytes + at + 1;
		size_t next = offset < 2 ? at : at + strlen(bytes + at) + 1, need;
		/* The number is only known to those who look the name up; 0 would hide the entry. */
		struct stat st = { .st_mode = offset < 2 ? S_IFDIR : mode_of(bytes[at]),
				   .st_ino = 0xffffffff };

		offset = offset == 0 ? 1 : next + 2;
		need = fuse_add_direntry(fuse, buffer + used, size_bytes - used, name, &st, (off_t)offset);
		if (need > size_bytes - used)
			break;
		used += need;
		at = next;
	}
	return used;
}
