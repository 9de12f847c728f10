/*
 * outcome.c
 *		What the answer to a call that may move money means, and when to ask again.
 *
 * The table is written against the worst case: an answer is definite only where the provider cannot have executed the request, or says
 * what became of it.  Everything else is unknown, and unknown is never shown as failed.
 */
#include "core/outcome.h"

#include <stddef.h>
#include <string.h>

static const char *const transport_names[] = {
	[QZPAY_TRANSPORT_OK] = "ok",
	[QZPAY_TRANSPORT_NOT_SENT] = "not_sent",
	[QZPAY_TRANSPORT_TIMEOUT] = "timeout",
	[QZPAY_TRANSPORT_RESET] = "reset",
	[QZPAY_TRANSPORT_TRUNCATED] = "truncated",
	[QZPAY_TRANSPORT_TOO_LARGE] = "too_large",
	[QZPAY_TRANSPORT_INVALID] = "invalid",
};

static const char *const answer_names[] = {
	[QZPAY_ANSWER_READ] = "read",
	[QZPAY_ANSWER_DECLINED] = "declined",
	[QZPAY_ANSWER_REJECTED] = "rejected",
	[QZPAY_ANSWER_PAUSE_LANE] = "pause_lane",
	[QZPAY_ANSWER_RETRY] = "retry",
	[QZPAY_ANSWER_NOT_SENT] = "not_sent",
	[QZPAY_ANSWER_UNKNOWN] = "unknown",
};

/*
 * qzpay_outcome_class
 *		Class of an answer by how the exchange ended and by its HTTP status.
 *
 * status counts only when the transport is ok.  A redirect is unknown: we follow none, so nobody knows who executed what.
 */
QzpayAnswer
qzpay_outcome_class(QzpayTransport transport, int status)
{
	if (transport == QZPAY_TRANSPORT_NOT_SENT)
		return QZPAY_ANSWER_NOT_SENT;
	if (transport != QZPAY_TRANSPORT_OK)
		return QZPAY_ANSWER_UNKNOWN;
	if (status >= 200 && status <= 299)
		return QZPAY_ANSWER_READ;

	switch (status)
	{
		case 401:
		case 403:
			return QZPAY_ANSWER_PAUSE_LANE;
		case 402:
			return QZPAY_ANSWER_DECLINED;
		case 409:				/* the key is in use: the first call still runs */
		case 425:
		case 429:
			return QZPAY_ANSWER_RETRY;
		case 400:
		case 404:
		case 405:
		case 406:
		case 410:
		case 411:
		case 413:
		case 414:
		case 415:
		case 422:
		case 431:
			return QZPAY_ANSWER_REJECTED;
		default:
			return QZPAY_ANSWER_UNKNOWN;
	}
}

/* Name of a class, as SQL knows it. */
const char *
qzpay_outcome_class_name(QzpayAnswer answer)
{
	return answer_names[answer];
}

/* Name of a transport result, as SQL knows it. */
const char *
qzpay_outcome_transport_name(QzpayTransport transport)
{
	return transport_names[transport];
}

/* The transport result of this name; false when there is none. */
bool
qzpay_outcome_transport_parse(const char *name, QzpayTransport *transport)
{
	size_t		i;

	for (i = 0; i < sizeof(transport_names) / sizeof(transport_names[0]); i++)
	{
		if (strcmp(name, transport_names[i]) == 0)
		{
			*transport = (QzpayTransport) i;
			return true;
		}
	}
	return false;
}

/*
 * take_number
 *		Reads digits (at least min, at most max of them) at *at and moves past them; -1 when they are not there.
 *
 * max is small enough everywhere for an int.
 */
static int
take_number(const char **at, int min, int max)
{
	int			digits = 0;
	int			value = 0;

	while (digits < max && **at >= '0' && **at <= '9')
	{
		value = value * 10 + (**at - '0');
		(*at)++;
		digits++;
	}
	return digits >= min ? value : -1;
}

