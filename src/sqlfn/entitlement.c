/*
 * entitlement.c
 *		SQL-callable functions: what a customer may do.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

#include "errors.h"
#include "qzpay.h"
#include "sqlfn/customer_argument.h"
#include "store/entitlement.h"
#include "store/limit.h"
#include "store/number.h"
#include "store/relation.h"
#include "store/tenant_of.h"

QZPAY_FUNCTION(qzpay_check_limit);
QZPAY_FUNCTION(qzpay_check_limit_in);
QZPAY_FUNCTION(qzpay_check_limit_in_ref);
QZPAY_FUNCTION(qzpay_check_limit_ref);
QZPAY_FUNCTION(qzpay_feature_limit);
QZPAY_FUNCTION(qzpay_feature_limit_ref);
QZPAY_FUNCTION(qzpay_feature_value);
QZPAY_FUNCTION(qzpay_feature_value_ref);
QZPAY_FUNCTION(qzpay_has_access);
QZPAY_FUNCTION(qzpay_has_access_ref);
QZPAY_FUNCTION(qzpay_has_entitlement);
QZPAY_FUNCTION(qzpay_has_entitlement_ref);
QZPAY_FUNCTION(qzpay_limit_in_full);
QZPAY_FUNCTION(qzpay_require_active_subscription);
QZPAY_FUNCTION(qzpay_require_active_subscription_ref);
QZPAY_FUNCTION(qzpay_require_entitlement);
QZPAY_FUNCTION(qzpay_require_entitlement_ref);
QZPAY_FUNCTION(qzpay_require_limit);
QZPAY_FUNCTION(qzpay_require_limit_ref);

/* The answer of check_limit(). */
typedef struct LimitCheck
{
	bool		allowed;
	bool		unlimited;
	Numeric		limit_value;	/* unless unlimited */
	Numeric		current;
	Numeric		remaining;		/* these two by measure() */
	Numeric		percent_used;
	const char *reason;			/* NULL: nothing to say */
} LimitCheck;

/* Reads what the customer of argument 0 holds; raises QZ404. */
void
qzpay_argument_customer(FunctionCallInfo fcinfo, QzpayCustomerBy by, bool with_usage, QzpayEntitlement *entitlement)
{
	if (by == QZPAY_BY_ID)
	{
		if (!qzpay_entitlement_read(PG_GETARG_UUID_P(0), with_usage, entitlement))
			qzpay_object_not_found(QZPAY_OBJECT_CUSTOMER, PG_GETARG_UUID_P(0));
	}
	else if (!qzpay_entitlement_read_text(PG_GETARG_DATUM(0), with_usage, entitlement))
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_NOT_FOUND),
				 errmsg("customer \"%s\" not found", text_to_cstring(PG_GETARG_TEXT_PP(0)))));
}

/* How messages name the customer of argument 0. */
char *
qzpay_argument_customer_name(FunctionCallInfo fcinfo, QzpayCustomerBy by)
{
	if (by == QZPAY_BY_EXTERNAL_ID)
		return text_to_cstring(PG_GETARG_TEXT_PP(0));
	return DatumGetCString(DirectFunctionCall1(uuid_out, PG_GETARG_DATUM(0)));
}

/* The feature of this code; raises QZ401. */
const QzpayFeature *
qzpay_argument_feature(const QzpayCatalog *catalog, text *code, bool must_be_limit)
{
	const QzpayFeature *feature = qzpay_catalog_feature(catalog, VARDATA_ANY(code), VARSIZE_ANY_EXHDR(code));

	if (feature == NULL || (must_be_limit && feature->kind != QZPAY_FEATURE_LIMIT))
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_UNKNOWN_CODE),
				 errmsg("unknown %s \"%s\"", must_be_limit ? "limit" : "feature", text_to_cstring(code)),
				 feature != NULL ? errdetail("It is a feature, but not a limit.") : 0,
				 errhint("The features of the catalog are listed in qzpay.features.")));
	return feature;
}

static bool
has_entitlement(FunctionCallInfo fcinfo, QzpayCustomerBy by)
{
	const QzpayCatalog *catalog = qzpay_catalog(qzpay_scan_snapshot());
	const QzpayFeature *feature = qzpay_argument_feature(catalog, PG_GETARG_TEXT_PP(1), false);
	QzpayEntitlement entitlement;

	qzpay_argument_customer(fcinfo, by, false, &entitlement);
	return qzpay_entitlement_has(catalog, &entitlement, feature);
}

