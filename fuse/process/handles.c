/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/handles.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/order.h"
#include "cache/device/hash.h"

#define USER_BUCKETS 64
#define CONTENT_BUCKETS 1024

/* What a content costs beside its bytes. */
#define CONTENT_COST_BYTES 256

/* One for each uid that has handles. The lock of all handles. */
struct handle_user {
	uid_t uid;
	unsigned handles, growing;
	size_t content_bytes;
	struct handle_user *next;
};

struct content {
	/* Constant. */
	struct handles *handles;
	struct handle_user
		*user; /* lives as long as the handles, and so as this one's last user but readers */
	uint64_t key;
	XXH128_hash_t hash;
	size_t length_bytes;
	/* The lock of all handles. */
	char *bytes;	  /* NULL: dropped */
	bool counted;	  /* in the share of the user; then it is in the list by use */
	unsigned users;	  /* handles, */
	unsigned readers; /* and those who read it just now: the bytes stay as long */
	int64_t made_ns;  /* CLOCK_MONOTONIC */
	struct content *next;
	struct order_link by_use;
};

struct handles {
	pthread_mutex_t lock;
	struct handle_user *users[USER_BUCKETS];
	struct content *contents[CONTENT_BUCKETS];
	struct order by_use; /* those that count */
	unsigned handle_count, user_count;
	size_t content_bytes;
};

struct handles *handles_new(void)
{
	struct handles *handles = calloc(1, sizeof(*handles));

	if (handles)
		pthread_mutex_init(&handles->lock, NULL);
	return handles;
}

/* ---- contents; all under the lock ------------------------------------------- */

static struct content **bucket_of(struct handles *handles, uid_t uid, uint64_t key)
{
	return &handles->contents[(key * UINT64_C(0x9e3779b97f4a7c15) + uid) % CONTENT_BUCKETS];
}

static size_t cost_of(const struct content *content)
{
	return content->length_bytes + CONTENT_COST_BYTES;
}

static struct content *content_of(struct order_link *link)
{
	return ORDER_OWNER(link, struct content, by_use);
}

static void count(struct content *content)
{
	content->counted = true;
	content->user->content_bytes += cost_of(content);
	content->handles->content_bytes += cost_of(content);
	order_add(&content->handles->by_use, &content->by_use);
}

/* It has no share any more: its bytes go with the last reader. */
static void drop(struct content *content)
{
	if (content->counted) {
		content->counted = false;
		content->user->content_bytes -= cost_of(content);
		content->handles->content_bytes -= cost_of(content);
		order_take(&content->handles->by_use, &content->by_use);
	}
	if (content->readers == 0)
		free(STEAL_POINTER(content->bytes));
}

static void free_if_unused(struct content *content)
{
	struct content **at = bucket_of(content->handles, content->user->uid, content->key);

	if (content->users > 0 || content->readers > 0)
		return;
	drop(content);
	while (*at != content)
		at = &(*at)->next;
	*at = content->next;
	free(content);
}

/* The oldest one of the user, or of all, but `keep`. */
static struct content *oldest_of(const struct handles *handles, const struct handle_user *user,
				 const struct content *keep)
{
	struct content *content = content_of(handles->by_use.oldest);

	while (content && (content == keep || (user && content->user != user)))
		content = content_of(content->by_use.newer);
	return content;
}

/* Back into the shares, by what was not used for longest. */
static void make_room(struct handles *handles, const struct handle_user *user, const struct content *keep)
{
	struct content *content;

	while (user->content_bytes > HANDLES_USER_BYTES && (content = oldest_of(handles, user, keep)))
		drop(content);
	while (handles->content_bytes > HANDLES_ALL_BYTES && (content = oldest_of(handles, NULL, keep)))
		drop(content);
}

static struct content *find(const struct handle *handle, const struct content *like)
{
	struct content *content = *bucket_of(handle->handles, handle->user->uid, handle->key);

	while (content &&
	       (content->user != handle->user || content->key != handle->key ||
		content->length_bytes != like->length_bytes || !XXH128_isEqual(content->hash, like->hash)))
		content = content->next;
	return content;
}

static void use(struct handle *handle, struct content *content)
{
	struct content *last = handle->content;

	if (last == content)
		return;
	content->users++;
	handle->content = content;
	if (!last)
		return;
	last->users--;
	free_if_unused(last);
}

/* ---- interface ---------------------------------------------------------------- */

struct content *handle_fill(struct handle *handle, char *bytes, size_t length_bytes, bool *another)
{
	struct handles *handles = handle->handles;
	CLEANUP_FREE struct content *made = calloc(1, sizeof(*made));
	CLEANUP_FREE char *surplus = bytes;
	struct content *content;

