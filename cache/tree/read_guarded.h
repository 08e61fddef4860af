/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * read_guarded: a read of a version whose writers wait until what they replace is preserved (changes/guards.h). The
 * image is read first, and the guard is asked afterwards: so a write that came in between is known.
 *
 * Under the image's lock, which is let go while the device is read.
 */
#pragma once

#include "cache/tree/reading.h"

/*
 * Of reading->guard. 0, or as cache_version_read. 1: writers do not wait any more, or did not all; what is known of the
 * version's bytes must tell.
 */
int read_guarded(struct reading *reading);
