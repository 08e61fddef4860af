/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* options_help: what --help prints, imagefs(8) in short. */
#pragma once

/* To standard output. */
void options_print_help(void);
