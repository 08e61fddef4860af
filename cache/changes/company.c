/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * company: one fanotify queue for all images that are reported of, and one thread
 * that takes the census when somebody was seen.
 *
 * Draining the queue, counting and reading the count are one critical section,
 * for the reason given in watch.h. Events come with the file's handle rather than
 * a descriptor of it, which the kernel would have to open: no event ever waits
 * for a filesystem. The kernel merges those of one process, so they are few.
 */
#include "cache/changes/company.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cache/changes/census.h"

/* So many processes report of one image at a time; more are strangers. */
#define KNOWN_MAX 64
#define FORMER_MAX 16

/*
 * A file is reported open a moment before its descriptor can be seen in /proc;
 * and a server that opens an image for a client reports of it a moment later.
 */
#define CENSUS_DELAY_NS (25 * INT64_C(1000000))

/* While somebody else has an image open it is asked again this often, whatever the queue says. */
#define CENSUS_AGAIN_SECONDS 5

/* How many images one census looks at. */
#define CENSUS_FILES_MAX 1024

#define BUCKETS 1024

/* As the kernel names a file in its events: name_to_handle_at(2). */
struct handle {
	int type;
	unsigned length_bytes;
	unsigned char bytes[MAX_HANDLE_SZ];
};

/* Who reports of one image. Most images have nobody. */
struct reporters {
	struct {
		pid_t process;
		int pidfd; /* or -1 */
	} known[KNOWN_MAX];
	size_t known_count;
	pid_t former[FORMER_MAX]; /* the last that were known, a ring: what they still do is close the image */
	size_t former_next;
};

struct member {
	struct company company; /* first: a company is a member */
	struct companies *all;
	int fd;
	struct census_file file;
	struct handle handle; /* empty: its filesystem has none */
	bool is_block;

	/* The rest under all->lock. */
	bool marked;
	struct reporters *reporters; /* NULL: nobody has ever reported of it */
	uint64_t foreign;
	bool doubtful;	   /* a census is wanted */
	bool being_counted; /* and this one is under way; doubtful again if more was seen since it began */
	int64_t doubt_ns;   /* CLOCK_MONOTONIC: since when it is one or the other */
	bool blind;	   /* no mark could be had: never alone */
	bool uncounted;	   /* the last census could not look at everybody */
	pid_t other, found; /* by the last census, by the one under way */
	bool accompanied, found_any;
	struct member *next;
};

struct companies {
	int fd;
	pthread_mutex_t lock; /* held across the non-blocking read of the queue */
	pthread_cond_t wanted;
	bool thread_started;
	bool trusted;	 /* constant: who may not be looked at does not write to images */
	bool whole_view; /* constant: every process can be seen */
	struct member *buckets[BUCKETS];
};

pid_t company_process_of(pid_t thread)
{
	char path[64], text[1024], *at;
	ssize_t length;
	long process = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (length > 0) {
		text[length] = '\0';
		at = strstr(text, "\nTgid:");
		process = at ? strtol(at + strlen("\nTgid:"), NULL, 10) : 0;
	}
	return process > 0 ? (pid_t)process : thread;
}

/* ---- all under the lock -------------------------------------------------- */

static struct member **bucket_of(struct companies *all, const struct handle *handle)
{
	unsigned hash = (unsigned)handle->type;

	for (unsigned i = 0; i < handle->length_bytes; i++)
		hash = hash * 31 + handle->bytes[i];
	return &all->buckets[hash % BUCKETS];
}

/*
 * The next member of that handle from `member` on: an old and a new user of an
 * image may overlap. Files of two filesystems may be named alike; then the one's
 * events are counted for the other as well, which costs a look at it.
 */
static struct member *of_handle(struct member *member, const struct handle *handle)
{
	while (member && (member->handle.type != handle->type || member->handle.length_bytes != handle->length_bytes ||
			  memcmp(member->handle.bytes, handle->bytes, handle->length_bytes) != 0))
		member = member->next;
	return member;
}

/*
 * pidfd_send_signal(2): a number may be another process's by now. Without CAP_KILL other users'
 * processes may not be sent even nothing; that they are there is said all the same.
 */
static bool is_alive(int pidfd)
{
	return pidfd >= 0 && (syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0 || errno == EPERM);
}

static bool is_known(const struct member *member, pid_t process)
{
	const struct reporters *reporters = member->reporters;

	for (size_t i = 0; reporters && i < reporters->known_count; i++)
		if (reporters->known[i].process == process && is_alive(reporters->known[i].pidfd))
			return true;
	return false;
}

