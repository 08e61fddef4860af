/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * late: a file whose READ was answered by the clock, because its storage is slow.
 *
 * What the READ was to bring comes later, when nobody waits for it any more. Who tries
 * again would begin anew, and be too late again. So the file is read as a whole, in the
 * background, and kept for some time: the next try is answered from that (cache/tree/copy.h
 * says what is too large, or too much).
 */
#pragma once

#include "fuse/request.h"

/* Keep the file of a READ for the next one; once at a time. Does nothing without memory. */
void late_keep(const struct request *request);
