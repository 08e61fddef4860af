/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * option_ignored: options that are no concern of ours, and that libfuse would refuse: those that mount(8) and systemd mean
 * for themselves, and what the kernel shows of every FUSE mount.
 */
#pragma once

#include <stdbool.h>

/* Taken and not needed. */
bool option_is_dropped(const char *argument);

/* The kernel's, which only a remount may name: mount(8) hands them back then. */
bool option_is_kernels(const char *argument);