/* Is it gone, or about to be reaped? proc(5), stat: the letter behind the name in parentheses. */
static bool is_dead(pid_t process)
{
	char path[64], text[512], *at;
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)process);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (length <= 0)
		return fd < 0 && errno == ENOENT;
	text[length] = '\0';
	at = strrchr(text, ')');
	return at && (at[2] == 'Z' || at[2] == 'X');
}

/* A reporter that went, and has not opened the image again. */
static bool is_former(const struct member *member, pid_t process)
{
	for (size_t i = 0; member->reporters && i < FORMER_MAX; i++)
		if (process != 0 && member->reporters->former[i] == process)
			return true;
	return false;
}

static void no_longer_former(struct member *member, pid_t process)
{
	for (size_t i = 0; member->reporters && i < FORMER_MAX; i++)
		if (member->reporters->former[i] == process)
			member->reporters->former[i] = 0;
}

static void doubt(struct member *member)
{
	if (!member->doubtful && !member->being_counted)
		member->doubt_ns = clock_now_ns(CLOCK_MONOTONIC);
	if (!member->doubtful)
		pthread_cond_signal(&member->all->wanted);
	member->doubtful = true;
}

static void doubt_everybody(struct companies *all)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct member *member = all->buckets[i]; member; member = member->next) {
			member->foreign++;
			doubt(member);
		}
	}
}

/* fanotify(7), FAN_REPORT_FID: behind the metadata one record with filesystem and handle. False: there is none. */
static bool handle_of(const struct fanotify_event_metadata *event, struct handle *handle)
{
	const unsigned char *record = (const unsigned char *)event + event->metadata_len;
	struct fanotify_event_info_fid info;
	struct file_handle head;
	size_t record_bytes = event->event_len - event->metadata_len, at = sizeof(info);

	if (event->event_len < event->metadata_len || record_bytes < sizeof(info) + sizeof(head))
		return false;
	memcpy(&info, record, sizeof(info));
	memcpy(&head, record + at, sizeof(head));
	at += sizeof(head);
	if (info.hdr.info_type != FAN_EVENT_INFO_TYPE_FID || head.handle_bytes > MAX_HANDLE_SZ ||
	    head.handle_bytes > record_bytes - at)
		return false;
	handle->type = head.handle_type;
	handle->length_bytes = head.handle_bytes;
	memcpy(handle->bytes, record + at, head.handle_bytes);
	return true;
}

static void take_event(struct companies *all, const struct fanotify_event_metadata *event)
{
	struct handle handle;

	if (event->mask & FAN_Q_OVERFLOW || !handle_of(event, &handle)) {
		doubt_everybody(all);
		return;
	}
	if (event->pid == getpid())
		return;
	for (struct member *member = of_handle(*bucket_of(all, &handle), &handle); member;
	     member = of_handle(member->next, &handle)) {
		if (event->pid != 0 && is_known(member, event->pid))
			continue;
		if (event->mask & FAN_OPEN)
			no_longer_former(member, event->pid);
		/* Whoever had it open for writing may have written without a sign; but for what it reported. */
		if (event->mask & FAN_MODIFY ||
		    (event->mask & FAN_CLOSE_WRITE && !(is_former(member, event->pid) && is_dead(event->pid))))
			member->foreign++;
		doubt(member);
	}
}

/* Empties the queue as it was when the call began, or more. Ends: an empty one answers EAGAIN. */
static void drain(struct companies *all)
{
	_Alignas(struct fanotify_event_metadata) char buffer[4096];

	for (;;) {
		ssize_t length = read(all->fd, buffer, sizeof(buffer));

		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			return;
		/* Each event says how long it is, and the kernel writes whole ones. */
		for (ssize_t at = 0; at < length;) {
			const struct fanotify_event_metadata *event = (const void *)(buffer + at);

			take_event(all, event);
			at += (ssize_t)event->event_len;
		}
	}
}

/* ---- the census ---------------------------------------------------------- */

struct round {
	struct companies *all;
	size_t count;
	struct census_file files[CENSUS_FILES_MAX];
};

static void census_found(void *context, size_t index, pid_t process)
{
	struct round *round = context;
	const struct census_file *file = &round->files[index];

	LOCK_SCOPE(&round->all->lock);
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct member *member = round->all->buckets[i]; member; member = member->next) {
			if (member->file.device != file->device || member->file.inode != file->inode ||
			    (process != 0 && is_known(member, process)))
				continue;
			member->found_any = true;
			member->found = process;
		}
	}
}

