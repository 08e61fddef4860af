/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * judge: is a copy of a FAT volume whole, in the eyes of fsck.fat and of our own reader?
 */
#pragma once

#include "tools/prep/copy.h"

/*
 * Before a change. What a board leaves that was switched off (the dirty flag, a wrong count of free clusters,
 * a backup boot sector that differs in it) is mended in the copy, by fsck.fat; more than that is -EUCLEAN.
 * -EOPNOTSUPP: mtools cannot write such a volume. -ENOENT: no fsck.fat. *problem is a sentence, for the
 * caller to free, after an error.
 */
int judge_before(const struct copy *copy, const struct fat_volume *volume, char **problem);

/* After it: 0, or -EIO: it would be broken (or another volume). */
int judge_after(const struct copy *copy, const struct fat_volume *volume, char **problem);
