/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stream: the ledger, or the two texts, one of which fills while the other is sent. */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <nbdkit-filter.h>

#include "base/clock.h"
#include "cache/changes/ledger.h"

#define FUSE_SUPER_MAGIC 0x65735546

/* "write ", "done " and three numbers of 20 digits. */
#define LINE_MAX_BYTES 72
/* So many ticks imagefs may stay behind with what is posted while more and more is. */
#define TICKS_BEHIND 8

/* 220 writes of one image in flight: those of 14 connections with nbdkit's 16 threads. */
#define TEXT_BYTES 16384

struct text {
	size_t length;
	char bytes[TEXT_BYTES];
};

struct stream {
	void (*need)(void);	      /* constant, as is the name */
	pthread_mutex_t connect_lock; /* held by who opens the file; taken before the other one */
	pthread_mutex_t lock;	      /* for all below; released during write(2) */
	pthread_cond_t answered[2];   /* the batches with even and odd numbers */
	int fd;			      /* of the control file, or -1 */
	struct ledger *ledger;	      /* where imagefs serves it, else NULL */
	uint64_t posted;	      /* in the ledger, at the last tick */
	unsigned ticks_behind;
	bool sending;		      /* the fd and the text that is not being filled are a sender's */
	bool quiet;		      /* nothing was sent since the last tick */
	bool missed;		      /* something was changed without a report */
	bool told;		      /* that reports get lost is in the log */
	uint64_t batch;		      /* the number of the text being filled */
	uint64_t sent;		      /* batches up to here were answered */
	uint64_t last_id;
	struct change *in_flight;
	struct text text[2];
	char name[];
};

struct stream *stream_new(const char *name, void (*need)(void))
{
	struct stream *stream = calloc(1, sizeof(*stream) + strlen(name) + 1);

	if (!stream)
		return NULL;
	stream->need = need;
	pthread_mutex_init(&stream->connect_lock, NULL);
	pthread_mutex_init(&stream->lock, NULL);
	pthread_cond_init(&stream->answered[0], NULL);
	pthread_cond_init(&stream->answered[1], NULL);
	stream->fd = -1;
	stream->batch = 1;
	strcpy(stream->name, name);
	return stream;
}

/* ---- lines; under the lock, as all below up to stream_connect --------------- */

static struct text *text_being_filled(struct stream *stream)
{
	return &stream->text[stream->batch & 1];
}

static bool has_room(struct stream *stream)
{
	if (stream->ledger)
		return ledger_untaken(stream->ledger) < LEDGER_RECORDS;
	return text_being_filled(stream)->length + LINE_MAX_BYTES <= TEXT_BYTES;
}

static void say_to(struct text *text, const char *word)
{
	size_t length = strlen(word);

	memcpy(text->bytes + text->length, word, length);
	text->length += length;
}

static void say(struct stream *stream, const char *word)
{
	say_to(text_being_filled(stream), word);
}

/* By hand: printf takes a tenth of what the whole report does. */
static void say_number(struct stream *stream, uint64_t number, char end)
{
	char digits[22];
	size_t at = sizeof(digits);

	digits[--at] = '\0';
	digits[--at] = end;
	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	say(stream, digits + at);
}

/* There is room. The change is known at once, or with the batch. */
static void say_change(struct stream *stream, struct change *change)
{
	change->reported = true;
	change->batch = stream->batch;
	if (stream->ledger) {
		ledger_post(stream->ledger, change->id, change->offset_bytes, change->length_bytes, clock_now_ns(CLOCK_MONOTONIC));
		if (!ledger_is_watched(stream->ledger, change->offset_bytes, change->length_bytes))
			change->batch = 0;
		return;
	}
	say(stream, "write ");
	say_number(stream, change->offset_bytes, ' ');
	say_number(stream, change->length_bytes, ' ');
	say_number(stream, change->id, '\n');
}

static void say_done(struct stream *stream, const struct change *change)
{
	if (stream->ledger) {
		ledger_post(stream->ledger, change->id, 0, 0, clock_now_ns(CLOCK_MONOTONIC));
		return;
	}
	say(stream, "done ");
	say_number(stream, change->id, '\n');
}

/* ---- sending ----------------------------------------------------------------- */

static int write_text(int fd, const struct text *text)
{
	size_t done = 0;
	ssize_t n;

	while (done < text->length) {
		n = write(fd, text->bytes + done, text->length - done);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? EIO : errno;
		done += (size_t)n;
	}
	return 0;
}

