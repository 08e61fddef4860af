/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dates and times of directory entries as Unix time.
 *
 * The arithmetic is that of Linux fat_time_fat2unix(): fields that are out of
 * range are not refused but counted on (minute 63 is three minutes into the
 * next hour), so that a broken time is merely wrong. The year is the Gregorian
 * one: 2100, which the 7 bits reach, is not a leap year.
 */
#include "base/bytes.h"
#include "fat/fat.h"
#include "fat/ondisk.h"

#define SECONDS_PER_MINUTE 60
#define SECONDS_PER_HOUR 3600
#define SECONDS_PER_DAY 86400
#define DAYS_1970_TO_1980 (10 * 365 + 2)
#define YEAR_2100 (2100 - 1980)

/* Days before the 1st of a month in a common year. 13 to 15 are no months; Linux counts them as January. */
static const int64_t days_before_month[16] = {
	0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 0, 0, 0,
};

/* Days from 1 January 1970 to a date: bits 0-4 day, 5-8 month, 9-15 year since 1980. */
static int64_t days_of_date(uint16_t date)
{
	unsigned day = date & 31;
	unsigned month = date >> 5 & 15;
	unsigned year = date >> 9;
	bool is_leap = year % 4 == 0 && year != YEAR_2100;
	unsigned leap_days = (year + 3) / 4 - (year > YEAR_2100) + (is_leap && month > 2);

	return DAYS_1970_TO_1980 + 365 * (int64_t)year + leap_days + days_before_month[month] +
	       (day > 1 ? day - 1 : 0);
}

/* Bits 0-4 count two seconds, 5-10 minutes, 11-15 hours. */
static int64_t seconds_of_time(uint16_t time)
{
	return (time & 31) * 2 + (time >> 5 & 63) * SECONDS_PER_MINUTE + (time >> 11) * SECONDS_PER_HOUR;
}

struct timespec fat_time_unix(uint16_t date, uint16_t time, uint8_t hundredths, int offset_minutes)
{
	int64_t seconds = days_of_date(date) * SECONDS_PER_DAY + seconds_of_time(time) -
			  (int64_t)offset_minutes * SECONDS_PER_MINUTE;

	if (hundredths > 199)
		hundredths = 0;
	return (struct timespec){
		.tv_sec = (time_t)(seconds + hundredths / 100),
		.tv_nsec = hundredths % 100 * 10000000L,
	};
}

struct fat_times fat_entry_times(const struct fat_entry *entry, int offset_minutes)
{
	const unsigned char *raw = entry->raw;

	return (struct fat_times){
		.modified = fat_time_unix(get_le16(raw + DIR_WRT_DATE), get_le16(raw + DIR_WRT_TIME), 0,
					  offset_minutes),
		.accessed = fat_time_unix(get_le16(raw + DIR_LST_ACC_DATE), 0, 0, offset_minutes),
		.created = fat_time_unix(get_le16(raw + DIR_CRT_DATE), get_le16(raw + DIR_CRT_TIME),
					 raw[DIR_CRT_TIME_TENTH], offset_minutes),
	};
}
