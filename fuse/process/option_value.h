/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * option_value: the values of options, from text: numbers, users, groups, what to debug.
 *
 * What is refused is a constant text that follows the option in a message; NULL: it was understood.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/*
 * A whole number in `base`, from `low` to `high`; it must be all of the text, which strtoll would let begin with spaces and
 * a plus.
 */
bool option_number(const char *text, int base, long long low, long long high, long long *out);

/* A name or a number; a name that looks like a number is a name. */
const char *option_user(const char *text, uid_t *out);
const char *option_group(const char *text, gid_t *out);

/* The user of that name, and its group. False: there is none. */
bool option_find_user(const char *name, uid_t *user, gid_t *group);

/* Names with commas (in a list of -o, with colons), of enum log_debug, are added to *what. */
const char *option_debug(const char *text, unsigned *what);
