/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/reading.h"

#include <errno.h>

#include "base/waits.h"
#include "cache/tree/path.h"

int reading_come_back(struct reading *reading, int64_t retry_ns, const char *rule)
{
	reading->op->retry_ns = retry_ns;
	reading->op->rule = rule;
	return -EINPROGRESS;
}

int reading_come_back_soon(struct reading *reading, const char *rule)
{
	reading->op->busy = true;
	return reading_come_back(reading, WAIT_RETRY_BUSY_NS, rule);
}

int reading_take_bytes(struct reading *reading, unsigned char **data)
{
	const struct cache_version *version = reading->version;
	struct cache_device *device = version->image->device;

	extents_will_need(version->extents, device, reading->next.offset_bytes, reading->next.length_bytes);
	return extents_read(version->extents, device, reading->span.offset_bytes, reading->span.length_bytes,
			    reading->bytes->owner, data);
}

int reading_take_span(struct reading *reading)
{
	struct cache_version *version = reading->version;
	struct cache_image *image = version->image;
	unsigned char *data;
	int64_t read_ns;
	int error, again;

	image_leave(image);
	error = reading_take_bytes(reading, &data);
	if (error == 0) {
		reading->bytes->data = data;
		span_hash(&reading->span, data, reading->hashes);
	}
	read_ns = image_lock_again(image);
	again = image_observe_since(image, reading->op, read_ns);
	if (again == 0 && error != 0 && !version->detached)
		again = path_refresh_version(version, reading->op);
	return again != 0 ? again : error;
}

int reading_differs(struct reading *reading)
{
	image_differs(reading->version->image);
	reading->op->rule = "bytes that were handed out are others by now";
	return dir_supersede(reading->version);
}
