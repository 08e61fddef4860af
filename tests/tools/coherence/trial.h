/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trial: what the readers and the writer of torture share: the states that there are, what is asked for, and how far the
 * writer is.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "states.h"

#define MS INT64_C(1000000)
#define SECTOR ((size_t)512)

extern struct trial {
	/* Constant once it has begun. */
	struct states states;
	const char *directory; /* where the image is seen */
	int64_t settle_ns;
	bool with_long, alone, reported; /* -L, -1, -R of torture.c */

	atomic_bool over;
	/* What the holders wait for: when each sector was last written, and which state was last begun. */
	_Atomic int64_t *written_ns;
	atomic_uint latest_state;
} trial;
