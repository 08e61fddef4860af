/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd_writes: what the block server of an image says of the writes to it, by its export NAME@writes
 * (imagefs-writes(7)), for the image's write log. CONTRACT R.
 *
 * The page is read once for each look at the image, after the device was observed, and so after all who share
 * the look had asked; and what is read of the image under the look is read after that. The look that follows
 * reading tells whether it was of one moment. So it is a seqlock, whose halves are the looks that are taken
 * in any case.
 *
 * Whose page it is
 *   A page counts the writes that come through its server. So the connection to the image (NAME) must be to
 * that very server, which may be replaced between any two connects, while what was connected before goes on.
 * A connection to NAME is believed when it was begun after one to the page was made, and another one to the
 * page was begun after that, and both showed the same instance: then the address led to that server before
 * and after. Each connection to NAME is looked at in this way before anything is believed that was read over
 * it; the connections are as young as nbd_export.h has them. Another instance, a size that is not that of the
 * open export: NAME is connected to anew, and all is looked at again.
 *
 * When there is none
 *   NAME@writes is asked for before NAME is, when there is no connection to NAME: the one way to ask that no
 * server holds against us, for some have room for one client. No such export, no page, another version, a
 * page that no honest server says: no error. Then nothing tells (C7), and why is in the image's status. A
 * page that was there, and could not be read, is asked for again a while later, too, and what was believed
 * before is compared.
 *
 * Hostile pages: of one page so much is kept as one request has, twice; a look reads three at most.
 */
#pragma once

struct cache_device;
struct write_log;

/* `device` is of nbd.h. It is the log's feed from now on, and goes with that, before the device does.
 * -ENOMEM. */
int nbd_writes_new(struct cache_device *device, struct write_log *log);
