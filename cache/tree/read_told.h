/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * read_told: a read of a version whose writes are told after the fact (changes/write_log.h).
 *
 * Nothing guards it, but what was not written since the version was last known to be whole, and until after it
 * was read, is the version's: also when other bytes of it were overwritten, and the image holds another version.
 *
 * Under the image's lock, which is let go while the device is read.
 */
#pragma once

#include "cache/tree/reading.h"

/* 0, or as cache_version_read. 1: it was written, or what was written is not told. */
int read_told(struct reading *reading);