/* Under the lock: the images that want a census, and those that are not alone. */
static void begin_round(struct companies *all, struct round *round)
{
	round->count = 0;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct member *member = all->buckets[i]; member; member = member->next) {
			if (!member->marked || member->blind || round->count == CENSUS_FILES_MAX ||
			    !(member->doubtful || member->accompanied || member->uncounted))
				continue;
			member->doubtful = false;
			member->being_counted = true;
			member->found_any = false;
			member->found = 0;
			round->files[round->count++] = member->file;
		}
	}
}

static void end_round(struct companies *all, bool counted)
{
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct member *member = all->buckets[i]; member; member = member->next) {
			if (!member->being_counted)
				continue;
			member->being_counted = false;
			member->uncounted = !counted;
			member->accompanied = member->found_any ||
					      (member->is_block && census_has_back_doors(member->file.device));
			member->other = member->found;
		}
	}
}

static bool anybody_in_doubt(const struct companies *all)
{
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct member *member = all->buckets[i]; member; member = member->next)
			if (member->marked && !member->blind && member->doubtful)
				return true;
	return false;
}

/* Woken by a doubt, and by the clock: strangers are asked after again, and a queue nobody looks at is emptied. */
static void wait_for_doubt(struct companies *all)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += CENSUS_AGAIN_SECONDS;
	drain(all);
	while (!anybody_in_doubt(all))
		if (pthread_cond_timedwait(&all->wanted, &all->lock, &until) == ETIMEDOUT)
			return;
}

static void *census_thread(void *argument)
{
	struct companies *all = argument;
	struct timespec delay = { .tv_nsec = CENSUS_DELAY_NS };
	struct round *round = malloc(sizeof(*round));
	int error;

	if (!round) /* everybody stays doubtful */
		return NULL;
	round->all = all;
	for (;;) {
		pthread_mutex_lock(&all->lock);
		wait_for_doubt(all);
		pthread_mutex_unlock(&all->lock);
		nanosleep(&delay, NULL);
		pthread_mutex_lock(&all->lock);
		begin_round(all, round);
		pthread_mutex_unlock(&all->lock);
		if (round->count == 0)
			continue;
		error = census(round->files, round->count, census_found, round);
		pthread_mutex_lock(&all->lock);
		end_round(all, error == 0 || (error == -EACCES && all->trusted));
		pthread_mutex_unlock(&all->lock);
	}
	return NULL;
}

static void start_thread(struct companies *all)
{
	pthread_t thread;

	if (all->thread_started || pthread_create(&thread, NULL, census_thread, all) != 0)
		return;
	pthread_detach(thread);
	all->thread_started = true;
}

/* ---- one image ----------------------------------------------------------- */

static void mark(struct member *member)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", member->fd);
	member->marked = true;
	member->blind = member->handle.length_bytes == 0 ||
			fanotify_mark(member->all->fd, FAN_MARK_ADD, FAN_OPEN | FAN_MODIFY | FAN_CLOSE_WRITE, AT_FDCWD,
				      path) != 0;
	doubt(member);
	start_thread(member->all);
}

static void member_know(struct company *company, pid_t process)
{
	struct member *member = (struct member *)company;
	struct reporters *reporters;

	LOCK_SCOPE(&member->all->lock);
	/* What it did until now it has not reported. */
	if (member->marked)
		drain(member->all);
	if (!member->reporters)
		member->reporters = calloc(1, sizeof(*member->reporters));
	reporters = member->reporters;
	/* Without memory it is a stranger. */
	if (reporters && reporters->known_count < KNOWN_MAX) {
		reporters->known[reporters->known_count].process = process;
		reporters->known[reporters->known_count++].pidfd = (int)syscall(SYS_pidfd_open, process, 0);
	}
	if (!member->marked)
		mark(member);
	else
		doubt(member); /* it may have been the only stranger */
}

static void remove_known(struct reporters *reporters, pid_t process)
{
	for (size_t i = 0; i < reporters->known_count; i++) {
		if (reporters->known[i].process == process) {
			if (reporters->known[i].pidfd >= 0)
				close(reporters->known[i].pidfd);
			reporters->known[i] = reporters->known[--reporters->known_count];
			return;
		}
	}
}

/*
 * The kernel tells of a close when it likes: the process may have written since.
 * What it had reported was taken from the queue when it ended (reporter.c); what
 * is there now is not reported, unless it died in the midst of a write.
 */