/* has_entitlement(customer, feature) */
Datum
qzpay_has_entitlement(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(has_entitlement(fcinfo, QZPAY_BY_ID));
}

Datum
qzpay_has_entitlement_ref(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(has_entitlement(fcinfo, QZPAY_BY_EXTERNAL_ID));
}

/* Argument 2 or 3 of check_limit(): a count, which may be fractional. */
static Numeric
get_count(FunctionCallInfo fcinfo, int argument, const char *name)
{
	Numeric		count = PG_GETARG_NUMERIC(argument);
	int64		small;

	if (qzpay_number_is_small(count, &small) ? small < 0 :
		(!qzpay_number_is_finite(count) || qzpay_number_sign(count) < 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a finite number that is not negative", name)));
	return count;
}

/* What is left of the limit and how much of it is used, for the answer (RULES B9). */
static void
measure(LimitCheck *check)
{
	int64		limit;
	int64		current;

	if (qzpay_number_is_small(check->limit_value, &limit) && qzpay_number_is_small(check->current, &current))
	{
		check->remaining = int64_to_numeric(Max(limit - current, 0));
		/* Rounded half up: 200 × 10^16 fits. */
		check->percent_used = int64_to_numeric(limit == 0 ? 100 : (200 * current + limit) / (2 * limit));
		return;
	}
	check->remaining = qzpay_number_subtract(check->limit_value, check->current);
	if (qzpay_number_sign(check->remaining) < 0)
		check->remaining = qzpay_number_zero();
	check->percent_used = qzpay_number_sign(check->limit_value) == 0 ? int64_to_numeric(100) :
		qzpay_number_percent(check->current, check->limit_value);
}

/* Whether current + increment is within the limit. */
static bool
is_within(Numeric current, Numeric increment, Numeric limit)
{
	int64		small_current;
	int64		small_increment;
	int64		small_limit;

	if (qzpay_number_is_small(current, &small_current) && qzpay_number_is_small(increment, &small_increment) &&
		qzpay_number_is_small(limit, &small_limit))
		return small_current + small_increment <= small_limit;
	return qzpay_number_compare(qzpay_number_add(current, increment), limit) <= 0;
}

/* What enforce_limit() has counted for a group; nothing where it has not counted yet. */
static Numeric
counted_in(const QzpayEntitlement *entitlement, const QzpayFeature *feature, text *scope)
{
	return int64_to_numeric(qzpay_counter_read(&entitlement->tenant, &entitlement->customer, feature->code, scope));
}

/* Judges current + increment against the limit (RULES B9, B12, B13); a fifth argument is the group whose rows are counted. */
static void
check_limit(FunctionCallInfo fcinfo, QzpayCustomerBy by, LimitCheck *check)
{
	const QzpayCatalog *catalog = qzpay_catalog(qzpay_scan_snapshot());
	const QzpayFeature *feature = qzpay_argument_feature(catalog, PG_GETARG_TEXT_PP(1), true);
	Numeric		increment = get_count(fcinfo, 3, "increment");
	QzpayEntitlement entitlement;
	QzpayAllowance limit;

	if (feature->limit_kind == QZPAY_LIMIT_VALUE)
		increment = qzpay_number_zero();
	check->current = PG_ARGISNULL(2) ? NULL : get_count(fcinfo, 2, "current_count");
	qzpay_argument_customer(fcinfo, by, feature->meter != NULL, &entitlement);
	if (check->current == NULL)
		check->current = counted_in(&entitlement, feature, PG_ARGISNULL(4) ? cstring_to_text("") : PG_GETARG_TEXT_PP(4));
	qzpay_entitlement_limit(catalog, &entitlement, feature, &limit);
	check->unlimited = limit.unlimited;
	check->limit_value = limit.value != NULL ? limit.value : qzpay_number_zero();
	check->reason = NULL;
	check->allowed = limit.unlimited || (limit.given && is_within(check->current, increment, check->limit_value));
	if (check->allowed)
		return;
	if (!limit.given)
		check->reason = "no_access";
	else if (limit.type == QZPAY_LIMIT_HARD)
		check->reason = "limit_reached";
	else
	{
		check->allowed = true;
		check->reason = limit.type == QZPAY_LIMIT_SOFT ? "overage" : NULL;
	}
}

/* (allowed, limit_value, current_count, remaining, percent_used, unlimited, reason) */
static Datum
check_limit_row(FunctionCallInfo fcinfo, QzpayCustomerBy by)
{
	LimitCheck	check;
	TupleDesc	desc;
	HeapTuple	tuple;
	Datum		values[7];
	bool		nulls[7] = {false};

	check_limit(fcinfo, by, &check);
	values[0] = BoolGetDatum(check.allowed);
	values[2] = NumericGetDatum(check.current);
	values[5] = BoolGetDatum(check.unlimited);
	if (check.unlimited)
		nulls[1] = nulls[3] = nulls[4] = true;
	else
	{
		measure(&check);
		values[1] = NumericGetDatum(check.limit_value);
		values[3] = NumericGetDatum(check.remaining);
		values[4] = NumericGetDatum(check.percent_used);
	}
	nulls[6] = check.reason == NULL;
	if (check.reason != NULL)
		values[6] = CStringGetTextDatum(check.reason);
	desc = lookup_rowtype_tupdesc(get_func_rettype(fcinfo->flinfo->fn_oid), -1);
	tuple = heap_form_tuple(desc, values, nulls);
	ReleaseTupleDesc(desc);
	return HeapTupleGetDatum(tuple);
}

/* check_limit(customer, feature, current_count, increment) */
Datum
qzpay_check_limit(PG_FUNCTION_ARGS)
{
	return check_limit_row(fcinfo, QZPAY_BY_ID);
}

Datum
qzpay_check_limit_ref(PG_FUNCTION_ARGS)
{
	return check_limit_row(fcinfo, QZPAY_BY_EXTERNAL_ID);
}

/* check_limit(customer, feature, current_count, increment, scope): the count and the scope may be NULL. */
static Datum
check_limit_in(FunctionCallInfo fcinfo, QzpayCustomerBy by)
{
	for (int i = 0; i < PG_NARGS(); i++)
	{
		if (i != 2 && i != 4 && PG_ARGISNULL(i))
			PG_RETURN_NULL();
	}
	return check_limit_row(fcinfo, by);
}

Datum
qzpay_check_limit_in(PG_FUNCTION_ARGS)
{
	return check_limit_in(fcinfo, QZPAY_BY_ID);
}

Datum
qzpay_check_limit_in_ref(PG_FUNCTION_ARGS)
{
	return check_limit_in(fcinfo, QZPAY_BY_EXTERNAL_ID);
}

static Datum
feature_limit(FunctionCallInfo fcinfo, QzpayCustomerBy by)
{
	const QzpayCatalog *catalog = qzpay_catalog(qzpay_scan_snapshot());
	const QzpayFeature *feature = qzpay_argument_feature(catalog, PG_GETARG_TEXT_PP(1), true);
	QzpayEntitlement entitlement;
	QzpayAllowance limit;

	qzpay_argument_customer(fcinfo, by, feature->meter != NULL, &entitlement);
	qzpay_entitlement_limit(catalog, &entitlement, feature, &limit);
	if (limit.unlimited)
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(limit.value != NULL ? limit.value : qzpay_number_zero());
}

/* feature_limit(customer, feature) */
Datum
qzpay_feature_limit(PG_FUNCTION_ARGS)
{
	return feature_limit(fcinfo, QZPAY_BY_ID);
}

Datum
qzpay_feature_limit_ref(PG_FUNCTION_ARGS)
{
	return feature_limit(fcinfo, QZPAY_BY_EXTERNAL_ID);
}

/* _limit_in_full(customer, plan, feature) */
Datum
qzpay_limit_in_full(PG_FUNCTION_ARGS)
{
	const QzpayCatalog *catalog = qzpay_catalog(qzpay_scan_snapshot());
	const QzpayFeature *feature;
	QzpayEntitlement entitlement;
	QzpayAllowance limit;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		PG_RETURN_NULL();
	feature = qzpay_argument_feature(catalog, PG_GETARG_TEXT_PP(2), true);
	qzpay_argument_customer(fcinfo, QZPAY_BY_ID, feature->meter != NULL, &entitlement);
	qzpay_entitlement_in_full(&entitlement, catalog, PG_ARGISNULL(1) ? NULL : PG_GETARG_UUID_P(1));
	qzpay_entitlement_limit(catalog, &entitlement, feature, &limit);
	if (limit.unlimited || (limit.given && limit.type != QZPAY_LIMIT_HARD))
		PG_RETURN_NULL();
	PG_RETURN_NUMERIC(limit.value != NULL ? limit.value : qzpay_number_zero());
}

static Datum
feature_value(FunctionCallInfo fcinfo, QzpayCustomerBy by)
{
	const QzpayCatalog *catalog = qzpay_catalog(qzpay_scan_snapshot());
	const QzpayFeature *feature = qzpay_argument_feature(catalog, PG_GETARG_TEXT_PP(1), false);
	QzpayEntitlement entitlement;
	Jsonb	   *value;

	qzpay_argument_customer(fcinfo, by, feature->meter != NULL, &entitlement);
	value = qzpay_entitlement_value(catalog, &entitlement, feature);
	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(value);
}

/* feature_value(customer, feature) */
Datum
qzpay_feature_value(PG_FUNCTION_ARGS)
{
	return feature_value(fcinfo, QZPAY_BY_ID);
}

Datum
qzpay_feature_value_ref(PG_FUNCTION_ARGS)
{
	return feature_value(fcinfo, QZPAY_BY_EXTERNAL_ID);
}

static bool
has_access(FunctionCallInfo fcinfo, QzpayCustomerBy by)
{
	QzpayEntitlement entitlement;

	qzpay_argument_customer(fcinfo, by, false, &entitlement);
	return qzpay_entitlement_access(&entitlement, entitlement.now);
}

/* has_access(customer) */
Datum
qzpay_has_access(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(has_access(fcinfo, QZPAY_BY_ID));
}

Datum
qzpay_has_access_ref(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(has_access(fcinfo, QZPAY_BY_EXTERNAL_ID));
}

/* A guard that is asked about nothing must not let through; with a scope, the count and the scope may be left out. */
void
qzpay_argument_refuse_nulls(FunctionCallInfo fcinfo, bool with_scope)
{
	for (int i = 0; i < PG_NARGS(); i++)
	{
		if (PG_ARGISNULL(i) && !(with_scope && (i == 2 || i == 4)))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("arguments of a guard must not be null")));
	}
}

