/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hash: xxHash's XXH3, in the widest form this processor has.
 *
 * Not a cryptographic hash. It need not be one: whoever could write an image
 * with a collision in it would only deceive the readers of that image, whose
 * content is his to choose anyway.
 */
#pragma once

#ifdef HAVE_XXHASH_DISPATCH
#include <xxh_x86dispatch.h> /* renames the calls below to those that ask the processor */
#else
#include <xxhash.h>
#endif
