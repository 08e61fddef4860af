/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The write log by the names that cache/tree still uses. */
#pragma once

#include "cache/changes/status.h"

#define reports write_log
#define reports_ref write_log_ref
#define reports_unref write_log_unref
#define reports_observe write_log_observe
#define reports_changes write_log_changes
#define reports_burst write_burst
#define reports_set_dull write_log_set_untracked
#define reports_guard write_log_guard
#define reports_unguard write_log_unguard
#define reports_guard_stands write_log_guard_stands
