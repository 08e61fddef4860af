/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/waits.h"
#include "cache/changes/announcements.h"
#include "cache/changes/guard.h"
#include "cache/changes/guards.h"
#include "cache/changes/held.h"
#include "cache/changes/kernel_feeds.h"
#include "cache/changes/marker.h"
#include "cache/changes/marks.h"
#include "cache/changes/visits.h"
#include "cache/changes/wanted.h"
#include "cache/changes/write_log.h"
#include "cache/device/opener.h"

/* How often it is asked which images nobody looks at any more. */
#define SWEEP_NS (1 * WAIT_S)

struct kernel_events {
	struct marks marks;   /* on the queue; constant after the start, as the next */
	bool old_kernel;
	struct held *held;    /* writers that wait until bytes are preserved; thread-safe */
	struct marker *marker; /* constant after the start; thread-safe */
	atomic_bool alive;
	_Atomic unsigned waiting; /* who want the lock to take in what is queued: the thread leaves it to them */
	pthread_mutex_t lock; /* of the queue: held while events are read and taken in, so that their order is the kernel's */
	/* All of these under the lock. */
	struct wanted *wanted;
	dev_t directory_device;
	ino_t directory_inode;
	struct announcements queue; /* its descriptor is constant */

	struct kernel_feeds feeds; /* under that lock and those of its buckets, which are outside of it: kernel_feeds.h */
	struct visits visits;	   /* thread-safe */
};

const char *kernel_why_not(int error)
{
	switch (error) {
	case -EINVAL:
	case -ENOSYS:
		return "the kernel does not announce writes (Linux 6.14 and later do)";
	case -EOPNOTSUPP:
		return "the kernel does not announce writes to this filesystem or device";
	case -EPERM:
		return "the kernel announces writes to root only";
	default:
		return "the kernel's events cannot be had";
	}
}

/* ---- life ---------------------------------------------------------------- */

int kernel_events_new(struct kernel_events **out)
{
	struct kernel_events *events = calloc(1, sizeof(*events));
	int error = -ENOMEM;

	if (!events)
		return error;
	error = announcements_open(&events->queue);
	if (error == 0)
		error = held_new(events->queue.fd, &events->held);
	if (error != 0) {
		cleanup_close_fd(&events->queue.fd);
		free(events);
		return error;
	}
	events->marks.fd = events->queue.fd;
	pthread_mutex_init(&events->lock, NULL);
	visits_init(&events->visits);
	kernel_feeds_init(&events->feeds);
	*out = events;
	return 0;
}

void kernel_events_as_before(struct kernel_events *events)
{
	events->old_kernel = true;
}

bool kernel_events_arm_apart(const struct kernel_events *events)
{
	return events->marks.apart;
}

int kernel_events_test(struct kernel_events *events, int fd)
{
	return marks_test(&events->marks, fd);
}

/* Does the thread still answer? */
static bool is_alive(const struct kernel_events *events)
{
	return atomic_load(&events->alive);
}

/* Or has it been refused for good? */
static bool is_marked_directory(struct kernel_events *events, const struct stat *st)
{
	LOCK_SCOPE(&events->lock);
	return events->directory_device == st->st_dev && events->directory_inode == st->st_ino;
}

bool kernel_events_has_directory(struct kernel_events *events, int fd)
{
	struct stat st;

	return !is_alive(events) || fstat(fd, &st) != 0 || is_marked_directory(events, &st);
}

int kernel_events_directory(struct kernel_events *events, int fd)
{
	struct stat st;
	int error;

	if (!is_alive(events))
		return -ENOSYS;
	if (fstat(fd, &st) != 0)
		return -errno;
	if (is_marked_directory(events, &st))
		return 0;
	/* Without the lock, under which writers wait: SOURCE may be on storage that hangs. */
	error = marks_arm_directory(&events->marks, fd);
	if (error != 0 && error != -EOPNOTSUPP)
		return error;
	LOCK_SCOPE(&events->lock);
	events->directory_device = st.st_dev;
	events->directory_inode = st.st_ino;
	return error;
}

/* Under the lock. Then it must not be ignored. */
static bool is_looked_at(struct kernel_events *events, dev_t device, ino_t inode)
{
	return kernel_feeds_listen(&events->feeds, device, inode) || wanted_has(events->wanted, device, inode);
}

