/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * problem: why something could not be done, as a sentence for people. Functions that take one
 * fill it in whenever they return an error, and leave it alone otherwise.
 */
#pragma once

#include <stdarg.h>
#include <stdio.h>

struct problem {
	char text[1024];
};

/* Returns `error`, so that `return problem_set(...)` reads well. */
__attribute__((format(printf, 3, 4))) static inline int problem_set(struct problem *problem, int error,
								    const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(problem->text, sizeof(problem->text), format, list);
	va_end(list);
	return error;
}