static void member_forget(struct company *company, pid_t process, bool in_flight)
{
	struct member *member = (struct member *)company;
	struct reporters *reporters;

	LOCK_SCOPE(&member->all->lock);
	reporters = member->reporters;
	if (in_flight)
		drain(member->all);
	if (reporters) {
		remove_known(reporters, process);
		if (!is_known(member, process))
			reporters->former[reporters->former_next++ % FORMER_MAX] = process;
	}
	drain(member->all);
	/* It may go on writing without a word. */
	doubt(member);
}

static void member_look(struct company *company, struct company_state *state)
{
	struct member *member = (struct member *)company;

	LOCK_SCOPE(&member->all->lock);
	if (member->marked)
		drain(member->all);
	*state = (struct company_state){
		.foreign = member->foreign,
		.other = member->other,
		.doubt_ns = member->doubt_ns,
	};
	if (!member->all->whole_view)
		state->why_not = "processes outside of this PID namespace cannot be seen (see pidns=)";
	else if (member->blind)
		state->why_not = "its filesystem does not tell who opens files";
	else if (member->uncounted)
		state->why_not = "not every process can be looked at (this needs root, and /proc)";
	else if (member->accompanied)
		state->why_not = member->other ? "another process has it open for writing" :
						 "a loop device or something else stands on it";
	else if (!member->marked || member->doubtful || member->being_counted)
		state->why_not = "who else has it open is being found out";
	state->alone = !state->why_not;
	state->in_doubt = !state->alone && member->all->whole_view && !member->blind && !member->accompanied &&
			  !member->uncounted;
}

static void member_close(struct company *company)
{
	struct member *member = (struct member *)company;
	struct companies *all = member->all;
	char path[32];

	pthread_mutex_lock(&all->lock);
	for (struct member **at = bucket_of(all, &member->handle); *at; at = &(*at)->next) {
		if (*at == member) {
			*at = member->next;
			break;
		}
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", member->fd);
	if (member->marked && !of_handle(*bucket_of(all, &member->handle), &member->handle))
		fanotify_mark(all->fd, FAN_MARK_REMOVE, FAN_OPEN | FAN_MODIFY | FAN_CLOSE_WRITE, AT_FDCWD, path);
	pthread_mutex_unlock(&all->lock);
	while (member->reporters && member->reporters->known_count > 0)
		remove_known(member->reporters, member->reporters->known[0].process);
	free(member->reporters);
	free(member);
}

static const struct company_ops member_ops = { member_look, member_know, member_forget, member_close };

static struct handle handle_of_file(int fd)
{
	union {
		struct file_handle head;
		unsigned char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} found = { .head.handle_bytes = MAX_HANDLE_SZ };
	struct handle handle = { 0 };
	int mount;

	if (name_to_handle_at(fd, "", &found.head, &mount, AT_EMPTY_PATH) != 0)
		return handle;
	handle.type = found.head.handle_type;
	handle.length_bytes = found.head.handle_bytes;
	memcpy(handle.bytes, found.head.f_handle, handle.length_bytes);
	return handle;
}

int company_new(struct companies *all, int fd, struct company **company)
{
	struct member *member = calloc(1, sizeof(*member));

	if (!member)
		return -ENOMEM;
	member->company.ops = &member_ops;
	member->all = all;
	member->fd = fd;
	member->file = census_file_of(fd);
	member->handle = handle_of_file(fd);
	member->is_block = member->file.inode == 0;
	LOCK_SCOPE(&all->lock);
	member->next = *bucket_of(all, &member->handle);
	*bucket_of(all, &member->handle) = member;
	*company = &member->company;
	return 0;
}

/* The initial PID namespace has a number of its own (include/linux/proc_ns.h, PROC_PID_INIT_INO). */
static bool in_initial_pid_namespace(void)
{
	char text[64];
	ssize_t length = readlink("/proc/self/ns/pid", text, sizeof(text) - 1);

	return length > 0 && (text[length] = '\0', strcmp(text, "pid:[4026531836]") == 0);
}

int companies_new(bool trusted, struct companies **out)
{
	struct companies *all = calloc(1, sizeof(*all));
	pthread_condattr_t attributes;

	if (!all)
		return -ENOMEM;
	all->trusted = trusted;
	all->whole_view = trusted || in_initial_pid_namespace();
	all->fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS,
				O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NONBLOCK);
	if (all->fd < 0) {
		free(all);
		return -errno;
	}
	pthread_mutex_init(&all->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&all->wanted, &attributes);
	pthread_condattr_destroy(&attributes);
	*out = all;
	return 0;
}