/* Held while a file is marked, or not any more: kernel_feeds.h. */
static pthread_mutex_t *marks_lock_of(struct kernel_events *events, dev_t device, ino_t inode)
{
	return &kernel_feeds_bucket(&events->feeds, device, inode)->marks;
}

/* ---- events; under the lock -------------------------------------------------- */

/* What the feeds of the file make of an event. True: the writer is held, and the descriptor with it. */
static bool tell_feeds(struct kernel_events *events, const struct fanotify_event_metadata *event, const struct stat *st)
{
	struct write_log *log;
	struct saving *saving = kernel_feeds_tell(&events->feeds, event, st, &log);

	if (saving_run_now(saving)) {
		saving_free(saving);
		return false;
	}
	held_add(events->held, event->fd, saving, log);
	return true;
}

static void take_event(void *context, const struct fanotify_event_metadata *event)
{
	struct kernel_events *events = context;
	struct stat st;
	bool known, visited;

	if (event->fd < 0)
		return;
	/* Our own thread reads a byte, to be given the descriptor. */
	if (wanted_give(events->wanted, event)) {
		announcements_allow(&events->queue, event->fd);
		return;
	}
	known = fstat(event->fd, &st) == 0;
	visited = known && visits_have(&events->visits, st.st_dev, st.st_ino); /* by us, before it is let through, and ends */
	if (known && tell_feeds(events, event, &st))
		return;
	if (event->mask & FAN_PRE_ACCESS)
		announcements_allow(&events->queue, event->fd);
	/*
	 * A file that nobody looks at, or an image that is not open: once is enough. Not for the end of a read, whose
	 * beginning did that: another process is asked for each mark.
	 */
	if (known && !visited && event->mask & (FAN_PRE_ACCESS | FAN_MODIFY) && !is_looked_at(events, st.st_dev, st.st_ino))
		marker_ignore(events->marker, event->fd, &st);
	else
		close(event->fd);
}

/* The kernel could not give a descriptor: what was written nobody knows. */
static void know_nothing(void *context)
{
	struct kernel_events *events = context;

	kernel_feeds_lost(&events->feeds);
}

static void drain(struct kernel_events *events)
{
	static const struct announcements_taker taker = { take_event, know_nothing };

	announcements_drain(&events->queue, &taker, events);
}

/* ---- listening ---------------------------------------------------------------- */

/* Under the bucket's lock, as the next one: from now on events of the file are taken in. */
static void take_in(struct kernel_feed *feed)
{
	struct stat st;

	LOCK_SCOPE(&feed->events->lock);
	pairing_begin(&feed->pairing, feed->log, feed);
	feed->size_bytes = fstat(feed->fd, &st) == 0 ? st.st_size : 0;
	atomic_store(&feed->since_ns, feed->pairing.begun_ns);
}

/* From now on there are such events. Since when: what was begun while the opener was asked was not told of. */
static int64_t listen_from_now(struct kernel_feed *feed)
{
	LOCK_SCOPE(&feed->events->lock);
	feed->pairing.begun_ns = write_log_now_ns(feed->log);
	atomic_store(&feed->since_ns, feed->pairing.begun_ns);
	return feed->pairing.begun_ns;
}

static int64_t feed_listen(struct write_feed *self, bool may_block)
{
	struct kernel_feed *feed = (struct kernel_feed *)self;
	int64_t now_ns = write_log_now_ns(feed->log), since_ns;

	/* The look is noted first, then it is asked whether the feed listens; sweep does it the other way round. */
	atomic_store(&feed->looked_ns, now_ns);
	if (!is_alive(feed->events))
		return 0;
	since_ns = atomic_load(&feed->since_ns);
	if (since_ns != 0)
		return since_ns;
	if (!may_block)
		return -EAGAIN;
	LOCK_SCOPE(marks_lock_of(feed->events, feed->device, feed->inode));
	since_ns = atomic_load(&feed->since_ns);
	if (since_ns != 0)
		return since_ns;
	take_in(feed);
	if (marks_heed(&feed->events->marks, feed->fd) == 0)
		return listen_from_now(feed);
	atomic_store(&feed->since_ns, 0);
	return 0;
}

