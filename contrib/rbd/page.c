/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "page.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "cache/changes/formats/writes_page.h"
#include "counters.h"
#include "reading.h"

#define HEADER_BYTES WRITES_PAGE_FIRST_READ
#define COUNTERS_AT_ONCE 4096

/* After the counters were drawn: none is higher than the total. */
static void make_header(const struct image *image, unsigned char *header)
{
	uint64_t total = counters_draw();

	memset(header, 0, HEADER_BYTES);
	memcpy(header, WRITES_PAGE_MAGIC, strlen(WRITES_PAGE_MAGIC));
	put_le32(header + WRITES_PAGE_HEADER, HEADER_BYTES);
	put_le32(header + WRITES_PAGE_SHIFT, image->layout.object_shift);
	memcpy(header + WRITES_PAGE_INSTANCE, image->instance, IMAGE_INSTANCE_BYTES);
	put_le64(header + WRITES_PAGE_SIZE, image->layout.size_bytes);
	put_le64(header + WRITES_PAGE_BEGUN, total);
	put_le64(header + WRITES_PAGE_ENDED, total);
}

/* A piece of the page behind its header, which may begin and end within a counter. At most COUNTERS_AT_ONCE
 * of them. */
static int read_counters(struct image *image, unsigned char *to, size_t length_bytes, uint64_t offset_bytes)
{
	uint64_t first = offset_bytes / WRITES_PAGE_COUNTER_BYTES;
	uint64_t end =
		(offset_bytes + length_bytes + WRITES_PAGE_COUNTER_BYTES - 1) / WRITES_PAGE_COUNTER_BYTES;
	size_t count = (size_t)(end - first);
	CLEANUP_FREE uint64_t *counters = calloc(count, sizeof(*counters));
	CLEANUP_FREE unsigned char *bytes = calloc(count, WRITES_PAGE_COUNTER_BYTES);
	int r;

	if (!counters || !bytes)
		return -ENOMEM;
	r = image_count(image, first, count, counters);
	for (size_t i = 0; i < count; i++) {
		put_le32(bytes + i * WRITES_PAGE_COUNTER_BYTES, (uint32_t)counters[i]);
		put_le32(bytes + i * WRITES_PAGE_COUNTER_BYTES + 4, (uint32_t)counters[i]);
	}
	memcpy(to, bytes + offset_bytes % WRITES_PAGE_COUNTER_BYTES, length_bytes);
	return r;
}

static int read_all_counters(struct image *image, unsigned char *to, size_t length_bytes,
			     uint64_t offset_bytes)
{
	int r = 0;

	while (length_bytes > 0 && r == 0) {
		size_t piece =
			(size_t)min_u64(length_bytes, (COUNTERS_AT_ONCE - 1) * WRITES_PAGE_COUNTER_BYTES);

		r = read_counters(image, to, piece, offset_bytes);
		to += piece;
		offset_bytes += piece;
		length_bytes -= piece;
	}
	return r;
}

/*
 * Counters without the header are those of the image that the name meant when the header was read last: a
 * reader believes none before it has read a header again after them or before, with the same instance.
 */
int page_read(struct pool *pool, const char *name, struct image **image, void *buffer, size_t length_bytes,
	      uint64_t offset_bytes)
{
	unsigned char header[HEADER_BYTES];
	size_t of_header = (size_t)min_u64(length_bytes, HEADER_BYTES - min_u64(HEADER_BYTES, offset_bytes));
	int r = of_header > 0 ? image_follow(pool, name, image) : 0;

	if (r == 0)
		r = read_all_counters(*image, (unsigned char *)buffer + of_header, length_bytes - of_header,
				      max_u64(offset_bytes, HEADER_BYTES) - HEADER_BYTES);
	if (r < 0 || of_header == 0)
		return r;
	make_header(*image, header);
	memcpy(buffer, header + offset_bytes, of_header);
	return 0;
}
