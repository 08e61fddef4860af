/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/request.h"

#include "fuse/names/links.h"

struct lane *request_lane(const struct request *request)
{
	const char *name = request->name;

	if (view_is_single(request->fs->view))
		return &request->fs->root_lane;
	if (request->image)
		return &request->image->lane;
	if (request->inode->top->name)
		name = request->inode->top->name;
	return name ? queue_lane_of_name(request->fs->queue, name) : &request->fs->root_lane;
}

uint64_t request_share(const struct request *request)
{
	const char *name = request->inode->top->name ? request->inode->top->name : request->name;

	return request->image ? request->image->share : view_share_of(name ? name : "");
}

static bool claim(struct request *request, enum request_answer answer)
{
	enum request_answer open = REQUEST_OPEN;

	return atomic_compare_exchange_strong(&request->answered, &open, answer);
}

bool request_claim(struct request *request)
{
	return claim(request, REQUEST_ANSWERED);
}

bool request_claim_late(struct request *request)
{
	return claim(request, REQUEST_LATE);
}

bool request_is_answered(const struct request *request)
{
	return atomic_load(&request->answered) != REQUEST_OPEN;
}

void request_release(struct request *request)
{
	if (request->give_back)
		request->give_back(request->held);
	view_image_put(request->image);
	inodes_put(request->fs->inodes, request->inode);
}