static Datum
require_active_subscription(FunctionCallInfo fcinfo, QzpayCustomerBy by)
{
	qzpay_argument_refuse_nulls(fcinfo, false);
	if (!has_access(fcinfo, by))
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_NO_ACCESS),
				 errmsg("customer \"%s\" has no subscription that gives access", qzpay_argument_customer_name(fcinfo, by))));
	PG_RETURN_VOID();
}

/* require_active_subscription(customer) */
Datum
qzpay_require_active_subscription(PG_FUNCTION_ARGS)
{
	return require_active_subscription(fcinfo, QZPAY_BY_ID);
}

Datum
qzpay_require_active_subscription_ref(PG_FUNCTION_ARGS)
{
	return require_active_subscription(fcinfo, QZPAY_BY_EXTERNAL_ID);
}

static Datum
require_entitlement(FunctionCallInfo fcinfo, QzpayCustomerBy by)
{
	qzpay_argument_refuse_nulls(fcinfo, false);
	if (!has_entitlement(fcinfo, by))
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_NO_ACCESS),
				 errmsg("customer \"%s\" is not entitled to \"%s\"", qzpay_argument_customer_name(fcinfo, by), text_to_cstring(PG_GETARG_TEXT_PP(1)))));
	PG_RETURN_VOID();
}

