/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sum: the SHA-256 of what was downloaded, and the one that it should have.
 */
#pragma once

#include <nettle/sha2.h>

#include "tools/prep/problem.h"

#define SUM_HEX_BYTES (2 * SHA256_DIGEST_SIZE + 1)

/*
 * `given` is the sum itself, in 64 hexadecimal digits, or a file that has it: a line of sha256sum
 * ("SUM  NAME", "SUM *NAME", "SHA256 (NAME) = SUM") that names `name`, or a single sum alone.
 * wanted: in lower case. -EINVAL: nothing of the kind is there; -errno of the file.
 */
int sum_wanted(const char *given, const char *name, char wanted[SUM_HEX_BYTES], struct problem *problem);

/* -EBADMSG: it is another. */
int sum_compare(struct sha256_ctx *sum, const char *wanted, struct problem *problem);
