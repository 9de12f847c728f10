/*
 * usage_query.c
 *		Meters that count rows of the application's own tables: their queries are run here.
 *
 * Whose rights?  The text of a query is an administrator's, but what it runs is not only the text: whoever owns a table in it may put functions of
 * his own behind it, in a view, a policy, an operator or an index.  Run with the rights of the worker or of qzpay_owner, he would bill whom he
 * likes.  So it runs with those of a role that was named with it and has none of ours, as REINDEX runs with the table owner's: inside a
 * restricted operation, from which SET ROLE leads nowhere, on a search path that is pinned.  The text comes from the table alone,
 * which only administrators write, and never from an argument.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"

#include "errors.h"
#include "qzpay.h"

QZPAY_FUNCTION(qzpay_check_meter_query);
QZPAY_FUNCTION(qzpay_count_rows);

/* The rights of a query's role, for a while. */
typedef struct Rights
{
	Oid			role;
	int			security;
	int			guc_level;
} Rights;

/* The role, if queries may run with its rights; raises 42501 where it has more than an application's. */
static Oid
role_of(const char *name)
{
	static const char *const ours[] = {"qzpay_owner", "qzpay_admin", "qzpay_worker", "pg_execute_server_program", "pg_write_server_files", "pg_read_server_files"};
	Oid			role = get_role_oid(name, false);

	for (size_t i = 0; i < lengthof(ours); i++)
	{
		if (superuser_arg(role) || has_privs_of_role(role, get_role_oid(ours[i], false)))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("role \"%s\" may do too much to run a meter's query", name),
					 errdetail("It is a superuser or has the rights of %s.", ours[i]),
					 errhint("Name a role that can read the application's table and nothing of qzpay.")));
	}
	return role;
}

static void
take_rights(Rights *before, Oid role)
{
	GetUserIdAndSecContext(&before->role, &before->security);
	before->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	SetUserIdAndSecContext(role, before->security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
}

/* An error does the same when its (sub)transaction is aborted. */
static void
give_back_rights(const Rights *before)
{
	AtEOXact_GUC(false, before->guc_level);
	SetUserIdAndSecContext(before->role, before->security);
}

static SPIPlanPtr
prepare(const char *sql, int nargs, Oid *types)
{
	SPIPlanPtr	plan = SPI_prepare(sql, nargs, types);

	if (plan == NULL || !SPI_is_cursor_plan(plan))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a meter's query must be a single SELECT")));
	return plan;
}

/* _check_meter_query(query, run_as): the type of its column customer */
Datum
qzpay_check_meter_query(PG_FUNCTION_ARGS)
{
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Oid			role = role_of(NameStr(*PG_GETARG_NAME(1)));
	Rights		before;
	CachedPlanSource *source;
	Oid			customer;
	Oid			occurred_at;

	take_rights(&before, role);
	SPI_connect();
	source = linitial(SPI_plan_get_plan_sources(prepare(psprintf("SELECT q.customer, q.occurred_at, q.quantity::pg_catalog.numeric FROM (%s\n) q", query), 0, NULL)));
	customer = TupleDescAttr(source->resultDesc, 0)->atttypid;
	occurred_at = TupleDescAttr(source->resultDesc, 1)->atttypid;
	SPI_finish();
	give_back_rights(&before);
	if (customer != TEXTOID && customer != UUIDOID && customer != INT4OID && customer != INT8OID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column customer of a meter's query must be text, uuid, integer or bigint, not %s", format_type_be(customer))));
	if (occurred_at != TIMESTAMPTZOID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("column occurred_at of a meter's query must be timestamptz, not %s", format_type_be(occurred_at))));
	PG_RETURN_TEXT_P(cstring_to_text(format_type_be(customer)));
}

/* What a meter's query is, with whose rights it runs, and whom it asks for; raises QZ404 where there is none. */
static char *
read_query(Datum *arguments, Oid *role, Datum *external_id, MemoryContext context)
{
	Oid			types[3] = {UUIDOID, UUIDOID, UUIDOID};
	HeapTuple	row;
	TupleDesc	desc;
	bool		isnull;
	char	   *sql;
	MemoryContext old;

	if (SPI_execute_with_args("SELECT q.query, q.run_as::pg_catalog.text, q.customer_type, c.external_id FROM qzpay.meter_queries q, qzpay.customers c "
							  "WHERE q.meter_id OPERATOR(pg_catalog.=) $1 AND c.tenant_id OPERATOR(pg_catalog.=) $2 AND c.id OPERATOR(pg_catalog.=) $3",
							  3, types, arguments, NULL, true, 1) != SPI_OK_SELECT || SPI_processed == 0)
		ereport(ERROR, (errcode(ERRCODE_QZPAY_NOT_FOUND), errmsg("no such customer, or the meter has no query")));
	row = SPI_tuptable->vals[0];
	desc = SPI_tuptable->tupdesc;
	*role = role_of(SPI_getvalue(row, desc, 2));
	old = MemoryContextSwitchTo(context);
	*external_id = datumCopy(SPI_getbinval(row, desc, 4, &isnull), false, -1);
	sql = psprintf("SELECT pg_catalog.sum(q.quantity::pg_catalog.numeric), pg_catalog.count(*) FROM (%s\n) q "
				   "WHERE q.customer OPERATOR(pg_catalog.=) $1::%s AND q.occurred_at OPERATOR(pg_catalog.>=) $2 AND q.occurred_at OPERATOR(pg_catalog.<) $3",
				   SPI_getvalue(row, desc, 1), SPI_getvalue(row, desc, 3));
	MemoryContextSwitchTo(old);
	return sql;
}

/* _count_rows(meter, tenant, customer, from, to): quantity, events */
Datum
qzpay_count_rows(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	Datum		arguments[3] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2)};
	Oid			types[3] = {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		values[3];
	bool		nulls[2];
	TupleDesc	desc;
	Oid			role;
	Rights		before;
	char	   *sql;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "_count_rows() must return a row");
	SPI_connect();
	sql = read_query(arguments, &role, &values[0], caller);
	values[1] = PG_GETARG_DATUM(3);
	values[2] = PG_GETARG_DATUM(4);
	take_rights(&before, role);
	if (SPI_execute_plan(prepare(sql, 3, types), values, NULL, true, 1) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "a meter's query returned no row");
	give_back_rights(&before);
	for (int i = 0; i < 2; i++)
	{
		MemoryContext old;

		values[i] = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, i + 1, &nulls[i]);
		old = MemoryContextSwitchTo(caller);
		if (i == 0)
			values[i] = nulls[i] ? DirectFunctionCall1(int4_numeric, Int32GetDatum(0)) : datumCopy(values[i], false, -1);
		MemoryContextSwitchTo(old);
		nulls[i] = false;
	}
	SPI_finish();
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
