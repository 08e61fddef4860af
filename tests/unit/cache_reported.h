/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An image that one process reports of; company, clock and what the device says are the test's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "cache/changes/company.h"
#include "cache/changes/reports.h"

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define MIB (UINT64_C(1) << 20)

extern struct company_state others;
extern unsigned known; /* processes that company was told of, and not told to forget */
extern int64_t now_ns;
extern struct cache_observation device;
extern struct reports *reports;
extern struct reporter *reporter;

/* One who reports, and nobody else. */
void reported_start(void);
void reported_end(void);

/* Nothing has to be kept before the answer. */
void tell(struct reporter *to, const char *text);

/* Time goes on with each look. */
struct cache_observation observe(void);

bool is_exact(void);

/* How many ranges were written since; -1: anything. */
int changes_since(uint64_t generation);

/* -1: not known. */
int64_t quiet_ns(const struct cache_range *where);