static void give_up_ledger(struct stream *stream)
{
	if (stream->ledger)
		munmap(stream->ledger, sizeof(*stream->ledger));
	stream->ledger = NULL;
}

/* There is nobody to report to, and what was reported is known to nobody. */
static void lose(struct stream *stream, int error)
{
	stream->fd = -1;
	give_up_ledger(stream);
	stream->missed = true;
	text_being_filled(stream)->length = 0;
	for (struct change *change = stream->in_flight; change; change = change->next)
		change->reported = false;
	if (!stream->told)
		nbdkit_error("imagefs: %s: %s: until it is back, writes are not reported", stream->name,
			     strerror(error));
	stream->told = true;
	stream->need();
}

/* How many imagefs will have taken when it has answered, at least. */
static uint64_t to_be_taken(struct stream *stream)
{
	return stream->ledger ? atomic_load_explicit(&stream->ledger->posted, memory_order_relaxed) : 0;
}

/* It has answered, but not taken them: it never will. */
static bool is_stuck(struct stream *stream, uint64_t count)
{
	return stream->ledger && to_be_taken(stream) - ledger_untaken(stream->ledger) < count;
}

/*
 * Send what has gathered, unless somebody is sending. Releases the lock meanwhile. With
 * a ledger it is an empty line: imagefs takes what was posted before it answers that.
 */
static void send_text(struct stream *stream)
{
	const struct text *text = text_being_filled(stream);
	uint64_t batch = stream->batch++, count = to_be_taken(stream);
	int fd = stream->fd, error;

	if (text->length == 0)
		say_to(&stream->text[batch & 1], "\n");
	text_being_filled(stream)->length = 0;
	stream->sending = true;
	stream->quiet = false;
	pthread_mutex_unlock(&stream->lock);

	error = write_text(fd, text);
	if (error)
		close(fd);

	pthread_mutex_lock(&stream->lock);
	if (!error && is_stuck(stream, count)) {
		error = EPROTO;
		close(fd);
	}
	stream->sending = false;
	stream->sent = batch;
	pthread_cond_broadcast(&stream->answered[batch & 1]);
	if (error) {
		lose(stream, error);
		pthread_cond_broadcast(&stream->answered[stream->batch & 1]);
	} else {
		/* One of those who gathered meanwhile sends for all of them. */
		pthread_cond_signal(&stream->answered[stream->batch & 1]);
	}
}

/* One step closer to the answer of `batch`. */
static void send_or_wait(struct stream *stream, uint64_t batch)
{
	if (stream->sending)
		pthread_cond_wait(&stream->answered[batch & 1], &stream->lock);
	else
		send_text(stream);
}

/* ---- the control file ---------------------------------------------------------- */

/* O_NONBLOCK is for what might be a FIFO; a write to a file on FUSE waits all the same. */
static int open_control_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	struct statfs fs;

	if (fd != -1 && (fstatfs(fd, &fs) == -1 || fs.f_type != FUSE_SUPER_MAGIC)) {
		nbdkit_debug("imagefs: %s: is served by somebody else", path);
		close(fd);
		fd = -1;
	}
	return fd;
}

/* A ledger for imagefs to share, as its *fd; NULL: there can be none. */
static struct ledger *offer_ledger(int *fd)
{
	struct ledger *ledger = MAP_FAILED;

