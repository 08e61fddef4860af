/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What counts for the process although nobody uses it (S5): code of libraries, and buffers of reads that are over. */
#include <criterion/criterion.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/device/buffer.h"
#include "fuse/process/mapped.h"

#define READ_BYTES ((size_t)1 << 20)

static long kib_of_files(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	long kib = -1;

	while (status && fgets(line, sizeof(line), status))
		sscanf(line, "RssFile: %ld", &kib);
	if (status)
		fclose(status);
	return kib;
}

Test(mapped, code_that_only_the_loader_went_through_is_let_go)
{
	long before = kib_of_files(), after;

	mapped_let_go();
	after = kib_of_files();
	cr_assert_gt(before, 0);
	cr_assert_lt(after, before / 2, "%ld KiB of %ld are left", after, before);
	/* And what is used works as before. */
	cr_assert_eq(strtol("4711", NULL, 10), 4711);
}

static void read_one(void)
{
	void *buffer = cache_buffer_get(READ_BYTES);

	cr_assert_not_null(buffer);
	memset(buffer, 1, READ_BYTES);
	cache_buffer_put(buffer, READ_BYTES);
}

Test(buffers, are_let_go_when_no_read_needed_them_since_the_last_time)
{
	size_t before = mallinfo2().hblkhd, kept;

	read_one();
	kept = mallinfo2().hblkhd;
	cr_assert_geq(kept, before + READ_BYTES, "it is not kept for the next read");
	cache_buffers_let_go();
	for (int i = 0; i < 3; i++) {
		read_one();
		cache_buffers_let_go();
		cr_assert_eq(mallinfo2().hblkhd, kept, "it is let go though it was needed");
	}
	cache_buffers_let_go();
	cr_assert_eq(mallinfo2().hblkhd, before);
}