	if (!made)
		return NULL;
	made->handles = handles;
	made->user = handle->user;
	made->key = handle->key;
	made->hash = XXH3_128bits(bytes, length_bytes);
	made->length_bytes = length_bytes;
	LOCK_SCOPE(&handles->lock);
	content = find(handle, made);
	if (!content) {
		struct content **bucket = bucket_of(handles, handle->user->uid, handle->key);

		content = STEAL_POINTER(made);
		content->next = *bucket;
		*bucket = content;
	}
	if (!content->bytes)
		content->bytes = STEAL_POINTER(surplus);
	if (!content->counted)
		count(content);
	content->made_ns = clock_now_ns(CLOCK_MONOTONIC);
	*another = handle->content && handle->content != content;
	use(handle, content);
	make_room(handles, handle->user, content);
	content->readers++;
	return content;
}

bool handle_share(struct handle *handle, int64_t since_ns)
{
	struct content *content, *youngest = NULL;

	LOCK_SCOPE(&handle->handles->lock);
	for (content = *bucket_of(handle->handles, handle->user->uid, handle->key); content;
	     content = content->next)
		if (content->user == handle->user && content->key == handle->key && content->counted &&
		    content->made_ns > since_ns && (!youngest || content->made_ns > youngest->made_ns))
			youngest = content;
	if (youngest)
		use(handle, youngest);
	return youngest;
}

struct content *handle_content(struct handle *handle)
{
	struct content *content;

	LOCK_SCOPE(&handle->handles->lock);
	content = handle->content;
	if (!content || !content->counted)
		return NULL;
	content->readers++;
	order_use(&handle->handles->by_use, &content->by_use);
	return content;
}

void content_put(struct content *content)
{
	if (!content)
		return;
	LOCK_SCOPE(&content->handles->lock);
	content->readers--;
	if (!content->counted && content->readers == 0)
		free(STEAL_POINTER(content->bytes));
	free_if_unused(content);
}

const char *content_bytes(const struct content *content, size_t *length_bytes)
{
	*length_bytes = content->length_bytes;
	return content->bytes;
}

static struct handle_user *user_of(struct handles *handles, uid_t uid)
{
	struct handle_user **bucket = &handles->users[uid % USER_BUCKETS], *user = *bucket;

	while (user && user->uid != uid)
		user = user->next;
	if (user || !(user = calloc(1, sizeof(*user))))
		return user;
	user->uid = uid;
	user->next = *bucket;
	*bucket = user;
	handles->user_count++;
	return user;
}

/* Under the lock: may the user have one more? */
static bool has_share(const struct handles *handles, const struct handle_user *user)
{
	return user->uid == 0 || user->handles < HANDLES_LEAST ||
	       (user->handles < HANDLES_USER_MAX && handles->handle_count < HANDLES_ALL_MAX);
}

int handle_open(struct handles *handles, uid_t uid, uint64_t key, struct handle *handle)
{
	struct handle_user *user;

	LOCK_SCOPE(&handles->lock);
	user = user_of(handles, uid);
	if (!user)
		return -ENOMEM;
	if (!has_share(handles, user)) /* then it has some */
		return -EMFILE;
	user->handles++;
	handles->handle_count++;
	*handle = (struct handle){ .handles = handles, .user = user, .key = key };
	return 0;
}

bool handle_grow(struct handle *handle)
{
	LOCK_SCOPE(&handle->handles->lock);
	if (handle->user->growing == HANDLES_GROWING_MAX)
		return false;
	handle->user->growing++;
	return true;
}

void handle_grown(struct handle *handle)
{
	LOCK_SCOPE(&handle->handles->lock);
	handle->user->growing--;
}

void handle_close(struct handle *handle)
{
	struct handles *handles = handle->handles;
	struct handle_user *user = handle->user, **at = &handles->users[user->uid % USER_BUCKETS];

	LOCK_SCOPE(&handles->lock);
	if (handle->content) {
		handle->content->users--;
		free_if_unused(handle->content);
	}
	handles->handle_count--;
	if (--user->handles > 0)
		return;
	while (*at != user)
		at = &(*at)->next;
	*at = user->next;
	handles->user_count--;
	free(user);
}

void handles_status(struct handles *handles, struct handles_status *status)
{
	LOCK_SCOPE(&handles->lock);
	*status =
		(struct handles_status){ handles->handle_count, handles->user_count, handles->content_bytes };
}
