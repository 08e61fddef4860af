/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a directory of an image in memory shows: for the tests of directories. */
#pragma once

#include <stdint.h>

#include "fat_image.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* 0: the root. The caller's; or the error. */
struct fat_dir *read_dir(struct fat_image *image, uint32_t first_cluster);
int read_error(struct fat_image *image, uint32_t first_cluster);

/* The names shown, in order, each followed by '|'. Each is found, too. */
const char *names_of(const struct fat_dir *dir);

/* Those of the root; frees the image. */
void expect_names(struct fat_image *image, const char *expected);

struct fat_image *small_image(void); /* FAT12 */
