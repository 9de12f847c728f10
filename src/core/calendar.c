/*
 * calendar.c
 *		Civil time: days, boundaries of periods, names of intervals.
 */
#include "core/calendar.h"

#include <stdbool.h>
#include <string.h>

static const char *const unit_names[] = {"day", "week", "month", "year"};

typedef struct IntervalName
{
	const char *name;
	QzpayUnit	unit;
	int			count;
} IntervalName;

/* Names that people and other systems use for an interval, in English and Spanish; lower case. */
static const IntervalName interval_names[] = {
	{"day", QZPAY_UNIT_DAY, 1},
	{"days", QZPAY_UNIT_DAY, 1},
	{"daily", QZPAY_UNIT_DAY, 1},
	{"dia", QZPAY_UNIT_DAY, 1},
	{"d\303\255a", QZPAY_UNIT_DAY, 1},
	{"dias", QZPAY_UNIT_DAY, 1},
	{"d\303\255as", QZPAY_UNIT_DAY, 1},
	{"diario", QZPAY_UNIT_DAY, 1},
	{"week", QZPAY_UNIT_WEEK, 1},
	{"weeks", QZPAY_UNIT_WEEK, 1},
	{"weekly", QZPAY_UNIT_WEEK, 1},
	{"semana", QZPAY_UNIT_WEEK, 1},
	{"semanas", QZPAY_UNIT_WEEK, 1},
	{"semanal", QZPAY_UNIT_WEEK, 1},
	{"month", QZPAY_UNIT_MONTH, 1},
	{"months", QZPAY_UNIT_MONTH, 1},
	{"monthly", QZPAY_UNIT_MONTH, 1},
	{"mes", QZPAY_UNIT_MONTH, 1},
	{"meses", QZPAY_UNIT_MONTH, 1},
	{"mensual", QZPAY_UNIT_MONTH, 1},
	{"quarter", QZPAY_UNIT_MONTH, 3},
	{"quarters", QZPAY_UNIT_MONTH, 3},
	{"quarterly", QZPAY_UNIT_MONTH, 3},
	{"trimestre", QZPAY_UNIT_MONTH, 3},
	{"trimestres", QZPAY_UNIT_MONTH, 3},
	{"trimestral", QZPAY_UNIT_MONTH, 3},
	{"semester", QZPAY_UNIT_MONTH, 6},
	{"semestre", QZPAY_UNIT_MONTH, 6},
	{"semestral", QZPAY_UNIT_MONTH, 6},
	{"year", QZPAY_UNIT_YEAR, 1},
	{"years", QZPAY_UNIT_YEAR, 1},
	{"yearly", QZPAY_UNIT_YEAR, 1},
	{"annual", QZPAY_UNIT_YEAR, 1},
	{"anual", QZPAY_UNIT_YEAR, 1},
	{"a\303\261o", QZPAY_UNIT_YEAR, 1},
	{"a\303\261os", QZPAY_UNIT_YEAR, 1}
};

/* The exact name of a unit as it is stored. */
QzpayCode
qzpay_unit_parse(const char *name, QzpayUnit *unit)
{
	int			i;

	for (i = 0; i <= QZPAY_UNIT_YEAR; i++)
	{
		if (strcmp(name, unit_names[i]) == 0)
		{
			*unit = (QzpayUnit) i;
			return QZPAY_OK;
		}
	}
	return QZPAY_E_INVALID;
}

const char *
qzpay_unit_name(QzpayUnit unit)
{
	return unit_names[unit];
}

static bool
is_name(const char *text, size_t length, const char *name)
{
	size_t		i;

	if (strlen(name) != length)
		return false;
	for (i = 0; i < length; i++)
	{
		char		c = text[i];

		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		if (c != name[i])
			return false;
	}
	return true;
}

/*
 * qzpay_interval_parse
 *		"month", "Monthly", "mensual", "quarter", "3 months", "10 day" …
 *
 * A number before the name multiplies it.  QZPAY_E_INVALID for anything
 * else, QZPAY_E_RANGE for a count outside 1 … QZPAY_INTERVAL_COUNT_MAX.
 */
QzpayCode
qzpay_interval_parse(const char *text, size_t length, QzpayUnit *unit, int *count)
{
	long		factor = 1;
	size_t		at = 0;
	size_t		i;

	while (at < length && text[at] >= '0' && text[at] <= '9')
	{
		factor = (at == 0 ? 0 : factor) * 10 + (text[at] - '0');
		if (factor > QZPAY_INTERVAL_COUNT_MAX)
			return QZPAY_E_RANGE;
		at++;
	}
	if (at > 0)
	{
		if (at == length || text[at] != ' ')
			return QZPAY_E_INVALID;
		at++;
	}
	for (i = 0; i < sizeof(interval_names) / sizeof(interval_names[0]); i++)
	{
		if (is_name(text + at, length - at, interval_names[i].name))
		{
			factor *= interval_names[i].count;
			if (factor < 1 || factor > QZPAY_INTERVAL_COUNT_MAX)
				return QZPAY_E_RANGE;
			*unit = interval_names[i].unit;
			*count = (int) factor;
			return QZPAY_OK;
		}
	}
	return QZPAY_E_INVALID;
}

