/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* order: what is in use, by its last use; each has a link of it inside. Under its owner's lock. */
#pragma once

#include <stddef.h>

struct order_link {
	struct order_link *newer, *older;
};

/* Zero is an empty one. */
struct order {
	struct order_link *newest, *oldest;
};

static inline void order_take(struct order *order, struct order_link *link)
{
	*(link->newer ? &link->newer->older : &order->newest) = link->older;
	*(link->older ? &link->older->newer : &order->oldest) = link->newer;
	*link = (struct order_link){ NULL, NULL };
}

/* As the last one that was used. */
static inline void order_add(struct order *order, struct order_link *link)
{
	*link = (struct order_link){ .older = order->newest };
	*(order->newest ? &order->newest->newer : &order->oldest) = link;
	order->newest = link;
}

static inline void order_use(struct order *order, struct order_link *link)
{
	order_take(order, link);
	order_add(order, link);
}

static inline void *order_owner(struct order_link *link, size_t offset)
{
	return link ? (char *)link - offset : NULL;
}

/* What has `link` as its `member`; NULL of none. */
#define ORDER_OWNER(link, type, member) ((type *)order_owner(link, offsetof(type, member)))
