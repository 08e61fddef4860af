/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where things are in the bytes of a FAT file system.
 *
 * Every offset and magic value is named here, once, with the name Microsoft's
 * "FAT: General Overview of On-Disk Format" 1.03 gives it (fatgen103). Read
 * them with base/bytes.h. Fields that nobody here reads are not named.
 */
#pragma once

#define FAT_BOOT_BYTES 512 /* as much of the boot sector as anything is in, whatever its sector size */

/* Boot sector, common part: fatgen103, "Boot Sector and BPB Structure". */
#define BPB_BYTS_PER_SEC 11
#define BPB_SEC_PER_CLUS 13
#define BPB_RSVD_SEC_CNT 14
#define BPB_NUM_FATS 16
#define BPB_ROOT_ENT_CNT 17
#define BPB_TOT_SEC_16 19
#define BPB_MEDIA 21
#define BPB_FAT_SZ_16 22
#define BPB_TOT_SEC_32 32

/* The rest, FAT12 and FAT16. BS_Reserved1 bit 0 is Linux's dirty bit (FAT_STATE_DIRTY). */
#define BS16_RESERVED_1 37
#define BS16_BOOT_SIG 38
#define BS16_VOL_ID 39
#define BS16_VOL_LAB 43

/* The rest, FAT32. */
#define BPB32_FAT_SZ_32 36
#define BPB32_ROOT_CLUS 44
#define BS32_RESERVED_1 65
#define BS32_BOOT_SIG 66
#define BS32_VOL_ID 67
#define BS32_VOL_LAB 71

#define BS_VOL_LAB_BYTES 11
#define BS_BOOT_SIG_ID 0x28	  /* BS_VolID is there (OS/2's older form) */
#define BS_BOOT_SIG_ID_LABEL 0x29 /* BS_VolID and BS_VolLab are there */
#define BS_STATE_DIRTY 0x01	  /* Linux include/uapi/linux/msdos_fs.h, FAT_STATE_DIRTY */

/* BPB_Media: Linux fat_valid_media(). */
#define BPB_MEDIA_REMOVABLE 0xF0
#define BPB_MEDIA_FIXED_MIN 0xF8

/* The most clusters of each type, and so their limits: Linux MAX_FAT12, MAX_FAT16, MAX_FAT32. */
#define FAT12_CLUSTERS_MAX 0xFF4
#define FAT16_CLUSTERS_MAX 0xFFF4
#define FAT32_CLUSTERS_MAX 0x0FFFFFF6

/* FAT entries: fatgen103, "FAT Data Structure". Above BAD is the end of a chain. */
#define FAT_FIRST_CLUSTER 2
#define FAT12_ENTRY_MASK 0x0FFF
#define FAT16_ENTRY_MASK 0xFFFF
#define FAT32_ENTRY_MASK 0x0FFFFFFF /* the upper 4 bits are not part of the entry */
#define FAT12_BAD 0xFF7
#define FAT16_BAD 0xFFF7
#define FAT32_BAD 0x0FFFFFF7

/*
 * FAT[1] of FAT16 and FAT32: fatgen103, "FAT Volume Initialization" (ClnShutBitMask,
 * HrdErrBitMask). Set: all is well.
 */
#define FAT16_CLEAN 0x8000
#define FAT16_NO_ERRORS 0x4000
#define FAT32_CLEAN 0x08000000
#define FAT32_NO_ERRORS 0x04000000

/* A short directory entry: fatgen103, "FAT Directory Structure". */
#define DIR_NAME 0
#define DIR_NAME_BASE_BYTES 8
#define DIR_NAME_BYTES 11
#define DIR_ATTR 11
#define DIR_NT_RES 12
#define DIR_CRT_TIME_TENTH 13 /* counts 10 ms, in spite of its name */
#define DIR_CRT_TIME 14
#define DIR_CRT_DATE 16
#define DIR_LST_ACC_DATE 18
#define DIR_FST_CLUS_HI 20
#define DIR_WRT_TIME 22
#define DIR_WRT_DATE 24
#define DIR_FST_CLUS_LO 26
#define DIR_FILE_SIZE 28

#define DIR_NAME_0_END 0x00 /* this entry and all after it are free */
#define DIR_NAME_0_DELETED 0xE5
#define DIR_NAME_0_KANJI_E5 0x05 /* stands for a real 0xE5 */
#define DIR_NT_LOWER_BASE 0x08	 /* Windows NT; Linux CASE_LOWER_BASE */
#define DIR_NT_LOWER_EXT 0x10	 /* Windows NT; Linux CASE_LOWER_EXT */

/* One slot of a long name: fatgen103, "FAT Long Directory Entries". */
#define LDIR_ORD 0
#define LDIR_NAME_1 1 /* 5 units */
#define LDIR_CHKSUM 13
#define LDIR_NAME_2 14 /* 6 units */
#define LDIR_NAME_3 28 /* 2 units */

#define LDIR_NAME_1_UNITS 5
#define LDIR_NAME_2_UNITS 6
#define LDIR_NAME_3_UNITS 2
#define LDIR_UNITS (LDIR_NAME_1_UNITS + LDIR_NAME_2_UNITS + LDIR_NAME_3_UNITS)
#define LDIR_ORD_LAST 0x40 /* set in the slot that comes first on disk and holds the end of the name */
#define LDIR_ORD_MAX 20	   /* 20 * 13 units hold the 255 of the longest name */
#define LDIR_ATTR 0x0F	   /* exactly; with other bits Linux takes it for a volume label */
#define LDIR_PADDING 0xFFFF
