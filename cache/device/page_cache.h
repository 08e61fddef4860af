/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * page_cache: what the kernel has of a file in memory, as cachestat(2) tells (Linux 6.5; from 6.14 on only of a file that
 * one owns or could write). Where it does not tell, the answer is "not known".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Does it hold the whole range? False also when that is not known. */
bool page_cache_holds(int fd, uint64_t offset_bytes, size_t length_bytes);

/* How much of the file is still to be written out. False: that is not known. Takes as long as it has pages of the file. */
bool page_cache_unwritten(int fd, uint64_t *bytes);
