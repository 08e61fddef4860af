/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mapped: what of the program and its libraries is in memory though only the loader wanted it.
 *
 * A library behind a library (libnbd wants GnuTLS, that p11-kit and others, libxml2 wants ICU) is gone through from end to
 * end while it is loaded, and hardly ever used: five MiB that count for this process for as long as it runs.
 */
#pragma once

/*
 * Have the kernel let go of the code and constants of all that is loaded. What is used again comes back from the page cache
 * by itself, a few pages at a time. Thread-safe; nothing that was written is touched. Where it cannot be had, nothing happens.
 */
void mapped_let_go(void);
