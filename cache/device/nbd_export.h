/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_export: reading from exports of block servers, by libnbd and one thread for all of them (nbd_loop.h).
 *
 * libnbd knows no limit of time. So nothing but this thread ever touches one of its handles: it polls all of
 * them, and throws one away whose server said nothing for WAIT_NBD_SILENT_NS while it was asked something,
 * which ends all reads of it. Whoever reads waits on a condition; that it comes true is this thread's
 * promise, and so reads go straight into the caller's memory.
 *
 * An export has one connection at a time, made when it is first looked at and closed when it was not used for
 * WAIT_NBD_IDLE_NS. Reads of any number of threads are in flight on it together; a second connection brings
 * nothing but work for the server. It is made by a thread of its own that asks the opener, since the resolver
 * may block, and goes through the handshake, since libnbd may (nbd_handshake.h); the loop ends that by the
 * socket when its time is over. What follows is the loop's.
 *
 * What a connection shows is what its server served when it was made: nbd-server keeps the file open that had
 * the export's name then, and nobody tells that another one has it now. So no look is taken over a connection
 * that is older than WAIT_NBD_AGE_NS, counted from the begin of its handshake, in which the export is named:
 * a new one takes its place. Who goes on to look has it begun before that (nbd_export_renew), beside the old
 * one, whose place it takes when it is there: so nobody waits for it, however far away the server is. But
 * some servers have a limit, and refuse the new one or let it wait for the end of the old: when that is too
 * old it is closed in any case. What was written through the same export to whatever the connection reads is
 * seen in any case, since servers answer reads from where they wrote (FACTS: a second connection to
 * nbd-server, nbdkit and qemu-nbd missed none of 500 writes that were not flushed).
 *
 * Whoever did not answer is asked again after WAIT_NBD_AGAIN_NS, then each time after twice as long. Until
 * then, and while its next connection has been in the making for longer than WAIT_NBD_LOOK_NS, a look is
 * refused at once: a server that is gone costs nobody any time.
 *
 * All functions may be called from any thread.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cache/device/nbd_handshake.h"

struct nbd_handle;
struct nbd_export;
struct nbd_target;
struct ring_piece;

/* Of `target`, which gets a reference; nothing is connected yet. -ENOMEM. */
int nbd_export_new(struct nbd_target *target, struct nbd_export **out);

/* Nobody reads from it any more. NULL is fine. */
void nbd_export_free(struct nbd_export *nbd_export);

/* What a look saw, and over which connection: reads go over that one, or (then the next look shows it) a later one. */
struct nbd_look {
	uint64_t size_bytes;
	uint64_t connection; /* the how-manieth of the export; 0: there was none yet */
	/* CLOCK_MONOTONIC: who the server is was decided in between, by the socket; the export is opened after the second. */
	int64_t begun_ns, talks_ns;
};

/*
 * How large is it? Over a connection that is young enough, and was begun at `since_ns` or later, for which it waits
 * `within_ns` at most. -EIO, and the target knows why.
 */
int nbd_export_look(struct nbd_export *nbd_export, int64_t since_ns, int64_t within_ns, struct nbd_look *look);

/*
 * It was looked at, and is going to be again: if its connection is about to be too old for that, and there is
 * room beside it, another one is begun. Never waits.
 */
void nbd_export_renew(struct nbd_export *nbd_export);

/* Is there a connection, as far as is known? */
bool nbd_export_is_connected(struct nbd_export *nbd_export);

/*
 * Read all of them, each at most NBD_REQUEST_BYTES_MAX long and within the size, side by side; results as of
 * ring_read_pieces, or -EIO. Blocks as long as the server says something, and WAIT_NBD_SILENT_NS.
 */
void nbd_export_read(struct nbd_export *nbd_export, struct ring_piece *pieces, size_t count);

/* So many connections at most, in all. Before there are any; 0: the default. */
void nbd_set_connections_max(size_t count);

/* ---- for the loop: what it shares with those who ask ------------------------------------- */

