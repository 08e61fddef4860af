/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reports: tell imagefs on this machine of every write before it is executed.
 *
 * imagefs serves a control file for each image. What is written there is a report, in
 * the text form of imagefs-control(7), and write(2) returns when imagefs has taken it in:
 *
 *     write OFFSET LENGTH ID    before the plugin is called
 *     done ID                   after the plugin returned, however it went
 *
 * All connections to one export share one open control file. imagefs trusts a process
 * that reports to report all that it writes. So what is said first on a newly opened
 * control file names, in one write(2), all changes that are in flight then.
 *
 * The export comes first: no request ever fails for what imagefs does. When a report
 * fails, changes are executed without one until the control file has been opened again,
 * which the next change tries, once a second at most.
 */
#pragma once

#include <stdint.h>

struct export;

/* One request that changes the image. It lives where the request is served; the export's lock. */
struct change {
	struct change *next, **link;
	uint64_t offset_bytes, length_bytes, id;
};

/* imagefs= and imagefs-dir=, of which one may be given. 1: it was one of them; 0: not; -1: said by
 * nbdkit_error. */
int reports_config(const char *key, const char *value);
int reports_config_complete(void);
void reports_unload(void);

/*
 * For a connection that may write; before the plugin opens the image for writing, so that
 * imagefs knows this process then. NULL: nothing of this export is reported.
 */
struct export *reports_open(const char *exportname);
void reports_close(struct export *export);

/* Returns when imagefs knows of the change, or there is no control file. */
void reports_begin(struct export *export, struct change *change, uint64_t offset_bytes,
		   uint32_t length_bytes);

/* However it went, the bytes change no more. */
void reports_end(struct export *export, struct change *change);