	*fd = memfd_create("imagefs-ledger", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd == -1)
		return NULL;
	if (ftruncate(*fd, sizeof(*ledger)) == 0 && fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
		ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (ledger == MAP_FAILED) {
		close(*fd);
		return NULL;
	}
	atomic_store(&ledger->made_ns, (uint64_t)clock_now_ns(CLOCK_MONOTONIC));
	atomic_store(&ledger->magic, LEDGER_MAGIC);
	return ledger;
}

/* The offer was answered; or the control file is lost. */
static void take_up_ledger(struct stream *stream, struct ledger *ledger, int fd)
{
	close(fd);
	stream->ledger = ledger;
	stream->posted = 0;
	if (stream->fd == -1 || !atomic_load(&ledger->imagefs_serves))
		give_up_ledger(stream);
}

static void introduce(struct stream *stream, int fd)
{
	struct change *change;
	struct ledger *ledger;
	int ledger_fd;

	/* What comes with it is the first that imagefs hears of this process; from then on silence counts. */
	stream->fd = fd;
	ledger = offer_ledger(&ledger_fd);
	if (ledger) {
		say(stream, "ledger ");
		say_number(stream, (uint64_t)ledger_fd, '\n');
	}
	say(stream, stream->missed ? "flush\ndone\n" : "done\n");
	for (change = stream->in_flight; change && has_room(stream); change = change->next)
		say_change(stream, change);
	if (change) {
		/* More than can be said at once. Another time, then. */
		close(fd);
		lose(stream, ENOBUFS);
	} else {
		stream->missed = false;
		send_text(stream);
	}
	if (ledger)
		take_up_ledger(stream, ledger, ledger_fd);
	if (stream->fd != -1)
		stream->told = false;
}

void stream_connect(struct stream *stream, const char *path)
{
	bool connected;
	int fd;

	pthread_mutex_lock(&stream->connect_lock);
	pthread_mutex_lock(&stream->lock);
	/* A sender whose report failed is done with the old file before it says that there is none. */
	connected = stream->fd != -1;
	pthread_mutex_unlock(&stream->lock);
	if (!connected && (fd = open_control_file(path)) != -1) {
		nbdkit_debug("imagefs: %s: writes are reported there", path);
		pthread_mutex_lock(&stream->lock);
		introduce(stream, fd);
		pthread_mutex_unlock(&stream->lock);
	}
	pthread_mutex_unlock(&stream->connect_lock);
}

void stream_free(struct stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	if (stream->fd != -1 && (stream->ledger || text_being_filled(stream)->length > 0))
		send_text(stream);
	if (stream->fd != -1)
		close(stream->fd);
	give_up_ledger(stream);
	pthread_mutex_unlock(&stream->lock);
	pthread_cond_destroy(&stream->answered[0]);
	pthread_cond_destroy(&stream->answered[1]);
	pthread_mutex_destroy(&stream->lock);
	pthread_mutex_destroy(&stream->connect_lock);
	free(stream);
}

/* ---- changes --------------------------------------------------------------------- */

void stream_begin(struct stream *stream, struct change *change)
{
	pthread_mutex_lock(&stream->lock);
	change->id = ++stream->last_id;
	change->next = stream->in_flight;
	change->link = &stream->in_flight;
	if (change->next)
		change->next->link = &change->next;
	stream->in_flight = change;
	/* Ends: each round sends, or waits for who does; a full text is empty after its turn. */
	while (stream->fd != -1 && !(change->reported && stream->sent >= change->batch)) {
		if (!change->reported && has_room(stream))
			say_change(stream, change);
		else
			send_or_wait(stream, change->reported ? change->batch : stream->batch);
	}
	if (!change->reported)
		stream->missed = true;
	pthread_mutex_unlock(&stream->lock);
}

void stream_end(struct stream *stream, struct change *change)
{
	bool reported;

	pthread_mutex_lock(&stream->lock);
	while (change->reported && !has_room(stream))
		send_or_wait(stream, stream->batch);
	reported = change->reported;
	if (reported)
		say_done(stream, change);
	*change->link = change->next;
	if (change->next)
		change->next->link = change->link;
	pthread_mutex_unlock(&stream->lock);
	if (reported)
		stream->need();
}

/* Is imagefs to be told by us, since nobody else does? */
static bool is_due(struct stream *stream)
{
	uint64_t posted;

	if (stream->fd == -1 || stream->sending)
		return false;
	if (text_being_filled(stream)->length > 0)
		return stream->quiet;
	if (!stream->ledger)
		return false;
	posted = atomic_load_explicit(&stream->ledger->posted, memory_order_relaxed);
	if (ledger_untaken(stream->ledger) == 0)
		stream->ticks_behind = 0;
	else if (posted != stream->posted && ++stream->ticks_behind < TICKS_BEHIND)
		stream->posted = posted;
	else
		return true;
	return false;
}

static bool has_something_to_say(struct stream *stream)
{
	return text_being_filled(stream)->length > 0 || (stream->ledger && ledger_untaken(stream->ledger) > 0);
}

enum stream_need stream_tick(struct stream *stream)
{
	enum stream_need need = STREAM_NEEDS_FILE;

	pthread_mutex_lock(&stream->lock);
	if (is_due(stream)) {
		stream->ticks_behind = 0;
		send_text(stream);
	}
	/* While requests carry the ends, a look now and then is cheaper than being called by each of them. */
	if (stream->fd != -1)
		need = !stream->quiet || has_something_to_say(stream) ? STREAM_NEEDS_TICK : STREAM_NEEDS_NOTHING;
	stream->quiet = true;
	pthread_mutex_unlock(&stream->lock);
	return need;
}