/* What one call of nbd_export_read wants; on its stack. */
struct nbd_batch {
	struct ring_piece *pieces;
	size_t count;
	size_t issued; /* the loop's: those before it were */
	size_t left;   /* lock: those that are not over */
	pthread_cond_t over;
	struct nbd_batch *next; /* lock: of its export */
};

/* Of a connection. */
enum nbd_stage {
	NBD_MAKING,	 /* its thread asks the opener */
	NBD_SHAKING, /* its thread goes through the handshake */
	NBD_READY,	 /* the export's current one */
	NBD_RETIRED, /* its reads may come to their end */
	NBD_CLOSING, /* the server was told */
};

struct nbd_connection {
	struct nbd_export *nbd_export; /* constant */
	int64_t begun_ns;     /* constant: before anything was asked */
	enum nbd_stage stage;     /* lock */
	int64_t talks_ns;	      /* lock: NBD_SHAKING began; the server opened the export after that */
	int fd;		      /* lock: another descriptor of its socket in NBD_SHAKING, to end the handshake; else -1 */
	bool made;	      /* lock: its thread is over, and has left: */
	struct nbd_handle *shaken; /* lock: what is ready for reads; or NULL */
	uint64_t size_bytes;  /* lock */
	struct nbd_connection *next; /* lock: of all; only the loop takes one out */
	/* The loop's (nbd_connection.c). */
	struct nbd_handle *handle; /* or NULL */
	_Atomic unsigned reads; /* in flight; others only look */
	int64_t heard_ns;     /* when the server last said anything, or was first asked */
	int64_t ended_ns;     /* when a read last came to its end, or was first asked for */
	int64_t closing_ns;
	bool failed;	      /* its last read did */
};

struct nbd_export {
	struct nbd_target *target; /* constant */
	pthread_cond_t changed;	   /* current or next */
	/* Under the lock. */
	struct nbd_connection *current; /* NBD_READY; or NULL */
	struct nbd_connection *next;    /* NBD_MAKING or NBD_SHAKING, and in time; or NULL */
	unsigned connections;	    /* all that point here */
	bool freed;		    /* with its last connection */
	uint64_t size_bytes;	    /* over the current one */
	uint64_t served;	    /* how many were current until now */
	int64_t took_ns;	    /* to make the last one */
	int64_t renew_ns;	    /* not beside the current one before: that was in vain */
	int64_t used_ns;	    /* when it was last looked at or read from */
	int64_t again_ns;	    /* not to be connected to before */
	unsigned failures;	    /* in a row */
	struct nbd_batch *first, *last; /* to be issued; none without current or next */
};

extern struct nbd_all {
	pthread_mutex_t lock;	     /* never held across a call of libnbd */
	struct nbd_connection *first; /* lock */
	pthread_cond_t made;	     /* one of them is made, or not to be had; once the loop runs */
	size_t count, count_max;     /* lock; constant once there are any */
	int wake_fd;		     /* constant once the loop runs */
	bool woken;		     /* lock */
} nbd_all;

/* The caller's to free: nobody has it, and nothing points to it. */
void nbd_export_destroy(struct nbd_export *nbd_export);

/* A read is over, and with the last of its batch whoever waits for that. Takes the lock. */
void nbd_end_piece(struct nbd_batch *batch, struct ring_piece *piece, ssize_t result);

/* The following under the lock. The loop is to look what there is to do. */
void nbd_wake(void);

/* Nothing comes of `next`. That is a failure of the export, unless there is a current one. */
void nbd_fail_next(struct nbd_export *nbd_export, const char *problem, const char *details);

/* What was not issued fails, and it is not connected to again for a while, the longer the more often that was so. */
void nbd_fail_export(struct nbd_export *nbd_export, const char *problem, const char *details);

/* It gets no more reads, and ends with those that it has. */
void nbd_retire(struct nbd_export *nbd_export);

bool nbd_is_idle(const struct nbd_connection *connection);
