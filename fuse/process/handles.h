/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * handles: what users hold open that costs the daemon memory (CONTRACT S5): directories
 * that are listed, and status files.
 *
 * What a handle is read from is its content: constant bytes, made when the handle is read
 * from its beginning and kept, so that who reads in pieces reads one text. All handles of
 * one user (uid) with the same key and the same bytes share one content.
 *
 * A user has HANDLES_USER_BYTES of contents, and all users have HANDLES_ALL_BYTES. Past
 * that the contents that were not used for longest are dropped, the user's own first. Who
 * reads on in one that was dropped makes it anew, and goes on if it is equal to the last
 * one. A user has HANDLES_USER_MAX handles, but for root, as long as all
 * have no more than HANDLES_ALL_MAX, and HANDLES_LEAST in any case; past that an open fails. HANDLES_GROWING_MAX of them,
 * root's too, may be read from what is still being made, which is no content yet.
 *
 * Thread-safe; waits for no device. The lock of all handles is held for table work only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HANDLES_USER_MAX 4096U
#define HANDLES_ALL_MAX 65536U
#define HANDLES_LEAST 16U
#define HANDLES_GROWING_MAX 64U
#define HANDLES_USER_BYTES ((size_t)16 << 20)
#define HANDLES_ALL_BYTES ((size_t)64 << 20)

struct handles;
struct handle_user;
struct content;

/* Embedded in what is open; set by handle_open. */
struct handle {
	struct handles *handles;
	struct handle_user *user;
	uint64_t key;		 /* what it is open of */
	struct content *content; /* the lock: what it was last read from, also when that was dropped */
};

struct handles *handles_new(void); /* NULL: no memory */

/* -EMFILE: the user, or all, have their share. -ENOMEM. */
int handle_open(struct handles *handles, uid_t uid, uint64_t key, struct handle *handle);
void handle_close(struct handle *handle);

/* It is to be read from what is being made: false if its user has that many already. Once, until handle_grown. */
bool handle_grow(struct handle *handle);
void handle_grown(struct handle *handle);

/*
 * It is read from these `bytes` now, of malloc, which are taken over: one use of them, until
 * content_put. *another: what it was read from before was something else. NULL: no memory.
 */
struct content *handle_fill(struct handle *handle, char *bytes, size_t length_bytes, bool *another);

/* Have it read from the youngest content of its user and key, if that was made after `since_ns`. */
bool handle_share(struct handle *handle, int64_t since_ns);

/* What it is read from: one use of it, until content_put, before the handle is closed. NULL: nothing yet, or
 * it was dropped. */
struct content *handle_content(struct handle *handle);
void content_put(struct content *content); /* NULL is fine */

/* Constant as long as the use. */
const char *content_bytes(const struct content *content, size_t *length_bytes);

struct handles_status {
	unsigned handles, users;
	size_t content_bytes;
};

void handles_status(struct handles *handles, struct handles_status *status);
