/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reporter: one open control file, as a teller of the image's write log
 * (CONTRACT P): from the bytes that a server writes to it, to what must be
 * preserved before the server may go on.
 *
 * Needed where the kernel does not tell (kernel.h). Where it does, what servers
 * write here is taken apart for status, and only `flush` means anything.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "cache/changes/formats/notify.h"
#include "cache/changes/write_log.h"

struct reporter;
struct saving;

/* A control file was opened. It holds a reference to the log. -ENOMEM. */
int reporter_new(struct write_log *log, struct reporter **reporter);

/* It is closed, by its server or by the server's death: what it had in flight has ended. NULL is fine. */
void reporter_free(struct reporter *reporter);

/*
 * Take in what was written to it. `thread` is the writing thread as the kernel
 * names it, for status. NULL: answer at once. Else: bytes must be preserved first;
 * call saving_run where it may block, then answer, then saving_free. Never blocks.
 */
struct saving *reporter_take(struct reporter *reporter, pid_t thread, const void *bytes, size_t length_bytes);

/*
 * The same for what was written, and answered, before there was a reporter: its
 * writes may have been executed, so what they replaced is lost.
 */
void reporter_take_late(struct reporter *reporter, pid_t thread, const void *bytes, size_t length_bytes);

struct reporter_status {
	pid_t thread;
	enum notify_form form; /* NOTIFY_FORM_BROKEN also when it is not believed */
	uint64_t writes;
};

#define REPORTS_STATUS_REPORTERS 8

/* What people are told of how an image's changes are known. */
struct reports_status {
	struct write_log_status log;
	unsigned reporters; /* open control files that have said something */
	struct reporter_status reporter[REPORTS_STATUS_REPORTERS]; /* the first of them */
};

/* Without a look at the image. */
void reports_status(struct write_log *log, struct reports_status *status);
