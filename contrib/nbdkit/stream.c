/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* stream: the two texts, one of which fills while the other is sent. */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <nbdkit-filter.h>

#define FUSE_SUPER_MAGIC 0x65735546

/* "write ", "done " and three numbers of 20 digits. */
#define LINE_MAX_BYTES 72
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
	return text_being_filled(stream)->length + LINE_MAX_BYTES <= TEXT_BYTES;
}

static void say(struct stream *stream, const char *word)
{
	struct text *text = text_being_filled(stream);
	size_t length = strlen(word);

	memcpy(text->bytes + text->length, word, length);
	text->length += length;
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

static void say_change(struct stream *stream, struct change *change)
{
	say(stream, "write ");
	say_number(stream, change->offset_bytes, ' ');
	say_number(stream, change->length_bytes, ' ');
	say_number(stream, change->id, '\n');
	change->reported = true;
	change->batch = stream->batch;
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

/* There is nobody to report to, and what was reported is known to nobody. */
static void lose(struct stream *stream, int error)
{
	stream->fd = -1;
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

/* Send what has gathered, unless somebody is sending. Releases the lock meanwhile. */
static void send_text(struct stream *stream)
{
	const struct text *text = text_being_filled(stream);
	uint64_t batch = stream->batch++;
	int fd = stream->fd, error;

	text_being_filled(stream)->length = 0;
	stream->sending = true;
	stream->quiet = false;
	pthread_mutex_unlock(&stream->lock);

	error = write_text(fd, text);
	if (error)
		close(fd);

	pthread_mutex_lock(&stream->lock);
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

static void introduce(struct stream *stream, int fd)
{
	struct change *change;

	/* What comes with it is the first that imagefs hears of this process; from then on silence counts. */
	stream->fd = fd;
	say(stream, stream->missed ? "flush\ndone\n" : "done\n");
	for (change = stream->in_flight; change && has_room(stream); change = change->next)
		say_change(stream, change);
	if (change) {
		/* More than can be said at once. Another time, then. */
		close(fd);
		lose(stream, ENOBUFS);
		return;
	}
	stream->missed = false;
	send_text(stream);
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
	if (stream->fd != -1 && text_being_filled(stream)->length > 0)
		send_text(stream);
	if (stream->fd != -1)
		close(stream->fd);
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
	if (reported) {
		say(stream, "done ");
		say_number(stream, change->id, '\n');
	}
	*change->link = change->next;
	if (change->next)
		change->next->link = change->link;
	pthread_mutex_unlock(&stream->lock);
	if (reported)
		stream->need();
}

enum stream_need stream_tick(struct stream *stream)
{
	enum stream_need need = STREAM_NEEDS_FILE;

	pthread_mutex_lock(&stream->lock);
	if (stream->fd != -1 && stream->quiet && !stream->sending && text_being_filled(stream)->length > 0)
		send_text(stream);
	/* While requests carry the ends, a look now and then is cheaper than being called by each of them. */
	if (stream->fd != -1)
		need = !stream->quiet || text_being_filled(stream)->length > 0 ? STREAM_NEEDS_TICK
									       : STREAM_NEEDS_NOTHING;
	stream->quiet = true;
	pthread_mutex_unlock(&stream->lock);
	return need;
}
