/*
 * calendar_test.c
 *		Dates, boundaries and interval names.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/calendar.h"
#include "tap.h"

static void
check_add(const char *from, QzpayUnit unit, int64_t count, const char *wanted)
{
	QzpayCivil	anchor = {0, 0, 0, 0};
	QzpayCivil	got = {0, 0, 0, 0};
	char		text[64];

	sscanf(from, "%" SCNd32 "-%d-%d", &anchor.year, &anchor.month, &anchor.day);
	anchor.usec_of_day = 32400000001;
	tap_int(qzpay_civil_add(&anchor, unit, count, &got), QZPAY_OK, "%s", from);
	snprintf(text, sizeof(text), "%04" PRId32 "-%02d-%02d", got.year, got.month, got.day);
	tap_text(text, wanted, "%s", qzpay_unit_name(unit));
	tap_int(got.usec_of_day, 32400000001, "keeps the time of day");
}

static void
test_boundaries(void)
{
	QzpayCivil	anchor = {2026, 1, 31, 0};
	QzpayCivil	got;

	tap_note("boundaries");
	check_add("2026-01-31", QZPAY_UNIT_MONTH, 1, "2026-02-28");
	check_add("2026-01-31", QZPAY_UNIT_MONTH, 2, "2026-03-31");
	check_add("2026-01-31", QZPAY_UNIT_MONTH, 3, "2026-04-30");
	check_add("2024-01-31", QZPAY_UNIT_MONTH, 1, "2024-02-29");
	check_add("2026-01-31", QZPAY_UNIT_MONTH, -2, "2025-11-30");
	check_add("2026-01-19", QZPAY_UNIT_MONTH, 12, "2027-01-19");
	check_add("2024-02-29", QZPAY_UNIT_YEAR, 1, "2025-02-28");
	check_add("2024-02-29", QZPAY_UNIT_YEAR, 4, "2028-02-29");
	check_add("2024-02-29", QZPAY_UNIT_YEAR, -1, "2023-02-28");
	check_add("1996-02-29", QZPAY_UNIT_YEAR, 104, "2100-02-28");
	check_add("2025-12-29", QZPAY_UNIT_WEEK, 1, "2026-01-05");
	check_add("2026-01-05", QZPAY_UNIT_WEEK, -1, "2025-12-29");
	check_add("2024-02-28", QZPAY_UNIT_DAY, 1, "2024-02-29");
	check_add("2026-02-28", QZPAY_UNIT_DAY, 1, "2026-03-01");
	check_add("2026-03-01", QZPAY_UNIT_DAY, -1, "2026-02-28");
	check_add("0000-01-01", QZPAY_UNIT_MONTH, -1, "-001-12-01");
	check_add("-001-12-31", QZPAY_UNIT_DAY, 1, "0000-01-01");

	/* 48 months from each late day: the boundary is the day, or the last of a shorter month. */
	for (int day = 28; day <= 31; day++)
	{
		bool		right = true;

		for (int n = 0; n <= 48; n++)
		{
			int			month = n % 12 + 1;
			int			length = qzpay_days_in_month(2025 + n / 12, month);

			anchor = (QzpayCivil) {2025, 1, day, 0};
			right &= qzpay_civil_add(&anchor, QZPAY_UNIT_MONTH, n, &got) == QZPAY_OK;
			right &= got.year == 2025 + n / 12 && got.month == month && got.day == (day < length ? day : length);
		}
		tap_ok(right, "48 months from a late day");
	}
	anchor = (QzpayCivil) {2026, 2, 29, 0};
	tap_int(qzpay_civil_add(&anchor, QZPAY_UNIT_DAY, 1, &got), QZPAY_E_INVALID, "anchor that does not exist");
	anchor = (QzpayCivil) {294276, 12, 31, 0};
	tap_int(qzpay_civil_add(&anchor, QZPAY_UNIT_DAY, 1, &got), QZPAY_E_RANGE, "day after the last");
	tap_int(qzpay_civil_add(&anchor, QZPAY_UNIT_DAY, INT64_C(200000000), &got), QZPAY_E_RANGE, "days far beyond the last");
	tap_int(qzpay_civil_add(&anchor, QZPAY_UNIT_MONTH, 1, &got), QZPAY_E_RANGE, "month after the last");
	tap_int(qzpay_civil_add(&anchor, QZPAY_UNIT_YEAR, INT64_MAX, &got), QZPAY_E_RANGE, "endless years");
	tap_int(qzpay_civil_add(&anchor, QZPAY_UNIT_WEEK, INT64_MIN, &got), QZPAY_E_RANGE, "endless weeks back");
	tap_int(qzpay_civil_add(&anchor, QZPAY_UNIT_DAY, -INT64_C(200000000), &got), QZPAY_E_RANGE, "days far before the first");
	tap_int(qzpay_civil_add(&anchor, QZPAY_UNIT_YEAR, -300000, &got), QZPAY_E_RANGE, "year before the first");
}

