/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * archive: is a file called as an archive is, from which an image would have to be unpacked?
 */
#pragma once

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static inline bool archive_is_named(const char *name)
{
	static const char *const suffixes[] = { ".xz",	".gz", ".zst", ".bz2", ".zip", ".7z",
						".lz4", ".lzma", ".tgz", ".txz", ".tar", ".rar" };
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (strcasecmp(dot, suffixes[i]) == 0)
			return true;
	return false;
}
