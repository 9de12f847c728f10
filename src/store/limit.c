/*
 * limit.c
 *		Counters of the rows that the application's own tables hold.
 *
 * A counter is moved by UPDATE ... WHERE used + n <= limit, which no snapshot gets around: READ COMMITTED waits and looks again, the stricter
 * levels fail with 40001.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "errors.h"
#include "store/call.h"
#include "store/limit.h"

#define COUNTER_TYPES UUIDOID, UUIDOID, TEXTOID, OIDOID, TEXTOID

static QzpayCall move = {
	.sql = "SELECT * FROM qzpay._move_counter($1, $2, $3, $4, $5, $6, $7)",
	.nargs = 7,
	.types = {COUNTER_TYPES, INT8OID, NUMERICOID}
};
static QzpayCall start = {
	.sql = "SELECT qzpay._start_counter($1, $2, $3, $4, $5)",
	.nargs = 5,
	.types = {COUNTER_TYPES}
};
static QzpayCall set = {
	.sql = "SELECT qzpay._set_counter($1, $2, $3, $4, $5, $6)",
	.nargs = 6,
	.types = {COUNTER_TYPES, INT8OID}
};

static QzpayCall count = {
	.sql = "SELECT qzpay._counter_value($1, $2, $3, $4)",
	.nargs = 4,
	.types = {UUIDOID, UUIDOID, TEXTOID, TEXTOID}
};
static QzpayCall look = {
	.sql = "SELECT qzpay._look_for_overage($1, $2)",
	.nargs = 2,
	.types = {UUIDOID, UUIDOID}
};

static void
key_arguments(const QzpayCounter *counter, Datum *values)
{
	values[0] = UUIDPGetDatum(&counter->tenant);
	values[1] = UUIDPGetDatum(&counter->customer);
	values[2] = CStringGetTextDatum(counter->feature);
	values[3] = ObjectIdGetDatum(counter->relation);
	values[4] = CStringGetTextDatum(counter->scope);
}

/*
 * qzpay_counter_move
 *		Adds delta to the counter if that keeps it within the limit (NULL: none); *used is then the new count, or the old one when full.
 *
 * A counter that goes down is never full.  Holds the row's lock until the transaction ends.
 */
QzpayCounterState
qzpay_counter_move(const QzpayCounter *counter, int64 delta, Numeric limit, int64 *used)
{
	Datum		values[7];
	char		nulls[8] = "       ";
	Datum		results[2];
	bool		result_nulls[2];

	key_arguments(counter, values);
	values[5] = Int64GetDatum(delta);
	values[6] = NumericGetDatum(limit);
	if (limit == NULL)
		nulls[6] = 'n';
	if (!qzpay_call(&move, &counter->tenant, values, nulls, false, 2, results, result_nulls))
		elog(ERROR, "qzpay._move_counter() returned no row");
	*used = result_nulls[1] ? 0 : DatumGetInt64(results[1]);
	if (result_nulls[0])
		return QZPAY_COUNTER_MISSING;
	return DatumGetBool(results[0]) ? QZPAY_COUNTER_MOVED : QZPAY_COUNTER_FULL;
}

/*
 * qzpay_counter_start
 *		Makes the counter's row, at 0; false when another transaction has made it.
 *
 * From here until the transaction ends everybody else who moves this counter waits, so the caller may count.
 */
bool
qzpay_counter_start(const QzpayCounter *counter)
{
	Datum		values[5];
	Datum		started;
	bool		isnull;

	key_arguments(counter, values);
	if (!qzpay_call(&start, &counter->tenant, values, NULL, false, 1, &started, &isnull))
		elog(ERROR, "qzpay._start_counter() returned no row");
	return DatumGetBool(started);
}

/* Writes what was counted. */
void
qzpay_counter_set(const QzpayCounter *counter, int64 used)
{
	Datum		values[6];
	Datum		nothing;
	bool		isnull;

	key_arguments(counter, values);
	values[5] = Int64GetDatum(used);
	qzpay_call(&set, &counter->tenant, values, NULL, false, 1, &nothing, &isnull);
}

/* What is counted for a group (of several tables, in the fullest), as the running statement sees it; 0 where nobody has counted yet. */
int64
qzpay_counter_read(const pg_uuid_t *tenant, const pg_uuid_t *customer, const char *feature, text *scope)
{
	Datum		values[4];
	Datum		used;
	bool		isnull;

	values[0] = UUIDPGetDatum(tenant);
	values[1] = UUIDPGetDatum(customer);
	values[2] = CStringGetTextDatum(feature);
	values[3] = PointerGetDatum(scope);
	if (!qzpay_call(&count, tenant, values, NULL, true, 1, &used, &isnull))
		elog(ERROR, "qzpay._counter_value() returned no row");
	return isnull ? 0 : DatumGetInt64(used);
}

/* To be called after a counter above its limit has gone down: the countdown may be over. */
void
qzpay_counter_was_over(const QzpayCounter *counter)
{
	Datum		values[2];
	Datum		nothing;
	bool		isnull;

	values[0] = UUIDPGetDatum(&counter->tenant);
	values[1] = UUIDPGetDatum(&counter->customer);
	qzpay_call(&look, &counter->tenant, values, NULL, false, 1, &nothing, &isnull);
}

/*
 * qzpay_counters_forget
 *		Removes the counters of a table, of one feature or (NULL) of all, in every tenant; they are counted anew when needed.
 *
 * Runs as qzpay_worker, whose policy sees every tenant.
 */
void
qzpay_counters_forget(Oid relation, const char *feature)
{
	Oid			role;
	int			security;
	Oid			types[2] = {OIDOID, TEXTOID};
	Datum		values[2];
	char		nulls[3] = "  ";

	values[0] = ObjectIdGetDatum(relation);
	values[1] = feature == NULL ? (Datum) 0 : CStringGetTextDatum(feature);
	if (feature == NULL)
		nulls[1] = 'n';
	GetUserIdAndSecContext(&role, &security);
	SetUserIdAndSecContext(get_role_oid("qzpay_worker", false), security | SECURITY_LOCAL_USERID_CHANGE);
	SPI_connect();
	if (SPI_execute_with_args("SELECT qzpay._forget_counters($1, $2)", 2, types, values, nulls, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "qzpay._forget_counters() failed");
	SPI_finish();
	/* An error resets the role with the (sub)transaction. */
	SetUserIdAndSecContext(role, security);
}

/* Raises QZ402. */
void
qzpay_limit_reached(const char *feature, const char *customer, Numeric current, Numeric limit_value)
{
	StringInfoData detail;
	char	   *current_text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(current)));
	char	   *limit_text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(limit_value)));

	initStringInfo(&detail);
	appendStringInfoString(&detail, "{\"limit\": ");
	escape_json(&detail, feature);
	appendStringInfo(&detail, ", \"current\": %s, \"limit_value\": %s}", current_text, limit_text);
	ereport(ERROR,
			(errcode(ERRCODE_QZPAY_LIMIT_REACHED),
			 errmsg("customer \"%s\" has reached its limit \"%s\" of %s", customer, feature, limit_text),
			 errdetail_internal("%s", detail.data),
			 errhint("A higher plan or an add-on raises the limit.")));
}
