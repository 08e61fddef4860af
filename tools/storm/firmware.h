/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * firmware: the sequences that are built in. CMake makes firmware.c of tests/data/firmware, so that what
 * tests play and what a storm plays is the same.
 */
#pragma once

extern const char firmware_pi3[], firmware_pi4[], firmware_pi5[];
