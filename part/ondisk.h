/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where things are in an MBR, an EBR and a GPT header; named once, for part/.
 *
 * MBR and EBR: as Linux block/partitions/msdos.c reads them; both have the same
 * form. GPT: UEFI specification 2.10, section 5.3. All numbers little-endian,
 * all positions in sectors of the disk (512 or 4096 bytes).
 */
#pragma once

/* What libblkid and we call a sector in memory, whatever the disk's is. */
#define UNIT_BYTES 512

#define MBR_BYTES 512
#define MBR_BOOT_CODE_BYTES 440 /* the disk's identifier follows */
#define MBR_ENTRIES 446
#define MBR_ENTRY_BYTES 16
#define MBR_ENTRY_COUNT 4
#define MBR_SIGNATURE 510
#define MBR_SIGNATURE_VALUE 0xaa55

#define MBR_ENTRY_INDICATOR 0 /* 0x80 active, 0 not; anything else: no table */
#define MBR_ENTRY_TYPE 4
#define MBR_ENTRY_START 8
#define MBR_ENTRY_LENGTH 12

#define MBR_TYPE_EXTENDED 0x05
#define MBR_TYPE_EXTENDED_LBA 0x0f
#define MBR_TYPE_LINUX 0x83
#define MBR_TYPE_EXTENDED_LINUX 0x85
#define MBR_TYPE_PROTECTIVE 0xee

#define GPT_PRIMARY_LBA 1
#define GPT_SIGNATURE 0
#define GPT_SIGNATURE_VALUE "EFI PART"
#define GPT_SIGNATURE_BYTES 8
#define GPT_ALTERNATE_LBA 32
#define GPT_LAST_USABLE_LBA 48
#define GPT_ENTRIES_LBA 72
#define GPT_ENTRY_COUNT 80
#define GPT_ENTRY_SIZE 84
#define GPT_ENTRY_BYTES 128 /* the only size libblkid and Linux accept */