static void feed_drain(struct write_feed *self)
{
	struct kernel_feed *feed = (struct kernel_feed *)self;

	atomic_fetch_add(&feed->events->waiting, 1);
	LOCK_SCOPE(&feed->events->lock);
	atomic_fetch_sub(&feed->events->waiting, 1);
	drain(feed->events);
}

static const char *feed_why_not(struct write_feed *self)
{
	struct kernel_feed *feed = (struct kernel_feed *)self;

	return is_alive(feed->events) ? NULL : "the thread that listens to the kernel has ended";
}

/* Under the bucket's lock. A look that comes in between is seen, and listening goes on. */
static bool nobody_looks_any_more(struct kernel_feed *feed)
{
	int64_t now_ns = write_log_now_ns(feed->log), since_ns;

	LOCK_SCOPE(&feed->events->lock);
	since_ns = atomic_load(&feed->since_ns);
	if (since_ns == 0 || now_ns - atomic_load(&feed->looked_ns) < WAIT_LISTEN_NS || write_log_is_guarded(feed->log))
		return false;
	atomic_store(&feed->since_ns, 0);
	if (now_ns - atomic_load(&feed->looked_ns) < WAIT_LISTEN_NS)
		atomic_store(&feed->since_ns, since_ns);
	return !is_looked_at(feed->events, feed->device, feed->inode);
}

/* On the marker's thread. */
static void sweep(void *context)
{
	struct kernel_events *events = context;

	for (size_t i = 0; i < KERNEL_BUCKETS; i++) {
		struct kernel_bucket *bucket = &events->feeds.buckets[i];

		LOCK_SCOPE(&bucket->marks);
		for (struct kernel_feed *feed = bucket->first; feed; feed = feed->next)
			if (nobody_looks_any_more(feed))
				marks_rest(&events->marks, feed->fd);
	}
}

/* Likewise: a file that nobody looked at when there was an event of it. */
static void ignore(void *context, int fd, const struct stat *st)
{
	struct kernel_events *events = context;
	bool looked_at;

	LOCK_SCOPE(marks_lock_of(events, st->st_dev, st->st_ino));
	pthread_mutex_lock(&events->lock);
	looked_at = is_looked_at(events, st->st_dev, st->st_ino);
	pthread_mutex_unlock(&events->lock);
	if (!looked_at)
		marks_rest_other(&events->marks, fd);
}

static void remove_feed(struct kernel_feed *feed)
{
	struct kernel_events *events = feed->events;
	pthread_mutex_t *marks_lock = marks_lock_of(events, feed->device, feed->inode);

	pthread_mutex_lock(marks_lock);
	pthread_mutex_lock(&events->lock);
	kernel_feeds_remove(&events->feeds, feed);
	pthread_mutex_unlock(&events->lock);
	if (!kernel_feeds_have(&events->feeds, feed->device, feed->inode))
		marks_leave(&events->marks, feed->fd);
	pthread_mutex_unlock(marks_lock);
	held_forget(events->held, feed->log);
	free(feed);
}

static void feed_close(struct write_feed *self)
{
	remove_feed((struct kernel_feed *)self);
}

/* Neither of these two has the file rest at once: somebody may listen to it. The first event that nobody looks for does that. */
int kernel_events_file(struct kernel_events *events, int fd)
{
	return is_alive(events) ? marks_arm(&events->marks, fd) : -ENOSYS;
}

int kernel_feed_new(struct kernel_events *events, int fd, struct write_log *log)
{
	static const struct write_feed_ops ops = { feed_listen, feed_drain, feed_why_not, feed_close };
	struct kernel_feed *feed;
	struct stat st;
	int error;

	if (!is_alive(events))
		return -ENOSYS;
	if (fstat(fd, &st) != 0)
		return -errno;
	feed = calloc(1, sizeof(*feed));
	if (!feed)
		return -ENOMEM;
	*feed = (struct kernel_feed){
		.feed.ops = &ops, .events = events, .log = log, .fd = fd, .device = st.st_dev, .inode = st.st_ino
	};
	/* One who goes at the same time, as another user of the image, leaves the mark or took it away before. */
	pthread_mutex_lock(marks_lock_of(events, st.st_dev, st.st_ino));
	pthread_mutex_lock(&events->lock);
	kernel_feeds_add(&events->feeds, feed);
	pthread_mutex_unlock(&events->lock);
	error = marks_arm(&events->marks, fd);
	pthread_mutex_unlock(marks_lock_of(events, st.st_dev, st.st_ino));
	if (error != 0) {
		remove_feed(feed);
		return error;
	}
	write_log_set_feed(log, &feed->feed);
	return 0;
}