/* require_entitlement(customer, feature) */
Datum
qzpay_require_entitlement(PG_FUNCTION_ARGS)
{
	return require_entitlement(fcinfo, QZPAY_BY_ID);
}

Datum
qzpay_require_entitlement_ref(PG_FUNCTION_ARGS)
{
	return require_entitlement(fcinfo, QZPAY_BY_EXTERNAL_ID);
}

static Datum
require_limit(FunctionCallInfo fcinfo, QzpayCustomerBy by)
{
	LimitCheck	check;

	qzpay_argument_refuse_nulls(fcinfo, PG_NARGS() == 5);
	check_limit(fcinfo, by, &check);
	if (!check.allowed)
		qzpay_limit_reached(text_to_cstring(PG_GETARG_TEXT_PP(1)), qzpay_argument_customer_name(fcinfo, by), check.current, check.limit_value);
	PG_RETURN_VOID();
}

/* require_limit(customer, feature, current_count, increment) */
Datum
qzpay_require_limit(PG_FUNCTION_ARGS)
{
	return require_limit(fcinfo, QZPAY_BY_ID);
}

Datum
qzpay_require_limit_ref(PG_FUNCTION_ARGS)
{
	return require_limit(fcinfo, QZPAY_BY_EXTERNAL_ID);
}
