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
#include "base/clock.h"
#include "cache/device/opener.h"

/* A fixed table: descriptors count up from 1, so they spread by themselves. */
#define BUCKETS 1024

/* What is removed while the opener is asked is asked for again: so often. */
#define TRIES 8

/* A target's place in one of the two queues; all under watch->lock. */
struct place {
	int descriptor; /* 0: it is not watched there */
	struct watch_target *target;
	struct place *next; /* chain of its bucket */
};

struct watch_target {
	struct place every, once;
	uint64_t events; /* watch->lock */
};

struct queue {
	int fd;
	struct place *buckets[BUCKETS];
};

struct watch {
	int ready_fd;	      /* constant: of epoll, the queues and what rings a bell; -1: there is none to be had */
	pthread_mutex_t lock; /* held across the look, and the read of a queue: that is the point of it */
	/* All under the lock, but the queues' descriptors. */
	struct queue every;   /* each write is an event */
	struct queue once;    /* the first one is, and ends the watch */
	uint64_t overflows;   /* each one is an event for every target */
	uint64_t removals;    /* watches that were removed from `every` */
	uint64_t nobodys;     /* events in `once` of watches that no target has (yet) */
	int64_t looked_ns;    /* when the last look at what is ready began, that came to its end; 0: none did */
};

/* `what`: a queue, or a bell. */
static int add_ready(struct watch *watch, int fd, uint32_t events, void *what)
{
	struct epoll_event event = { .events = events, .data.ptr = what };

	return epoll_ctl(watch->ready_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

/* Without it each queue is read at each look. */
static void make_ready(struct watch *watch)
{
	watch->ready_fd = epoll_create1(EPOLL_CLOEXEC);
	if (watch->ready_fd < 0 ||
	    (add_ready(watch, watch->every.fd, EPOLLIN, &watch->every) == 0 &&
	     (watch->once.fd < 0 || add_ready(watch, watch->once.fd, EPOLLIN, &watch->once) == 0)))
		return;
	close(watch->ready_fd);
	watch->ready_fd = -1;
}

int watch_new(struct watch **out)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->every.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->every.fd < 0) {
		free(watch);
		return -errno;
	}
	/* Or -1: nothing rests then. */
	watch->once.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	make_ready(watch);
	pthread_mutex_init(&watch->lock, NULL);
	*out = watch;
	return 0;
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	close(watch->every.fd);
	cleanup_close_fd(&watch->once.fd);
	cleanup_close_fd(&watch->ready_fd);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

/* ---- places; all under the lock ------------------------------------------ */

static struct place **bucket_of(struct queue *queue, int descriptor)
{
	return &queue->buckets[(unsigned)descriptor % BUCKETS];
}

static void enter(struct queue *queue, struct place *place, int descriptor)
{
	place->descriptor = descriptor;
	place->next = *bucket_of(queue, descriptor);
	*bucket_of(queue, descriptor) = place;
}

static void leave(struct queue *queue, struct place *place)
{
	struct place **at = bucket_of(queue, place->descriptor);

	if (place->descriptor == 0)
		return;
	while (*at != place)
		at = &(*at)->next;
	*at = place->next;
	place->descriptor = 0;
}

/* The kernel gives one descriptor for one inode: two names of an image, or an old and a new user of it, share it. */
static bool is_watched(struct queue *queue, int descriptor)
{
	for (struct place *place = *bucket_of(queue, descriptor); place; place = place->next)
		if (place->descriptor == descriptor)
			return true;
	return false;
}

/* Queued events of a removed watch find no target, and are dropped. */
static void end(struct watch *watch, struct queue *queue, struct place *place)
{
	int descriptor = place->descriptor;

	leave(queue, place);
	if (descriptor == 0 || is_watched(queue, descriptor))
		return;
	watch->removals += queue == &watch->every;
	inotify_rm_watch(queue->fd, descriptor);
}

/* ---- events; all under the lock ------------------------------------------ */

/* Whose watch has told and whose has not is not known any more. */
static void end_all_once(struct watch *watch)
{
	for (size_t i = 0; i < BUCKETS; i++)
		while (watch->once.buckets[i])
			end(watch, &watch->once, watch->once.buckets[i]);
}

static void count_event(struct watch *watch, struct queue *queue, const struct inotify_event *event)
{
	struct place *next;
	bool known = false;

	if (event->wd == -1 || event->mask & IN_Q_OVERFLOW) {
		watch->overflows++;
		if (queue == &watch->once)
			end_all_once(watch);
		return;
	}
	for (struct place *place = *bucket_of(queue, event->wd); place; place = next) {
		next = place->next;
		if (place->descriptor != event->wd)
			continue;
		place->target->events++;
		known = true;
		/* Watched no more: the next look has it watched again. */
		if (queue == &watch->once || event->mask & IN_IGNORED)
			leave(queue, place);
	}
	if (queue == &watch->once && !known && !(event->mask & IN_IGNORED))
		watch->nobodys++;
}

/* Empties the queue as it was when the call began, or more. Ends: a buffer that is not full was the last. */
static void drain(struct watch *watch, struct queue *queue)
{
	_Alignas(struct inotify_event) char buffer[16384];

	for (;;) {
		ssize_t length = read(queue->fd, buffer, sizeof(buffer));

		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return;
		for (ssize_t at = 0; at < length;) {
			const struct inotify_event *event = (const void *)(buffer + at);

			count_event(watch, queue, event);
			at += (ssize_t)(sizeof(*event) + event->len);
		}
		if ((size_t)length < sizeof(buffer) - sizeof(struct inotify_event))
			return;
	}
}

#define READY_MAX 8

static void take_in(struct watch *watch, void *what)
{
	if (what == &watch->every || what == &watch->once)
		drain(watch, what);
	else
		((struct watch_bell *)what)->rung++;
}

/* Drain what is ready, and ring. False: what is ready is not known. */
static bool look(struct watch *watch)
{
	struct epoll_event ready[READY_MAX];
	int64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);
	int count;

	if (watch->ready_fd < 0)
		return false;
	/* Repeats as long as so many came that there may be more. */
	do {
		count = epoll_wait(watch->ready_fd, ready, READY_MAX, 0);
		for (int i = 0; i < count; i++)
			take_in(watch, ready[i].data.ptr);
	} while (count == READY_MAX || (count < 0 && errno == EINTR));
	if (count >= 0)
		watch->looked_ns = now_ns;
	return count >= 0;
}

