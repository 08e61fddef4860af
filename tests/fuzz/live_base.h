/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* live_base: the images that the fuzz target `live` begins with. */
#pragma once

#include "live_history.h"

/* An image to begin with, or to be replaced by; constant. */
struct live_base {
	unsigned char bytes[IMAGE_BYTES_MAX];
	uint64_t size_bytes;
	struct {
		uint64_t offset_bytes;
		uint32_t cluster_bytes;
	} volumes[2];
	unsigned volume_count;
};

#define LIVE_BASES 4
const struct live_base *live_base(unsigned which);
