/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl_identity: is this PARTUUID, UUID or LABEL one of this image's?
 */
#pragma once

#include "part/part.h"
#include "pi/pi.h"

enum identity {
	IDENTITY_OURS,	/* partition *number of this image */
	IDENTITY_OTHER, /* none of this image's partitions */
	IDENTITY_UNKNOWN, /* there are partitions whose filesystem we do not know */
};

/* `root` is PI_ROOT_PARTUUID, _UUID or _LABEL, `id` what stands behind its '='. */
enum identity identity_of(struct source *source, const struct part_table *table, enum pi_root root, const char *id,
			  unsigned *number);
