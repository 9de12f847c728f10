/*
 * calendar.c
 *		SQL-callable functions: boundaries of periods, proration, names of intervals.
 *
 * The core counts in civil time; the zones are PostgreSQL's, with its rule for local times that a change of offset skips or repeats.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/rangetypes.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "core/calendar.h"
#include "core/proration.h"
#include "qzpay.h"
#include "sqlfn/argument.h"
#include "store/decimal.h"

QZPAY_FUNCTION(qzpay_boundary_of_period);
QZPAY_FUNCTION(qzpay_parsed_interval);
QZPAY_FUNCTION(qzpay_unused_part);

/* An instant's civil time in a zone. */
static QzpayCivil
civil_time(TimestampTz at, pg_tz *zone)
{
	struct pg_tm tm;
	fsec_t		fraction;
	int			offset;
	QzpayCivil	civil;

	if (TIMESTAMP_NOT_FINITE(at) || timestamp2tm(at, &offset, &tm, &fraction, NULL, zone) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	civil.year = tm.tm_year;
	civil.month = tm.tm_mon;
	civil.day = tm.tm_mday;
	civil.usec_of_day = ((tm.tm_hour * INT64CONST(60) + tm.tm_min) * 60 + tm.tm_sec) * USECS_PER_SEC + fraction;
	return civil;
}

/* The instant of a civil time in a zone. */
static TimestampTz
instant(const QzpayCivil *civil, pg_tz *zone)
{
	struct pg_tm tm;
	int64		seconds = civil->usec_of_day / USECS_PER_SEC;
	int			offset;
	TimestampTz result;

	memset(&tm, 0, sizeof(tm));
	tm.tm_year = civil->year;
	tm.tm_mon = civil->month;
	tm.tm_mday = civil->day;
	tm.tm_hour = seconds / SECS_PER_HOUR;
	tm.tm_min = seconds / SECS_PER_MINUTE % MINS_PER_HOUR;
	tm.tm_sec = seconds % SECS_PER_MINUTE;
	offset = DetermineTimeZoneOffset(&tm, zone);
	if (tm2timestamp(&tm, civil->usec_of_day % USECS_PER_SEC, &offset, &result) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	return result;
}

/* period_boundary(anchor, unit, count, n, timezone): anchor + n × count units of civil time in the zone. */
Datum
qzpay_boundary_of_period(PG_FUNCTION_ARGS)
{
	TimestampTz anchor = PG_GETARG_TIMESTAMPTZ(0);
	char	   *unit_name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int32		count = PG_GETARG_INT32(2);
	int32		n = PG_GETARG_INT32(3);
	pg_tz	   *zone = qzpay_argument_timezone(fcinfo, 4);
	QzpayCivil	start = civil_time(anchor, zone);
	QzpayCivil	boundary;
	QzpayUnit	unit;
	QzpayCode	code;

	if (qzpay_unit_parse(unit_name, &unit) != QZPAY_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown unit of time \"%s\"", unit_name),
				 errhint("The units are day, week, month and year.")));
	if (count < 1 || count > QZPAY_INTERVAL_COUNT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an interval must have from 1 to %d units, not %d", QZPAY_INTERVAL_COUNT_MAX, count)));
	pfree(unit_name);
	/* Not by way of civil time, which a repeated hour would move. */
	if (n == 0)
		PG_RETURN_TIMESTAMPTZ(anchor);
	code = qzpay_civil_add(&start, unit, (int64_t) count * n, &boundary);
	if (code != QZPAY_OK)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	PG_RETURN_TIMESTAMPTZ(instant(&boundary, zone));
}

/* interval_parse(text) → (unit, count) */
Datum
qzpay_parsed_interval(PG_FUNCTION_ARGS)
{
	text	   *argument = PG_GETARG_TEXT_PP(0);
	QzpayUnit	unit;
	int			count;
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (qzpay_interval_parse(VARDATA_ANY(argument), VARSIZE_ANY_EXHDR(argument), &unit, &count) != QZPAY_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown interval \"%s\"", text_to_cstring(argument)),
				 errhint("Say day, week, month, quarter or year, or a count and a unit such as '3 months'.")));
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	desc = BlessTupleDesc(desc);
	values[0] = CStringGetTextDatum(qzpay_unit_name(unit));
	values[1] = Int32GetDatum(count);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/*
 * local_days
 *		Days of a period and days of it that were used, in the zone's calendar.
 *
 * The local day of the change belongs to the new state, so the used days are those before it; days of 23 or 25 hours count one.
 */
static void
local_days(TimestampTz start, TimestampTz at, TimestampTz end, pg_tz *zone, int64_t *used, int64_t *whole)
{
	QzpayCivil	first = civil_time(start, zone);
	QzpayCivil	change = civil_time(at, zone);
	QzpayCivil	last = civil_time(end, zone);

	*used = qzpay_civil_days_between(&first, &change);
	*whole = qzpay_civil_days_between(&first, &last);
}

/*
 * qzpay_unused_part
 *		prorate(amount, period, at, unit, timezone): what is left of a debit for a period when it ends at an instant.
 *
 * Before the period all is left, after it nothing.  The used part is rounded, so that the two always add up to the debit.
 */
Datum
qzpay_unused_part(PG_FUNCTION_ARGS)
{
	int64		amount = PG_GETARG_INT64(0);
	RangeType  *period = PG_GETARG_RANGE_P(1);
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(2);
	char	   *unit = text_to_cstring(PG_GETARG_TEXT_PP(3));
	pg_tz	   *zone = qzpay_argument_timezone(fcinfo, 4);
	bool		by_day = strcmp(unit, "day") == 0;
	RangeBound	lower;
	RangeBound	upper;
	bool		empty;
	TimestampTz start;
	TimestampTz end;
	int64_t		used;
	int64_t		whole;
	int64_t		used_part;
	QzpayCode	code;

	if (!by_day && strcmp(unit, "second") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown unit of proration \"%s\"", unit),
				 errhint("The units are second and day.")));
	range_deserialize(lookup_type_cache(RangeTypeGetOid(period), TYPECACHE_RANGE_INFO), period, &lower, &upper, &empty);
	start = DatumGetTimestampTz(lower.val);
	end = DatumGetTimestampTz(upper.val);
	if (empty || lower.infinite || upper.infinite || TIMESTAMP_NOT_FINITE(start) || TIMESTAMP_NOT_FINITE(end) || start >= end)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a period to prorate must have a beginning and an end")));
	pfree(unit);
	if (at <= start)
		PG_RETURN_INT64(amount);
	if (at >= end)
		PG_RETURN_INT64(0);
	used = at - start;
	whole = end - start;
	if (by_day)
		local_days(start, at, end, zone, &used, &whole);
	/* A period within one local day: the day of the change belongs to the new state. */
	if (whole == 0)
		PG_RETURN_INT64(amount);
	code = qzpay_prorate(amount, used, whole, QZPAY_ROUND_HALF_UP, &used_part);
	if (code != QZPAY_OK)
		qzpay_core_error(code, "amount");
	/* Cannot overflow: the part has the amount's sign and is not beyond it. */
	PG_RETURN_INT64(amount - used_part);
}
