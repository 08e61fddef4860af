/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trial_writer: the writer of torture: it moves the image from state to state, as a client's writeback does, at one of
 * several paces, and rests between.
 */
#pragma once

#include <stdint.h>

#include "timeline.h"
#include "writer.h"

/* For so long, from state 0 on. What it did is in the timeline. */
void trial_write(struct timeline *timeline, struct writer *writer, double seconds, uint64_t random);
