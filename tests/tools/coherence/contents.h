/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * contents: what each file and directory holds in each state, as hashes; and so
 * in which states it holds what was read. A name of states->name_count is the root.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "states.h"

struct content {
	uint64_t hash, size; /* a directory's are of its names */
};

void contents_learn(const struct states *states); /* once, before all else; borrowed */

bool is_directory(unsigned state, unsigned name);
bool is_there(unsigned state, unsigned name);

/* Of a set of names, in whatever order. */
void add_name(struct content *content, const char *name);

/* Masks of states. */
uint64_t states_with(unsigned name, const struct content *content, bool listing);
uint64_t states_without(unsigned name);