/* Moves past this text, if it is what stands at *at. */
static bool
take_text(const char **at, const char *text)
{
	size_t		length = strlen(text);

	if (strncmp(*at, text, length) != 0)
		return false;
	*at += length;
	return true;
}

/* Number of the month (1 to 12) whose English abbreviation stands at *at, or -1. */
static int
take_month(const char **at)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int			i;

	for (i = 0; i < 12; i++)
	{
		if (strncmp(*at, names + 3 * i, 3) == 0)
		{
			*at += 3;
			return i + 1;
		}
	}
	return -1;
}

/*
 * unix_seconds
 *		Seconds since 1970-01-01 00:00:00 UTC of a moment of the proleptic Gregorian calendar; -1 for an impossible one.
 *
 * The days before a month are counted from March, so that the leap day is the last of its year.
 */
static int64_t
unix_seconds(int year, int month, int day, int hour, int minute, int second)
{
	int64_t		y = month > 2 ? year : year - 1;
	int64_t		days;

	if (year < 1970 || month < 1 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
		return -1;
	days = y * 365 + y / 4 - y / 100 + y / 400 + ((month + 9) % 12 * 306 + 5) / 10 + (day - 1) - 719468;
	return ((days * 24 + hour) * 60 + minute) * 60 + second;
}

/*
 * parse_http_date
 *		Reads "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, IMF-fixdate: the one form that may be sent); -1 for anything else.
 */
static int64_t
parse_http_date(const char *at)
{
	int			day;
	int			month;
	int			year;
	int			hour;
	int			minute;
	int			second;

	if (strlen(at) < 5 || at[3] != ',')
		return -1;
	at += 4;
	if (!take_text(&at, " ") || (day = take_number(&at, 2, 2)) < 0 || !take_text(&at, " ") || (month = take_month(&at)) < 0 ||
		!take_text(&at, " ") || (year = take_number(&at, 4, 4)) < 0 || !take_text(&at, " ") || (hour = take_number(&at, 2, 2)) < 0 ||
		!take_text(&at, ":") || (minute = take_number(&at, 2, 2)) < 0 || !take_text(&at, ":") ||
		(second = take_number(&at, 2, 2)) < 0 || !take_text(&at, " GMT") || *at != '\0')
		return -1;
	return unix_seconds(year, month, day, hour, minute, second);
}

/*
 * qzpay_outcome_retry_after
 *		Seconds to wait by a Retry-After header: a number of seconds, or a date; at least 0, at most QZPAY_RETRY_AFTER_MAX.
 *
 * now is in seconds since 1970.  Returns -1 when the value is neither.
 */
int64_t
qzpay_outcome_retry_after(const char *value, int64_t now)
{
	const char *at = value;
	int64_t		wait;

	if (*at >= '0' && *at <= '9')
	{
		wait = 0;
		for (; *at >= '0' && *at <= '9'; at++)
		{
			if (wait <= QZPAY_RETRY_AFTER_MAX)
				wait = wait * 10 + (*at - '0');
		}
		if (*at != '\0')
			return -1;
	}
	else
	{
		int64_t		moment = parse_http_date(value);

		if (moment < 0)
			return -1;
		wait = moment > now ? moment - now : 0;
	}
	return wait > QZPAY_RETRY_AFTER_MAX ? QZPAY_RETRY_AFTER_MAX : wait;
}

/*
 * qzpay_outcome_lookup_delay
 *		Seconds until the next lookup after this many have been made: 30 s, 2 min, 10 min, 1 h, 6 h, then daily up to day 7.
 *
 * Returns -1 when the schedule is over and a person has to look.
 */
int64_t
qzpay_outcome_lookup_delay(int done)
{
	static const int64_t delays[] = {30, 120, 600, 3600, 21600, 86400, 86400, 86400, 86400, 86400, 86400, 86400};

	if (done < 0)
		done = 0;
	if ((size_t) done >= sizeof(delays) / sizeof(delays[0]))
		return -1;
	return delays[done];
}
