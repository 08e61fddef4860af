/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_target: which image behind a block server is meant, by which link of SOURCE it is reached just now, and how the
 * connection to it is; shared by who shows it (status), who names it (fuse/names) and who reads from it.
 *
 * All functions may be called from any thread, and none blocks but nbd_target_connect.
 */
#pragma once

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "cache/device/nbd_uri.h"

enum nbd_state {
	NBD_IDLE,	/* there is none, and none is wanted */
	NBD_CONNECTING,
	NBD_CONNECTED,
	NBD_FAILED,	/* it was wanted, and is not there */
};

struct nbd_target {
	_Atomic unsigned references;
	char *text;	      /* constant: the URI */
	struct nbd_uri uri;   /* constant, if there is no problem with it */
	const char *malformed; /* constant: why the text cannot be understood, or used; or NULL */
	bool direct;	      /* constant: it is connected to from here, and no link counts */
	struct nbd_target *of; /* constant: the one beside which it is; or NULL */
	char *export;	      /* constant: its own name of the export then */
	pthread_mutex_t lock;
	char link[NAME_MAX + 1]; /* lock: of SOURCE, to the URI; "": SOURCE itself is it */
	enum nbd_state state;	 /* lock, as the next three */
	int64_t since_ns;	 /* CLOCK_MONOTONIC: when that began */
	const char *problem;	 /* NBD_FAILED: constant text, a sentence that begins with "its" */
	char details[256];	 /* NBD_FAILED: what the library says besides, or "" */
};

/*
 * With one reference, which is the caller's. `link` as above; NULL: who calls may connect. A text that cannot be
 * understood is a target as well, to which nobody can connect. NULL: no memory.
 */
struct nbd_target *nbd_target_new(const char *text, const char *link);

/* The export of that name with `suffix` behind it, of the same server, which is connected to as for that. NULL: no memory. */
struct nbd_target *nbd_target_beside(struct nbd_target *target, const char *suffix);

struct nbd_target *nbd_target_ref(struct nbd_target *target);
void nbd_target_unref(struct nbd_target *target); /* NULL is fine */

/* This link leads to it, too, and was looked at last. */
void nbd_target_found_at(struct nbd_target *target, const char *link);

/* A socket that is connected to its server (with TLS: to a relay, nbd_relay.h), or -errno as opener_connect. Blocks. */
int nbd_target_connect(struct nbd_target *target);

void nbd_target_set_state(struct nbd_target *target, enum nbd_state state, const char *problem, const char *details);

/* The first connection is being made: it is too early to say whether it can be read. */
bool nbd_target_is_connecting(struct nbd_target *target);

/* Why it cannot be read just now: constant text; NULL: it can, as far as is known. */
const char *nbd_target_problem(struct nbd_target *target);

/* "connected for 2.1 s", in `bytes`. */
void nbd_target_describe(struct nbd_target *target, char *text, size_t bytes);

/* What nbd_target_connect's error means, as a problem. */
const char *nbd_target_why(int error);
