/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The libfuse interface this is written against: that of 3.10, or of 3.12 where
 * it is there (which changed struct fuse_loop_config, and with it the meaning of
 * fuse_session_loop_mt). FUSE_USE_VERSION must be known before libfuse's header
 * can tell which one it is, so the build says it.
 */
#pragma once

#ifndef FUSE_USE_VERSION
#error "FUSE_USE_VERSION comes from fuse/CMakeLists.txt"
#endif

#include <fuse_lowlevel.h>
