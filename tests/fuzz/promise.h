/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* promise: what holds whatever the input is; a fuzzer and a replay stop where it does not. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define promise(condition)                                                                      \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			dprintf(2, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);      \
			abort();                                                                \
		}                                                                               \
	} while (0)
