/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * daemon: the process: its descriptors and memory, its way into the background, and what systemd wants to hear.
 */
#pragma once

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

/* Keep descriptors 0-2 taken, so that no image ever becomes "stderr". */
void daemon_fill_standard_descriptors(void);

/* A lock or pipe of whoever started us must not stay open as long as the mount: all from 3 on, but `kept` (-1: none). */
void daemon_close_inherited(int kept);

/* Each image is two descriptors and more; the soft limit is meant for select(2). */
void daemon_raise_descriptor_limit(void);

/*
 * False: of descriptors or address space there is less than it takes, and that was said. The mount would be made and not
 * served, or nobody would hear of it.
 */
bool daemon_has_room(void);

rlim_t daemon_descriptor_limit(void);

/*
 * Kept content comes and goes in large pieces: have malloc map them, so that
 * they go back to the system; and few arenas for many short-lived threads.
 */
void daemon_tame_malloc(void);

/*
 * Fork. The parent stays until daemon_report, exits 0 if that came, 1 if the
 * child ended without it (it has said why on stderr), and never returns. False
 * when there is no fork to be had. Before any thread or ring exists.
 */
bool daemon_fork(void);

/* Open what the functions below need, and nobody can open any more once the process is confined. Once. */
void daemon_reach_out(void);

/* The mount answers: let the parent go, and let go of the terminal. Once; nothing happens without daemon_fork. */
void daemon_report(void);

/* sd_notify(3), when NOTIFY_SOCKET asks for it: lines such as "READY=1". False: the manager does not read, a second long. */
bool daemon_notify(const char *lines);

/*
 * When the main mount has ended: files, devices and directories are closed, and their descriptors are those
 * of /dev/null. Who unmounted may unmount the storage of the images next, and what is left to do takes
 * tens of milliseconds. Other threads may run, and get errors. After daemon_reach_out; again before the
 * process ends, for what they opened since.
 */
void daemon_let_go_of_files(void);

/*
 * Around each system call that walks a path, while the mount is served: SOURCE, a name in it, or what a link
 * leads to may be in a mount of ours.
 */
void daemon_walk_begin(void);
void daemon_walk_end(void);

/*
 * Did a thread of our own, or one at work for us, ask? It follows a link of SOURCE that leads into a mount
 * of ours: an answer could wait for itself. Refused, so that the link is mirrored
 * as it is, and its reader follows it. No system call as long as none of our threads walks a path.
 */
bool daemon_is_own_thread(pid_t caller);
