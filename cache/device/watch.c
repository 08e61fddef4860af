/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cache/device/opener.h"

struct watch_target {
	int descriptor;
	uint64_t events;	   /* watch->lock */
	struct watch_target *next; /* watch->lock: chain of its bucket */
};

/* A fixed table: descriptors count up from 1, so they spread by themselves. */
#define BUCKETS 1024

struct watch {
	int fd;
	int ready_fd; /* of epoll: that one, without a bell, and others; -1: there is none to be had */
	pthread_mutex_t lock; /* held across the look, and the read of the queue: that is the point of it */
	uint64_t overflows;   /* lock: each one is an event for every target */
	struct watch_target *buckets[BUCKETS];
};

static int add_ready(struct watch *watch, int fd, uint32_t events, struct watch_bell *bell)
{
	struct epoll_event event = { .events = events, .data.ptr = bell };

	return epoll_ctl(watch->ready_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

int watch_new(struct watch **out)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->fd < 0) {
		free(watch);
		return -errno;
	}
	watch->ready_fd = epoll_create1(EPOLL_CLOEXEC);
	if (watch->ready_fd >= 0 && add_ready(watch, watch->fd, EPOLLIN, NULL) != 0)
		cleanup_close_fd(&watch->ready_fd), watch->ready_fd = -1;
	pthread_mutex_init(&watch->lock, NULL);
	*out = watch;
	return 0;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	close(watch->fd);
	cleanup_close_fd(&watch->ready_fd);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

static struct watch_target **bucket_of(struct watch *watch, int descriptor)
{
	return &watch->buckets[(unsigned)descriptor % BUCKETS];
}

int watch_add(struct watch *watch, int fd, struct watch_target **out)
{
	struct watch_target *target = calloc(1, sizeof(*target));
	int descriptor;

	if (!target)
		return -ENOMEM;
	LOCK_SCOPE(&watch->lock);
	descriptor = opener_watch(watch->fd, fd);
	if (descriptor < 0) {
		free(target);
		return descriptor;
	}
	target->descriptor = descriptor;
	target->next = *bucket_of(watch, target->descriptor);
	*bucket_of(watch, target->descriptor) = target;
	*out = target;
	return 0;
}

/* The kernel gives one descriptor for one inode: two names of an image, or an old and a new user of it, share it. */
static bool is_watched(struct watch *watch, int descriptor)
{
	for (struct watch_target *target = *bucket_of(watch, descriptor); target; target = target->next)
		if (target->descriptor == descriptor)
			return true;
	return false;
}

void watch_remove(struct watch *watch, struct watch_target *target)
{
	if (!target)
		return;
	LOCK_SCOPE(&watch->lock);
	for (struct watch_target **at = bucket_of(watch, target->descriptor); *at; at = &(*at)->next) {
		if (*at == target) {
			*at = target->next;
			break;
		}
	}
	/* Queued events of a removed watch find no target, and are dropped. */
	if (!is_watched(watch, target->descriptor))
		inotify_rm_watch(watch->fd, target->descriptor);
	free(target);
}

static void count_event(struct watch *watch, const struct inotify_event *event)
{
	if (event->wd == -1 || event->mask & IN_Q_OVERFLOW) {
		watch->overflows++;
		return;
	}
	for (struct watch_target *target = *bucket_of(watch, event->wd); target; target = target->next)
		if (target->descriptor == event->wd)
			target->events++;
}

/* Empties the queue as it was when the call began, or more. Ends: a buffer that is not full was the last. */
static void drain(struct watch *watch)
{
	_Alignas(struct inotify_event) char buffer[16384];

	for (;;) {
		ssize_t length = read(watch->fd, buffer, sizeof(buffer));

		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return;
		for (ssize_t at = 0; at < length;) {
			const struct inotify_event *event = (const void *)(buffer + at);

			count_event(watch, event);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
		if ((size_t)length < sizeof(buffer) - sizeof(struct inotify_event))
			return;
	}
}

#define READY_MAX 8

/* Under the lock. False: what else is ready is not known. */
static bool look(struct watch *watch)
{
	struct epoll_event ready[READY_MAX];
	int count;

	if (watch->ready_fd < 0) {
		drain(watch);
		return false;
	}
	/* Repeats as long as so many came that there may be more. */
	do {
		count = epoll_wait(watch->ready_fd, ready, READY_MAX, 0);
		if (count < 0)
			drain(watch);
		for (int i = 0; i < count; i++) {
			if (ready[i].data.ptr)
				((struct watch_bell *)ready[i].data.ptr)->rung++;
			else
				drain(watch);
		}
	} while (count == READY_MAX || (count < 0 && errno == EINTR));
	return count >= 0;
}

uint64_t watch_events(struct watch *watch, struct watch_target *target)
{
	LOCK_SCOPE(&watch->lock);
	look(watch);
	return target->events + watch->overflows;
}

int watch_bell_add(struct watch *watch, int fd, uint32_t events, struct watch_bell *bell)
{
	return watch->ready_fd < 0 ? -ENOSYS : add_ready(watch, fd, events | EPOLLET, bell);
}

bool watch_bells(struct watch *watch, const struct watch_bell *bells, size_t count, uint64_t *rung)
{
	bool known;

	LOCK_SCOPE(&watch->lock);
	known = look(watch);
	for (size_t i = 0; i < count; i++)
		rung[i] = bells[i].rung;
	return known;
}
