/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config: config.txt, line by line, for those who write it.
 *
 * A text is `length` bytes from malloc that the caller owns; *text is replaced when a function succeeds, and left
 * alone when it fails. Every byte that is not of the setting in question stays as it is: comments, order, line ends
 * (a new line ends as the first one does), lines that are too long, bytes that are no text. Doing the same again
 * changes nothing.
 *
 * A section is what stands under its [filter] alone; NULL, "" and "all" are what counts for every board. Lines under
 * more than one filter, [pi4] and then [gpio4=1], belong to no section that can be named.
 *
 * Pure functions over text; any thread. They return 0, -ENOMEM, -EINVAL (a section, key or value that cannot be
 * written), -E2BIG (the line would be longer than the CONFIG_LINE_BYTES that the firmware reads).
 */
#pragma once

#include <stddef.h>

#define CONFIG_LINE_BYTES 98

/*
 * `key=value` in that section. Stands the key there already, its last line gets the value: the firmware lets the last
 * one win. dtoverlay, include and gpio may be given several times: the line is added if it is not there. So may
 * dtparam, but for the same parameter: `audio=off` replaces `audio=on`; a new one goes before the section's first
 * dtoverlay, since behind it would be that overlay's. `initramfs` and `include` are written without '=', as the
 * firmware wants. New lines go to the end of the section, and a section that is not there to the end of the text.
 */
int config_set(char **text, size_t *length, const char *section, const char *key, const char *value);

/* All lines of that key in that section go; with a value (not NULL) only those that have it. None: no error. */
int config_unset(char **text, size_t *length, const char *section, const char *key, const char *value);

/* As the option has it: "key=value", "key=value [section]" or "[section] key=value" taken apart. */
int config_set_line(char **text, size_t *length, const char *line);
