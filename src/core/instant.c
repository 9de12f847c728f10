/*
 * instant.c
 *		Instants and dates as JSON documents write them.
 *
 * The server's own reading depends on settings of the session, and functions that read instants out of JSON are immutable.
 */
#include "core/instant.h"

#define USEC_PER_SEC INT64_C(1000000)

/* What is left of the text. */
typedef struct Reader
{
	const char *at;
	const char *end;
} Reader;

/*
 * read_number
 *		Exactly this many digits; -1 when they are not there.
 */
static int
read_number(Reader *reader, int digits)
{
	int			value = 0;

	if (reader->end - reader->at < digits)
		return -1;
	for (int i = 0; i < digits; i++)
	{
		char		c = reader->at[i];

		if (c < '0' || c > '9')
			return -1;
		value = value * 10 + (c - '0');
	}
	reader->at += digits;
	return value;
}

/*
 * skip
 *		Go past this character, if it comes next.
 */
static bool
skip(Reader *reader, char c)
{
	if (reader->at == reader->end || *reader->at != c)
		return false;
	reader->at++;
	return true;
}

/*
 * read_fraction
 *		Up to six decimals of a second, in microseconds; -1 for none, or for more than six.
 */
static int
read_fraction(Reader *reader)
{
	int			value = 0;
	int			digits = 0;

	for (; reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9'; digits++)
	{
		if (digits == 6)
			return -1;
		value = value * 10 + (*reader->at++ - '0');
	}
	if (digits == 0)
		return -1;
	for (; digits < 6; digits++)
		value *= 10;
	return value;
}

/*
 * read_time
 *		HH:MM[:SS[.ffffff]] into microseconds of the day; false when it is none.
 */
static bool
read_time(Reader *reader, int64_t *usec)
{
	int			hour = read_number(reader, 2);
	int			minute = skip(reader, ':') ? read_number(reader, 2) : -1;
	int			second = 0;
	int			fraction = 0;

	if (skip(reader, ':'))
	{
		second = read_number(reader, 2);
		if (skip(reader, '.'))
			fraction = read_fraction(reader);
	}
	*usec = ((hour * INT64_C(60) + minute) * 60 + second) * USEC_PER_SEC + fraction;
	return hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && second >= 0 && second <= 59 && fraction >= 0;
}

/*
 * read_zone
 *		Z, +HH, +HH:MM or +HHMM into seconds east of UTC; false when it is none.
 */
static bool
read_zone(Reader *reader, int *seconds)
{
	int			sign;
	int			hours;
	int			minutes = 0;

	*seconds = 0;
	if (skip(reader, 'Z'))
		return true;
	sign = skip(reader, '+') ? 1 : -1;
	if (sign < 0 && !skip(reader, '-'))
		return false;
	hours = read_number(reader, 2);
	if (skip(reader, ':') || reader->at < reader->end)
		minutes = read_number(reader, 2);
	*seconds = sign * (hours * 60 + minutes) * 60;
	return hours >= 0 && hours <= 15 && minutes >= 0 && minutes <= 59;
}

/*
 * qzpay_instant_parse
 *		"2025-06-02", or "2025-06-02T09:30:00.5-03:00" with its zone.
 *
 * Years have four digits.  T may be a blank, seconds and decimals may lack.  QZPAY_E_INVALID for anything else, an instant without a zone
 * included: it would mean something else in each session.
 */
QzpayCode
qzpay_instant_parse(const char *text, size_t length, QzpayInstant *out)
{
	Reader		reader = {text, text + length};
	QzpayCivil *civil = &out->civil;
	int			zone = 0;

	civil->usec_of_day = 0;
	civil->year = read_number(&reader, 4);
	civil->month = skip(&reader, '-') ? read_number(&reader, 2) : -1;
	civil->day = skip(&reader, '-') ? read_number(&reader, 2) : -1;
	if (civil->year < 1 || civil->month < 1 || civil->month > 12 || civil->day < 1 || civil->day > qzpay_days_in_month(civil->year, civil->month))
		return QZPAY_E_INVALID;
	out->is_date = reader.at == reader.end;
	if (!out->is_date)
	{
		if (!skip(&reader, 'T') && !skip(&reader, ' '))
			return QZPAY_E_INVALID;
		if (!read_time(&reader, &civil->usec_of_day) || !read_zone(&reader, &zone) || reader.at != reader.end)
			return QZPAY_E_INVALID;
	}
	out->usec = qzpay_civil_day_number(civil) * QZPAY_USEC_PER_CIVIL_DAY + civil->usec_of_day - zone * USEC_PER_SEC;
	return QZPAY_OK;
}