/* ---- silent descriptors ---------------------------------------------------------- */

/* Whoever was about to have the file ignored has done so by now; the caller takes that back. */
static void remember_wanted(struct kernel_events *events, struct wanted *wanted)
{
	LOCK_SCOPE(marks_lock_of(events, wanted->device, wanted->inode));
	LOCK_SCOPE(&events->lock);
	wanted_add(&events->wanted, wanted);
}

static void forget_wanted(struct kernel_events *events, const struct wanted *wanted)
{
	LOCK_SCOPE(&events->lock);
	wanted_remove(&events->wanted, wanted);
}

/* `open_noisy` has the file raise events, and opens it. */
static int silent_fd_by(struct kernel_events *events, int fd, int (*open_noisy)(const struct marks *marks, int fd))
{
	struct wanted wanted = { .thread = (pid_t)syscall(SYS_gettid), .fd = -1 };
	struct stat st;
	int error;

	if (!is_alive(events))
		return -ENOSYS;
	if (fstat(fd, &st) != 0)
		return -errno;
	wanted.device = st.st_dev;
	wanted.inode = st.st_ino;
	/* Known first: what is wanted is not ignored. The file may be on storage that hangs: without the lock. */
	remember_wanted(events, &wanted);
	CLEANUP_FD int noisy = open_noisy(&events->marks, fd);

	error = noisy < 0 ? noisy : wanted_read(noisy);
	/* It stays heeded; the first event that nobody looks for has it ignored. */
	forget_wanted(events, &wanted);
	if (wanted.fd < 0)
		return error != 0 ? error : -EIO;
	return wanted.fd;
}

int kernel_silent_fd(struct kernel_events *events, int fd)
{
	return silent_fd_by(events, fd, marks_heed_and_reopen);
}

/* Where no file can be tried, as before. */
static void learn_to_arm(struct kernel_events *events)
{
	CLEANUP_FD int fd = events->old_kernel ? -1 : opener_temporary("/var/tmp");
	CLEANUP_FD int silent = fd < 0 ? -1 : silent_fd_by(events, fd, marks_try);

	events->marks.apart = silent >= 0;
}

void kernel_events_while(struct kernel_events *events, const struct stat *st, void (*act)(void *context), void *context)
{
	visits_make(&events->visits, st, act, context);
}

/* ---- the thread --------------------------------------------------------------- */

static void *answer(void *argument)
{
	struct kernel_events *events = argument;
	struct pollfd poll_fd = { .fd = events->queue.fd, .events = POLLIN };

	for (;;) {
		int64_t now_ns = clock_now_ns(CLOCK_MONOTONIC), next_ns = held_give_up_late(events->held, now_ns);

		if (poll(&poll_fd, 1, (int)((next_ns - now_ns) / WAIT_MS) + 1) < 0 && errno != EINTR)
			break;
		if (poll_fd.revents & (POLLERR | POLLNVAL))
			break;
		/* A mutex is not fair. Bounded: they only drain, too. */
		for (int i = 0; i < 1000 && atomic_load(&events->waiting) > 0; i++)
			sched_yield();
		LOCK_SCOPE(&events->lock);
		drain(events);
	}
	/* Nobody answers any more: the kernel lets all writers go on when the queue is closed. */
	atomic_store(&events->alive, false);
	close(events->queue.fd);
	return NULL;
}

int kernel_events_start(struct kernel_events *events)
{
	static const struct marker_work work = { ignore, sweep, SWEEP_NS };
	sigset_t all, before;
	pthread_t thread;
	int error;

	announcements_keep_descriptors(&events->queue);
	atomic_store(&events->alive, true);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = events->marker ? 0 : marker_new(&work, events, &events->marker);
	if (error == 0)
		error = -pthread_create(&thread, NULL, answer, events);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error != 0) {
		atomic_store(&events->alive, false);
		return error;
	}
	pthread_setname_np(thread, "imagefs-kernel");
	pthread_detach(thread);
	learn_to_arm(events);
	return 0;
}
