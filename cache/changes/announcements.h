/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * announcements: the queue of fanotify, and what is in an event.
 *
 * Each event comes with a descriptor, and the kernel refuses the write that it cannot give us one for. So some are
 * kept back for that, of those that the process may have: the limit is raised by as many, while events are read.
 *
 * Calls come one after the other (kernel.c's lock). Nothing blocks: the queue is read without waiting.
 */
#pragma once

#include <sys/fanotify.h>
#include <sys/resource.h>

#include "cache/device/device.h"

/* A dozen events at a time: each comes with a descriptor. */
#define ANNOUNCEMENTS_BYTES 1024

struct announcements {
	int fd;		     /* fanotify's; of whom this is a part */
	struct rlimit limit; /* of everybody else; rlim_max: none is kept back */
	_Alignas(struct fanotify_event_metadata) char buffer[ANNOUNCEMENTS_BYTES];
};

/* -errno. */
int announcements_open(struct announcements *announcements);

/* From now on. Not where there are few. */
void announcements_keep_descriptors(struct announcements *announcements);

struct announcements_taker {
	/* The event's descriptor (-1: none) is handed over. */
	void (*take)(void *context, const struct fanotify_event_metadata *event);
	/* The kernel could not give a descriptor: what was written nobody knows. */
	void (*lost)(void *context);
};

/*
 * Takes in what was queued when the call began. Not what comes meanwhile: a
 * writer that was let go on announces its next write at once, without end.
 */
void announcements_drain(struct announcements *announcements, const struct announcements_taker *taker, void *context);

/* What it is about: all, if it does not say. */
struct cache_range announcements_range(const struct fanotify_event_metadata *event);

/* Who was announced with that descriptor may go on. */
void announcements_allow(const struct announcements *announcements, int event_fd);
