/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fat/time.c, against the vectors of Linux fs/fat/fat_test.c and by counting days. */
#include <criterion/criterion.h>

#include "base/bytes.h"
#include "fat/fat.h"

struct vector {
	uint16_t date, time;
	uint8_t hundredths;
	int offset_minutes;
	int64_t seconds;
	long nanoseconds;
};

Test(fat_time, is_what_linux_makes_of_it)
{
	static const struct vector vectors[] = {
		{ 33, 0, 0, 0, 315532800, 0 },	      { 65439, 49021, 0, 0, 4354819198, 0 },
		{ 33, 0, 0, 11 * 60, 315493200, 0 },  { 65439, 49021, 0, -11 * 60, 4354858798, 0 },
		{ 8285, 0, 0, 0, 825552000, 0 },      { 10333, 0, 0, 0, 951782400, 0 },
		{ 61537, 0, 0, 0, 4107542400, 0 },    { 12380, 48064, 0, -60, 1078014600, 0 },
		{ 12385, 960, 0, 60, 1078097400, 0 }, { 10143, 49021, 100, 0, 946684799, 0 },
		{ 33, 0, 1, 0, 315532800, 10000000 }, { 33, 0, 199, 0, 315532801, 990000000 },
	};

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const struct vector *v = &vectors[i];
		struct timespec ts = fat_time_unix(v->date, v->time, v->hundredths, v->offset_minutes);

		cr_expect_eq(ts.tv_sec, v->seconds, "vector %zu", i);
		cr_expect_eq(ts.tv_nsec, v->nanoseconds, "vector %zu", i);
	}
}

Test(fat_time, every_day_from_1980_to_2107_follows_the_one_before)
{
	static const int month_days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int64_t expected = 315532800;

	for (int year = 1980; year <= 2107; year++) {
		for (int month = 1; month <= 12; month++) {
			int is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
			int days = month_days[month - 1] + (month == 2 && is_leap);

			for (int day = 1; day <= days; day++, expected += 86400) {
				uint16_t date = (uint16_t)((year - 1980) << 9 | month << 5 | day);

				cr_assert_eq(fat_time_unix(date, 0, 0, 0).tv_sec, expected, "%d-%d-%d", year,
					     month, day);
			}
		}
	}
}

Test(fat_time, fields_out_of_range_are_wrong_but_harmless)
{
	cr_assert_eq(fat_time_unix(0, 0, 0, 0).tv_sec, 315532800, "month and day 0 count as 1");
	cr_assert_eq(fat_time_unix(33, 0, 200, 0).tv_sec, 315532800, "more than 1.99 s counts as none");
	cr_assert_eq(fat_time_unix(33, 0, 255, 0).tv_nsec, 0);
	for (unsigned date = 0; date < 65536; date++) {
		struct timespec ts = fat_time_unix((uint16_t)date, 0xFFFF, 255, 0);

		cr_assert(ts.tv_sec >= 315532800 && ts.tv_sec < 4357411200);
	}
}

Test(fat_time, an_entry_has_three_times)
{
	struct fat_entry entry = { .name = "x" };

	put_le16(entry.raw + 14, 49021);
	put_le16(entry.raw + 16, 10143);
	entry.raw[13] = 100;
	put_le16(entry.raw + 18, 8285);
	put_le16(entry.raw + 22, 49021);
	put_le16(entry.raw + 24, 65439);

	struct fat_times times = fat_entry_times(&entry, 0);

	cr_assert_eq(times.created.tv_sec, 946684799);
	cr_assert_eq(times.accessed.tv_sec, 825552000);
	cr_assert_eq(times.modified.tv_sec, 4354819198);
	cr_assert_eq(fat_entry_times(&entry, 60).accessed.tv_sec, 825552000 - 3600);
}
