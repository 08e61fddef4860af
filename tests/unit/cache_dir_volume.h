/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A small volume with two files and a subdirectory, and a reader of it: for the tests of directories. */
#pragma once

#include <stdint.h>

#include "cache_reader.h"
#include "cache_volume.h"

extern const struct file config, kernel; /* are there, */
extern const struct file other;		 /* is not */

extern struct small_volume volume;
extern struct memory_device memory;
extern struct reader reader;

void start_volume(enum device_kind kind);
void end_volume(void);

uint64_t id_of(const char *path); /* which is there */
int error_of(const char *path);

void changed(void); /* the writer has changed bytes: tell of it */
void settle(void);
