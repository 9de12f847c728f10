/*
 * period.c
 *		Periods counted from an anchor, in a time zone.
 *
 * Boundary n is the anchor's local time plus n × count units, a day that the month doesn't have being its last one, turned back into an
 * instant by the server's rules for times that a zone skips or repeats.  Never the previous boundary plus one interval.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "store/period.h"

#define MAX_STEPS 100000000		/* beyond the range of timestamptz for every unit */

/* n × count units; raises 22008 beyond what an interval holds. */
static Interval
units(const char *unit, int count, int64 n)
{
	Interval	interval = {0};
	int64		steps = n * count;

	if (steps > MAX_STEPS || steps < -MAX_STEPS)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("period out of range")));
	switch (unit[0])
	{
		case 'd':
			interval.day = steps;
			break;
		case 'w':
			interval.day = 7 * steps;
			break;
		case 'm':
			interval.month = steps;
			break;
		case 'y':
			interval.month = 12 * steps;
			break;
		default:
			elog(ERROR, "unknown unit \"%s\"", unit);
	}
	return interval;
}

/* The n-th boundary; unit is day, week, month or year. */
TimestampTz
qzpay_period_boundary(TimestampTz anchor, const char *unit, int count, int64 n, const char *timezone)
{
	Interval	interval = units(unit, count, n);
	Datum		zone = CStringGetTextDatum(timezone);
	Datum		local = DirectFunctionCall2(timestamptz_zone, zone, TimestampTzGetDatum(anchor));

	local = DirectFunctionCall2(timestamp_pl_interval, local, IntervalPGetDatum(&interval));
	return DatumGetTimestampTz(DirectFunctionCall2(timestamp_zone, zone, local));
}

/* Days of a unit, at most; guesses are made of it, with some hours of slack for changes of the zone. */
static int64
days_of(const char *unit)
{
	return unit[0] == 'd' ? 1 : unit[0] == 'w' ? 7 : unit[0] == 'm' ? 31 : 366;
}

/*
 * qzpay_period_at
 *		The period that contains an instant: *start <= at < *end.
 */
void
qzpay_period_at(TimestampTz anchor, const char *unit, int count, const char *timezone, TimestampTz at, TimestampTz *start, TimestampTz *end)
{
	int64		length = days_of(unit) * count * USECS_PER_DAY + 3 * USECS_PER_HOUR;
	int64		n = (at - anchor) / length - (at < anchor ? 1 : 0);

	for (;;)
	{
		/* Only a zone that skipped back by more than the slack makes a guess too high. */
		while ((*start = qzpay_period_boundary(anchor, unit, count, n, timezone)) > at)
			n--;
		*end = qzpay_period_boundary(anchor, unit, count, n + 1, timezone);
		if (*end > at)
			return;
		n += 1 + (at - *end) / length;
	}
}