/* Nothing but a valid date can be an anchor. */
static void
check_impossible(QzpayCivil civil, const char *what)
{
	QzpayCivil	got;

	tap_int(qzpay_civil_add(&civil, QZPAY_UNIT_MONTH, 0, &got), QZPAY_E_INVALID, "%s is no date", what);
}

static void
test_days(void)
{
	QzpayCivil	civil = {1970, 1, 1, 0};
	QzpayCivil	other = {2000, 1, 1, 5};
	QzpayCivil	first = {-4713, 1, 1, 7};
	QzpayCivil	got;
	bool		right = true;
	int64_t		start = qzpay_civil_day_number(&first);
	int64_t		number = start;

	tap_note("days");
	tap_int(qzpay_civil_day_number(&civil), 0, "the epoch");
	tap_int(qzpay_civil_day_number(&other), 10957, "the server's epoch");
	tap_int(qzpay_civil_days_between(&civil, &other), 10957, "days between");
	tap_int(qzpay_civil_days_between(&other, &civil), -10957, "days back");

	/* Every day of 7000 years, reached from the first one, each the successor of the one before. */
	for (int32_t year = QZPAY_YEAR_MIN; year <= 2300 && right; year++)
		for (int month = 1; month <= 12; month++)
			for (int day = 1; day <= qzpay_days_in_month(year, month); day++)
			{
				QzpayCivil	each = {year, month, day, 7};

				right &= qzpay_civil_day_number(&each) == number;
				right &= qzpay_civil_add(&first, QZPAY_UNIT_DAY, number - start, &got) == QZPAY_OK;
				right &= got.year == year && got.month == month && got.day == day && got.usec_of_day == 7;
				number++;
			}
	tap_ok(right, "every day from 4714 BC to 2300 counts as one");

	check_impossible((QzpayCivil) {2100, 2, 29, 0}, "29 February of a common century");
	check_impossible((QzpayCivil) {2026, 0, 1, 0}, "month 0");
	check_impossible((QzpayCivil) {2026, 13, 1, 0}, "month 13");
	check_impossible((QzpayCivil) {2026, 1, 0, 0}, "day 0");
	check_impossible((QzpayCivil) {2026, 4, 31, 0}, "31 April");
	check_impossible((QzpayCivil) {QZPAY_YEAR_MIN - 1, 1, 1, 0}, "a day before the first year");
	check_impossible((QzpayCivil) {QZPAY_YEAR_MAX + 1, 1, 1, 0}, "a day after the last year");
	check_impossible((QzpayCivil) {2026, 1, 1, -1}, "a negative time");
	check_impossible((QzpayCivil) {2026, 1, 1, QZPAY_USEC_PER_CIVIL_DAY}, "24:00");
}

static void
check_interval(const char *text, QzpayUnit unit, int count)
{
	QzpayUnit	got_unit = QZPAY_UNIT_DAY;
	int			got_count = 0;

	tap_int(qzpay_interval_parse(text, strlen(text), &got_unit, &got_count), QZPAY_OK, "%s", text);
	tap_ok(got_unit == unit && got_count == count, "unit and count");
}

static void
check_no_interval(const char *text, QzpayCode wanted)
{
	QzpayUnit	unit;
	int			count;

	tap_int(qzpay_interval_parse(text, strlen(text), &unit, &count), wanted, "%s", text);
}

static void
check_factor(QzpayUnit unit, int count, int64_t numerator, int64_t denominator)
{
	int64_t		got_numerator = 0;
	int64_t		got_denominator = 0;

	tap_int(qzpay_month_equivalent(unit, count, &got_numerator, &got_denominator), QZPAY_OK, "%s", qzpay_unit_name(unit));
	tap_int(got_numerator, numerator, "numerator");
	tap_int(got_denominator, denominator, "denominator");
}

