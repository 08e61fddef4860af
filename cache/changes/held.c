/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/held.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/thread.h"
#include "base/waits.h"
#include "cache/changes/guard.h"
#include "cache/changes/write_log.h"

#define WRITERS_MAX 128
#define WRITERS_OF_AN_IMAGE 16
#define STACK_BYTES ((size_t)128 << 10)

struct writer {
	struct held *held;
	int event_fd; /* -1 once it was answered */
	struct saving *saving;
	struct write_log *log; /* NULL: it has gone */
	int64_t until_ns;
	struct writer *next;
};

struct held {
	int fd;
	pthread_mutex_t lock; /* protects the list and each writer's event_fd and log */
	struct writer *writers;
	unsigned count;
};

int held_new(int fd, struct held **out)
{
	struct held *held = calloc(1, sizeof(*held));

	if (!held)
		return -ENOMEM;
	held->fd = fd;
	pthread_mutex_init(&held->lock, NULL);
	*out = held;
	return 0;
}

static void let_go(const struct held *held, int event_fd)
{
	struct fanotify_response response = { .fd = event_fd, .response = FAN_ALLOW };

	while (write(held->fd, &response, sizeof(response)) < 0 && errno == EINTR)
		;
	close(event_fd);
}

/* Under the lock: at most once for each. */
static void answer(struct writer *writer)
{
	if (writer->event_fd >= 0)
		let_go(writer->held, writer->event_fd);
	writer->event_fd = -1;
}

/* Under the lock. */
static void give_up(struct writer *writer)
{
	unsigned lost = saving_give_up(writer->saving);

	if (writer->log)
		write_log_count_lost(writer->log, lost);
	answer(writer);
}

static void remove_writer(struct held *held, struct writer *writer)
{
	for (struct writer **at = &held->writers; *at; at = &(*at)->next) {
		if (*at == writer) {
			*at = writer->next;
			held->count--;
			return;
		}
	}
}

static void *preserve(void *argument)
{
	struct writer *writer = argument;
	struct held *held = writer->held;

	saving_run(writer->saving);
	pthread_mutex_lock(&held->lock);
	answer(writer);
	remove_writer(held, writer);
	pthread_mutex_unlock(&held->lock);
	saving_free(writer->saving);
	free(writer);
	return NULL;
}

/* Under the lock. */
static bool has_room(const struct held *held, const struct write_log *log)
{
	unsigned count = 0;

	for (const struct writer *writer = held->writers; writer; writer = writer->next)
		count += writer->log == log;
	return held->count < WRITERS_MAX && count < WRITERS_OF_AN_IMAGE;
}

void held_add(struct held *held, int event_fd, struct saving *saving, struct write_log *log)
{
	struct writer *writer = calloc(1, sizeof(*writer));

	if (!writer) {
		write_log_count_lost(log, saving_give_up(saving));
		saving_free(saving);
		let_go(held, event_fd);
		return;
	}
	*writer = (struct writer){ held, event_fd, saving, log, clock_now_ns(CLOCK_MONOTONIC) + WAIT_PRESERVE_NS, NULL };
	LOCK_SCOPE(&held->lock);
	if (has_room(held, log) && thread_start(preserve, writer, STACK_BYTES) == 0) {
		/* The thread waits for this lock before it removes itself. */
		writer->next = held->writers;
		held->writers = writer;
		held->count++;
		return;
	}
	give_up(writer);
	saving_free(saving);
	free(writer);
}

int64_t held_give_up_late(struct held *held, int64_t now_ns)
{
	int64_t next_ns = now_ns + WAIT_S;

	LOCK_SCOPE(&held->lock);
	for (struct writer *writer = held->writers; writer; writer = writer->next) {
		if (writer->event_fd < 0)
			continue;
		if (writer->until_ns <= now_ns)
			give_up(writer);
		else if (writer->until_ns < next_ns)
			next_ns = writer->until_ns;
	}
	return next_ns;
}

void held_forget(struct held *held, struct write_log *log)
{
	LOCK_SCOPE(&held->lock);
	for (struct writer *writer = held->writers; writer; writer = writer->next)
		if (writer->log == log)
			writer->log = NULL;
}
