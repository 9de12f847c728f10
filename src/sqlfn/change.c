/*
 * change.c
 *		SQL-callable functions: direction of a change, what an amount is in a month.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "core/change.h"
#include "qzpay.h"

QZPAY_FUNCTION(qzpay_change_direction_of);
QZPAY_FUNCTION(qzpay_monthly_amount);

/* An interval from two arguments. */
static void
interval_argument(FunctionCallInfo fcinfo, int arg, QzpayUnit *unit, int *count)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(arg));

	*count = PG_GETARG_INT32(arg + 1);
	if (qzpay_unit_parse(name, unit) != QZPAY_OK || *count < 1 || *count > QZPAY_INTERVAL_COUNT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no interval is %d %s", *count, name)));
	pfree(name);
}

/* amount × times the interval fits into a month */
static Datum
monthly(Datum amount, QzpayUnit unit, int count)
{
	int64_t		numerator;
	int64_t		denominator;

	if (qzpay_month_equivalent(unit, count, &numerator, &denominator) != QZPAY_OK)
		elog(ERROR, "interval out of range");
	amount = DirectFunctionCall2(numeric_mul, amount, NumericGetDatum(int64_to_numeric(numerator)));
	return DirectFunctionCall2(numeric_div, amount, NumericGetDatum(int64_to_numeric(denominator)));
}

/* _monthly_amount(amount, unit, count) */
Datum
qzpay_monthly_amount(PG_FUNCTION_ARGS)
{
	QzpayUnit	unit;
	int			count;

	interval_argument(fcinfo, 1, &unit, &count);
	PG_RETURN_DATUM(monthly(PG_GETARG_DATUM(0), unit, count));
}

/* _change_direction(rank, unit, count, quantity, amount, to_rank, to_unit, to_count, to_quantity, to_amount); only ranks may be NULL */
Datum
qzpay_change_direction_of(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"downgrade", "lateral", "upgrade"};
	QzpayOffer	offers[2];
	Datum		amounts[2];
	int			order;

	for (int i = 0; i < 2; i++)
	{
		int			first = i * 5;

		for (int arg = first + 1; arg < first + 5; arg++)
			if (PG_ARGISNULL(arg))
				PG_RETURN_NULL();
		offers[i].ranked = !PG_ARGISNULL(first);
		offers[i].rank = offers[i].ranked ? PG_GETARG_INT32(first) : 0;
		interval_argument(fcinfo, first + 1, &offers[i].unit, &offers[i].count);
		offers[i].quantity = PG_GETARG_INT32(first + 3);
		amounts[i] = monthly(PG_GETARG_DATUM(first + 4), offers[i].unit, offers[i].count);
	}
	order = DatumGetInt32(DirectFunctionCall2(numeric_cmp, amounts[1], amounts[0]));
	PG_RETURN_TEXT_P(cstring_to_text(names[qzpay_change_direction(&offers[0], &offers[1], order) + 1]));
}
