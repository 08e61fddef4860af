/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * writer: something that writes to an image, and when a call returns has the
 * reply that CONTRACT C1 counts from.
 *
 *   nbd[,fua][,flush][,notrim]:URI
 *                              libnbd; fua: every write; flush: at the end of an update
 *   iscsi[,flush]:iscsi://PORTAL/TARGET/LUN
 *   file[,flush]:PATH          pwrite, also to a device node
 *   direct[,flush]:PATH        the same with O_DIRECT
 *   dd:PATH                    dd conv=notrunc, a process for each part
 *
 * What goes wrong ends the program. Not for several threads at once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer;

struct writer *writer_open(const char *what);
void writer_close(struct writer *writer);

size_t writer_block_bytes(const struct writer *writer);
void writer_write(struct writer *writer, uint64_t offset, const unsigned char *bytes, size_t length);
void writer_end(struct writer *writer); /* of an update */
void writer_read(struct writer *writer, uint64_t offset, unsigned char *bytes, size_t length);

/* False when it cannot. What is there afterwards only a read can tell. */
bool writer_trim(struct writer *writer, uint64_t offset, size_t length);
bool writer_zero(struct writer *writer, uint64_t offset, size_t length);