/* It was looked since then, or is now. False: what is ready is not known. */
static bool look_since(struct watch *watch, int64_t since_ns)
{
	return (watch->looked_ns != 0 && watch->looked_ns >= since_ns) || look(watch);
}

uint64_t watch_events(struct watch *watch, struct watch_target *target, bool alone, int64_t since_ns)
{
	LOCK_SCOPE(&watch->lock);
	if (!look_since(watch, since_ns) || alone)
		drain(watch, target->once.descriptor != 0 ? &watch->once : &watch->every);
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

/* ---- targets -------------------------------------------------------------- */

/*
 * The opener is asked without the lock: it may hang, and everybody looks under the lock.
 * What is told before the target is entered is dropped; the caller has not looked yet. But
 * the watch may be shared, and removed by another user meanwhile: then once more.
 */
static int watch_every(struct watch *watch, struct watch_target *target, int fd, unsigned events)
{
	for (int i = 0; i < TRIES; i++) {
		uint64_t removals;
		int descriptor;

		pthread_mutex_lock(&watch->lock);
		removals = watch->removals;
		pthread_mutex_unlock(&watch->lock);
		descriptor = opener_watch(watch->every.fd, fd, false);
		if (descriptor < 0)
			return descriptor;
		LOCK_SCOPE(&watch->lock);
		if (watch->removals != removals)
			continue;
		leave(&watch->every, &target->every);
		enter(&watch->every, &target->every, descriptor);
		target->events += events;
		return 0;
	}
	return -EBUSY;
}

int watch_add(struct watch *watch, int fd, struct watch_target **out)
{
	struct watch_target *target = calloc(1, sizeof(*target));
	int error;

	if (!target)
		return -ENOMEM;
	target->every.target = target->once.target = target;
	error = watch_every(watch, target, fd, 0);
	if (error != 0) {
		free(target);
		return error;
	}
	*out = target;
	return 0;
}

void watch_remove(struct watch *watch, struct watch_target *target)
{
	if (!target)
		return;
	LOCK_SCOPE(&watch->lock);
	end(watch, &watch->every, &target->every);
	end(watch, &watch->once, &target->once);
	free(target);
}

/* One that rests, and has told, does so no more. */
static bool is_awake(struct watch *watch, struct watch_target *target, bool alone, int64_t since_ns)
{
	LOCK_SCOPE(&watch->lock);
	if (target->every.descriptor != 0)
		return true;
	if (target->once.descriptor != 0 && (!look_since(watch, since_ns) || alone))
		drain(watch, &watch->once);
	return target->once.descriptor != 0;
}

int watch_wake(struct watch *watch, struct watch_target *target, int fd, bool may_block, bool alone, int64_t since_ns)
{
	if (is_awake(watch, target, alone, since_ns))
		return 0;
	return may_block ? watch_every(watch, target, fd, 1) : -EAGAIN;
}

/* Does it have to be asked for? How many events were nobody's until now. */
static bool may_rest(struct watch *watch, struct watch_target *target, uint64_t *nobodys)
{
	LOCK_SCOPE(&watch->lock);
	*nobodys = watch->nobodys;
	return watch->once.fd >= 0 && target->every.descriptor != 0 && target->once.descriptor == 0;
}

void watch_rest(struct watch *watch, struct watch_target *target, int fd)
{
	uint64_t nobodys;
	int descriptor;

	if (!may_rest(watch, target, &nobodys))
		return;
	/* Fails if another user of the file rests: then both cannot. */
	descriptor = opener_watch(watch->once.fd, fd, true);
	if (descriptor < 0)
		return;
	LOCK_SCOPE(&watch->lock);
	/* What was told until now is this target's, or was nobody's. */
	drain(watch, &watch->every);
	drain(watch, &watch->once);
	enter(&watch->once, &target->once, descriptor);
	/* It may have told already, to nobody. */
	if (watch->nobodys != nobodys)
		end(watch, &watch->once, &target->once);
	else
		end(watch, &watch->every, &target->every);
}
