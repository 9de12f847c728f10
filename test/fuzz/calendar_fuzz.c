/*
 * calendar_fuzz.c
 *		Days against the C library's calendar, months against stepping one by one, intervals against their own spelling.
 */
#include <stdio.h>
#include <time.h>

#include "core/calendar.h"
#include "fuzz.h"

/* Days since 1970-01-01 as the C library counts them. */
static int64_t
library_days(const QzpayCivil *civil)
{
	struct tm	tm;

	memset(&tm, 0, sizeof(tm));
	tm.tm_year = civil->year - 1900;
	tm.tm_mon = civil->month - 1;
	tm.tm_mday = civil->day;
	return timegm(&tm) / 86400;
}

/* Whether the C library leaves the date as it is, instead of moving what does not exist. */
static bool
exists(const QzpayCivil *civil)
{
	struct tm	tm;
	time_t		seconds = (time_t) library_days(civil) * 86400;

	return gmtime_r(&seconds, &tm) != NULL && tm.tm_year == civil->year - 1900 && tm.tm_mon == civil->month - 1 &&
		tm.tm_mday == civil->day;
}

static void
check_days(const QzpayCivil *anchor, QzpayUnit unit, int64_t count, QzpayCode code, const QzpayCivil *got)
{
	int64_t		days = count * (unit == QZPAY_UNIT_WEEK ? 7 : 1);
	time_t		seconds = (time_t) (library_days(anchor) + days) * 86400;
	struct tm	tm;
	bool		known = gmtime_r(&seconds, &tm) != NULL;
	int64_t		year = known ? (int64_t) tm.tm_year + 1900 : INT64_MAX;

	if (code == QZPAY_OK)
	{
		FUZZ_CHECK(known && got->year == year && got->month == tm.tm_mon + 1 && got->day == tm.tm_mday);
		FUZZ_CHECK(qzpay_civil_days_between(anchor, got) == days);
	}
	else
		FUZZ_CHECK(code == QZPAY_E_RANGE && (year < QZPAY_YEAR_MIN || year > QZPAY_YEAR_MAX));
}

static void
check_months(const QzpayCivil *anchor, int64_t months, const QzpayCivil *got)
{
	int32_t		year = anchor->year;
	int			month = anchor->month;
	QzpayCivil	next;
	QzpayCivil	last;

	for (; months > 0; months--)
		if (++month > 12)
		{
			month = 1;
			year++;
		}
	for (; months < 0; months++)
		if (--month < 1)
		{
			month = 12;
			year--;
		}
	FUZZ_CHECK(got->year == year && got->month == month && exists(got));
	/* The anchor's own day, or the last of a month that does not have it. */
	last = *got;
	last.day++;
	next = *got;
	next.day = anchor->day;
	FUZZ_CHECK(got->day == anchor->day || (got->day < anchor->day && !exists(&last) && !exists(&next)));
}

static void
check_add(FuzzInput *input)
{
	QzpayCivil	anchor;
	QzpayCivil	got = {0, 0, 0, -1};
	uint8_t		shape = fuzz_byte(input);
	QzpayUnit	unit = (QzpayUnit) (shape & 3);
	int64_t		count = fuzz_int64(input);
	QzpayCode	code;
	bool		valid;

	anchor.year = (int32_t) fuzz_int64(input);
	if (shape & 4)
		anchor.year = anchor.year % 3000;
	anchor.month = fuzz_byte(input) % 15 - 1;
	anchor.day = fuzz_byte(input) % 34 - 1;
	anchor.usec_of_day = fuzz_int64(input);
	if (shape & 8)
		anchor.usec_of_day = (int64_t) ((uint64_t) anchor.usec_of_day % (uint64_t) QZPAY_USEC_PER_CIVIL_DAY);
	if (shape & 16)
		count %= 5000;
	valid = anchor.year >= QZPAY_YEAR_MIN && anchor.year <= QZPAY_YEAR_MAX && anchor.usec_of_day >= 0 &&
		anchor.usec_of_day < QZPAY_USEC_PER_CIVIL_DAY && anchor.month >= 1 && exists(&anchor);
	code = qzpay_civil_add(&anchor, unit, count, &got);
	if (!valid)
	{
		FUZZ_CHECK(code == QZPAY_E_INVALID);
		return;
	}
	if (code == QZPAY_OK)
		FUZZ_CHECK(got.usec_of_day == anchor.usec_of_day && exists(&got) && got.year >= QZPAY_YEAR_MIN && got.year <= QZPAY_YEAR_MAX);
	/* Far counts only have to be refused. */
	if (count > INT64_C(10000000000) || count < -INT64_C(10000000000))
		FUZZ_CHECK(code == QZPAY_E_RANGE);
	else if (unit == QZPAY_UNIT_DAY || unit == QZPAY_UNIT_WEEK)
		check_days(&anchor, unit, count, code, &got);
	else if (code == QZPAY_OK && count >= -5000 && count <= 5000)
		check_months(&anchor, count * (unit == QZPAY_UNIT_YEAR ? 12 : 1), &got);
	else if (code != QZPAY_OK)
	{
		int64_t		years = unit == QZPAY_UNIT_YEAR ? count : count / 12;

		FUZZ_CHECK(code == QZPAY_E_RANGE && (anchor.year + years >= QZPAY_YEAR_MAX || anchor.year + years <= QZPAY_YEAR_MIN));
	}
}

static void
check_interval(const char *text, size_t length)
{
	QzpayUnit	unit;
	QzpayUnit	again_unit;
	int			count = 0;
	int			again_count = 0;
	char		spelled[32];
	int64_t		numerator;
	int64_t		denominator;

	if (qzpay_interval_parse(text, length, &unit, &count) != QZPAY_OK)
		return;
	FUZZ_CHECK(count >= 1 && count <= QZPAY_INTERVAL_COUNT_MAX);
	snprintf(spelled, sizeof(spelled), "%d %s", count, qzpay_unit_name(unit));
	FUZZ_CHECK(qzpay_interval_parse(spelled, strlen(spelled), &again_unit, &again_count) == QZPAY_OK);
	FUZZ_CHECK(again_unit == unit && again_count == count);
	FUZZ_CHECK(qzpay_unit_parse(qzpay_unit_name(unit), &again_unit) == QZPAY_OK && again_unit == unit);
	FUZZ_CHECK(qzpay_month_equivalent(unit, count, &numerator, &denominator) == QZPAY_OK && numerator > 0 && denominator > 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	FuzzInput	input = {data, length};

	check_interval((const char *) data, length);
	check_add(&input);
	return 0;
}