static void
test_intervals(void)
{
	QzpayUnit	unit = QZPAY_UNIT_DAY;
	int64_t		a;
	int64_t		b;

	tap_note("intervals");
	check_interval("month", QZPAY_UNIT_MONTH, 1);
	check_interval("monthly", QZPAY_UNIT_MONTH, 1);
	check_interval("Mensual", QZPAY_UNIT_MONTH, 1);
	check_interval("mes", QZPAY_UNIT_MONTH, 1);
	check_interval("YEAR", QZPAY_UNIT_YEAR, 1);
	check_interval("yearly", QZPAY_UNIT_YEAR, 1);
	check_interval("annual", QZPAY_UNIT_YEAR, 1);
	check_interval("anual", QZPAY_UNIT_YEAR, 1);
	check_interval("a\xc3\xb1o", QZPAY_UNIT_YEAR, 1);
	check_interval("week", QZPAY_UNIT_WEEK, 1);
	check_interval("weekly", QZPAY_UNIT_WEEK, 1);
	check_interval("semanal", QZPAY_UNIT_WEEK, 1);
	check_interval("semana", QZPAY_UNIT_WEEK, 1);
	check_interval("day", QZPAY_UNIT_DAY, 1);
	check_interval("daily", QZPAY_UNIT_DAY, 1);
	check_interval("diario", QZPAY_UNIT_DAY, 1);
	check_interval("dia", QZPAY_UNIT_DAY, 1);
	check_interval("d\xc3\xad" "a", QZPAY_UNIT_DAY, 1);
	check_interval("quarter", QZPAY_UNIT_MONTH, 3);
	check_interval("quarterly", QZPAY_UNIT_MONTH, 3);
	check_interval("trimestral", QZPAY_UNIT_MONTH, 3);
	check_interval("semestral", QZPAY_UNIT_MONTH, 6);
	check_interval("3 meses", QZPAY_UNIT_MONTH, 3);
	check_interval("6 months", QZPAY_UNIT_MONTH, 6);
	check_interval("1 month", QZPAY_UNIT_MONTH, 1);
	check_interval("2 quarters", QZPAY_UNIT_MONTH, 6);
	check_interval("1000 days", QZPAY_UNIT_DAY, 1000);
	check_no_interval("", QZPAY_E_INVALID);
	check_no_interval("fortnight", QZPAY_E_INVALID);
	check_no_interval("month ", QZPAY_E_INVALID);
	check_no_interval("6", QZPAY_E_INVALID);
	check_no_interval("6months", QZPAY_E_INVALID);
	check_no_interval("6  months", QZPAY_E_INVALID);
	check_no_interval("-1 month", QZPAY_E_INVALID);
	check_no_interval("0 months", QZPAY_E_RANGE);
	check_no_interval("1001 days", QZPAY_E_RANGE);
	check_no_interval("400 quarters", QZPAY_E_RANGE);
	check_no_interval("99999999999999999999 days", QZPAY_E_RANGE);
	tap_int(qzpay_unit_parse("week", &unit), QZPAY_OK, "stored name");
	tap_int(unit, QZPAY_UNIT_WEEK, "its unit");
	tap_int(qzpay_unit_parse("weekly", &unit), QZPAY_E_INVALID, "an alias is not a stored name");
	check_factor(QZPAY_UNIT_MONTH, 1, 1, 1);
	check_factor(QZPAY_UNIT_MONTH, 3, 1, 3);
	check_factor(QZPAY_UNIT_YEAR, 1, 1, 12);
	check_factor(QZPAY_UNIT_YEAR, 2, 1, 24);
	check_factor(QZPAY_UNIT_WEEK, 1, 52, 12);
	check_factor(QZPAY_UNIT_WEEK, 2, 52, 24);
	check_factor(QZPAY_UNIT_DAY, 1, 365, 12);
	check_factor(QZPAY_UNIT_DAY, 30, 365, 360);
	tap_int(qzpay_month_equivalent(QZPAY_UNIT_DAY, 0, &a, &b), QZPAY_E_RANGE, "no days");
	tap_int(qzpay_month_equivalent(QZPAY_UNIT_DAY, 1001, &a, &b), QZPAY_E_RANGE, "too many days");
}

int
main(void)
{
	test_boundaries();
	test_days();
	test_intervals();
	return tap_done();
}
