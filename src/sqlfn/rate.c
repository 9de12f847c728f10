/*
 * rate.c
 *		SQL-callable functions: limits per minute.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "errors.h"
#include "qzpay.h"
#include "sqlfn/customer_argument.h"
#include "store/clock.h"
#include "store/number.h"
#include "store/rate.h"
#include "store/relation.h"

QZPAY_FUNCTION(qzpay_check_rate);
QZPAY_FUNCTION(qzpay_check_rate_ref);
QZPAY_FUNCTION(qzpay_require_rate);
QZPAY_FUNCTION(qzpay_require_rate_ref);

/* The answer of check_rate(). */
typedef struct RateCheck
{
	bool		given;
	bool		unlimited;
	uint32		limit;			/* whole ones; what can be counted at most */
	QzpayRateAnswer answer;
} RateCheck;

/* A limit per minute as it is counted. */
static uint32
whole_limit(Numeric value)
{
	Datum		whole;

	if (value == NULL)
		return 0;
	if (qzpay_number_compare(value, int64_to_numeric(PG_UINT32_MAX)) >= 0)
		return PG_UINT32_MAX;
	whole = DirectFunctionCall1(numeric_floor, NumericGetDatum(value));
	return (uint32) DatumGetInt64(DirectFunctionCall1(numeric_int8, whole));
}

static void
check_rate(FunctionCallInfo fcinfo, QzpayCustomerBy by, RateCheck *check)
{
	const QzpayCatalog *catalog = qzpay_catalog(qzpay_scan_snapshot());
	const QzpayFeature *feature = qzpay_argument_feature(catalog, PG_GETARG_TEXT_PP(1), true);
	int32		cost = PG_GETARG_INT32(2);
	QzpayEntitlement entitlement;
	QzpayAllowance limit;

	qzpay_argument_customer(fcinfo, by, false, &entitlement);
	if (feature->limit_kind != QZPAY_LIMIT_RATE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("limit \"%s\" is not one per minute", feature->code),
				 errhint("Its kind in the catalog must be rate.")));
	if (cost < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cost must not be negative")));
	qzpay_entitlement_limit(catalog, &entitlement, feature, &limit);
	check->given = limit.given;
	check->unlimited = limit.unlimited;
	check->limit = limit.unlimited ? PG_UINT32_MAX : whole_limit(limit.value);
	qzpay_rate_take_for(&entitlement.customer, feature->code, qzpay_clock_real(), check->limit, cost, &check->answer);
	check->answer.allowed |= limit.unlimited;
}

/* (allowed, limit_value, used, remaining, retry_after, unlimited, reason) */
static Datum
check_rate_row(FunctionCallInfo fcinfo, QzpayCustomerBy by)
{
	RateCheck	check;
	TupleDesc	desc;
	HeapTuple	tuple;
	Datum		values[7] = {0};
	bool		nulls[7] = {false};
	Interval	retry_after = {0};

	check_rate(fcinfo, by, &check);
	values[0] = BoolGetDatum(check.answer.allowed);
	values[1] = Int64GetDatum(check.limit);
	values[2] = Int64GetDatum(check.answer.used);
	values[3] = Int64GetDatum((int64) check.limit - Min(check.limit, check.answer.used));
	retry_after.time = check.answer.retry_after;
	values[4] = IntervalPGetDatum(&retry_after);
	values[5] = BoolGetDatum(check.unlimited);
	nulls[1] = nulls[3] = check.unlimited;
	nulls[4] = check.answer.allowed || check.answer.retry_after < 0;
	nulls[6] = check.answer.allowed;
	if (!check.answer.allowed)
		values[6] = CStringGetTextDatum(check.given ? "limit_reached" : "no_access");
	desc = lookup_rowtype_tupdesc(get_func_rettype(fcinfo->flinfo->fn_oid), -1);
	tuple = heap_form_tuple(desc, values, nulls);
	ReleaseTupleDesc(desc);
	return HeapTupleGetDatum(tuple);
}

/* check_rate(customer, feature, cost) */
Datum
qzpay_check_rate(PG_FUNCTION_ARGS)
{
	return check_rate_row(fcinfo, QZPAY_BY_ID);
}

Datum
qzpay_check_rate_ref(PG_FUNCTION_ARGS)
{
	return check_rate_row(fcinfo, QZPAY_BY_EXTERNAL_ID);
}

static Datum
require_rate(FunctionCallInfo fcinfo, QzpayCustomerBy by)
{
	RateCheck	check;
	StringInfoData detail;
	char	   *feature;

	qzpay_argument_refuse_nulls(fcinfo, false);
	check_rate(fcinfo, by, &check);
	if (check.answer.allowed)
		PG_RETURN_VOID();
	feature = text_to_cstring(PG_GETARG_TEXT_PP(1));
	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"limit\": ");
	escape_json(&detail, feature);
	appendStringInfo(&detail, ", \"current\": %u, \"limit_value\": %u, \"retry_after\": ", check.answer.used, check.limit);
	/* Whole seconds, rounded up, as in the header of that name. */
	if (check.answer.retry_after < 0)
		appendStringInfoString(&detail, "null}");
	else
		appendStringInfo(&detail, INT64_FORMAT "}", (check.answer.retry_after + USECS_PER_SEC - 1) / USECS_PER_SEC);
	ereport(ERROR,
			(errcode(ERRCODE_QZPAY_LIMIT_REACHED),
			 errmsg("customer \"%s\" has reached its limit \"%s\" of %u per minute", qzpay_argument_customer_name(fcinfo, by), feature, check.limit),
			 errdetail_internal("%s", detail.data),
			 errhint("Wait retry_after seconds; a higher plan or an add-on raises the limit.")));
	PG_RETURN_VOID();			/* not reached */
}

/* require_rate(customer, feature, cost) */
Datum
qzpay_require_rate(PG_FUNCTION_ARGS)
{
	return require_rate(fcinfo, QZPAY_BY_ID);
}

Datum
qzpay_require_rate_ref(PG_FUNCTION_ARGS)
{
	return require_rate(fcinfo, QZPAY_BY_EXTERNAL_ID);
}