static bool
is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int
qzpay_days_in_month(int32_t year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/*
 * is_valid
 *		Whether this is a date that exists, at a time within its day.
 */
static bool
is_valid(const QzpayCivil *civil)
{
	return civil->year >= QZPAY_YEAR_MIN && civil->year <= QZPAY_YEAR_MAX && civil->month >= 1 && civil->month <= 12 &&
		civil->day >= 1 && civil->day <= qzpay_days_in_month(civil->year, civil->month) &&
		civil->usec_of_day >= 0 && civil->usec_of_day < QZPAY_USEC_PER_CIVIL_DAY;
}

/*
 * qzpay_civil_day_number
 *		Days since 1970-01-01, which is 0.
 *
 * Counts from March, so that the leap day ends a year; eras of 400 years
 * have 146097 days.
 */
int64_t
qzpay_civil_day_number(const QzpayCivil *civil)
{
	int64_t		year = civil->month > 2 ? civil->year : (int64_t) civil->year - 1;
	int64_t		era = (year >= 0 ? year : year - 399) / 400;
	int64_t		year_of_era = year - era * 400;
	int64_t		month = (civil->month + 9) % 12;
	int64_t		day_of_year = (153 * month + 2) / 5 + civil->day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

/* Calendar days from one date to another, whatever the time of day. */
int64_t
qzpay_civil_days_between(const QzpayCivil *from, const QzpayCivil *to)
{
	return qzpay_civil_day_number(to) - qzpay_civil_day_number(from);
}

/* The inverse of qzpay_civil_day_number. */
static void
from_day_number(int64_t number, QzpayCivil *out)
{
	int64_t		n = number + 719468;
	int64_t		era = (n >= 0 ? n : n - 146096) / 146097;
	int64_t		day_of_era = n - era * 146097;
	int64_t		year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t		day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t		month = (5 * day_of_year + 2) / 153;

	out->day = (int) (day_of_year - (153 * month + 2) / 5 + 1);
	out->month = (int) (month < 10 ? month + 3 : month - 9);
	out->year = (int32_t) (year_of_era + era * 400 + (out->month <= 2));
}

/*
 * qzpay_civil_add
 *		anchor + count units; the time of day stays.
 *
 * Months and years count from the anchor's own day, clamped to the last day
 * of the month reached, so that January 31 gives February 28 and then March
 * 31 again.  Give n times the interval's count, never the boundary before.
 * QZPAY_E_INVALID for an anchor that does not exist, QZPAY_E_RANGE outside
 * the years of the calendar.
 */
QzpayCode
qzpay_civil_add(const QzpayCivil *anchor, QzpayUnit unit, int64_t count, QzpayCivil *out)
{
	QzpayCivil	result = *anchor;

	if (!is_valid(anchor))
		return QZPAY_E_INVALID;
	if (count > INT64_C(10000000000) || count < -INT64_C(10000000000))
		return QZPAY_E_RANGE;
	if (unit == QZPAY_UNIT_DAY || unit == QZPAY_UNIT_WEEK)
	{
		int64_t		number = qzpay_civil_day_number(anchor) + count * (unit == QZPAY_UNIT_WEEK ? 7 : 1);

		/* Twice the span of the calendar at most, so that the year fits. */
		if (number > 366 * (int64_t) QZPAY_YEAR_MAX || number < -366 * (int64_t) QZPAY_YEAR_MAX)
			return QZPAY_E_RANGE;
		from_day_number(number, &result);
	}
	else
	{
		int64_t		months = (int64_t) anchor->year * 12 + anchor->month - 1 + count * (unit == QZPAY_UNIT_YEAR ? 12 : 1);
		int64_t		year = (months >= 0 ? months : months - 11) / 12;

		if (year < QZPAY_YEAR_MIN || year > QZPAY_YEAR_MAX)
			return QZPAY_E_RANGE;
		result.year = (int32_t) year;
		result.month = (int) (months - year * 12) + 1;
		if (result.day > qzpay_days_in_month(result.year, result.month))
			result.day = qzpay_days_in_month(result.year, result.month);
	}
	if (result.year < QZPAY_YEAR_MIN || result.year > QZPAY_YEAR_MAX)
		return QZPAY_E_RANGE;
	*out = result;
	return QZPAY_OK;
}

/*
 * qzpay_month_equivalent
 *		By what a price per interval is multiplied to give it per month: a
 *		year 1/12, a quarter 1/3, a week 52/12, n days 365/(12 n).
 */
QzpayCode
qzpay_month_equivalent(QzpayUnit unit, int count, int64_t *numerator, int64_t *denominator)
{
	if (count < 1 || count > QZPAY_INTERVAL_COUNT_MAX)
		return QZPAY_E_RANGE;
	switch (unit)
	{
		case QZPAY_UNIT_DAY:
			*numerator = 365;
			*denominator = INT64_C(12) * count;
			break;
		case QZPAY_UNIT_WEEK:
			*numerator = 52;
			*denominator = INT64_C(12) * count;
			break;
		case QZPAY_UNIT_MONTH:
			*numerator = 1;
			*denominator = count;
			break;
		case QZPAY_UNIT_YEAR:
			*numerator = 1;
			*denominator = INT64_C(12) * count;
			break;
	}
	return QZPAY_OK;
}
