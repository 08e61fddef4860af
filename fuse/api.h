/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The libfuse interface this is written against: that of 3.10, which every
 * later 3.x still offers; newer features are used where FUSE_VERSION has them.
 */
#pragma once

#define FUSE_USE_VERSION 35
#include <fuse_lowlevel.h>
