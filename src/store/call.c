/*
 * call.c
 *		Calls of internal SQL functions from C, with the owner's rights and inside a tenant's context.
 *
 * For what is rare on a hot path: a missing row, an alert, a new counter.  A call costs some microseconds, as PL/pgSQL would.  The statements
 * use no operator and no unqualified name, so the caller's search_path has nothing to say in them.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/datum.h"

#include "store/call.h"
#include "store/context.h"

/* Copies the first row's first columns into the given memory context. */
static void
copy_results(MemoryContext context, int n_results, Datum *results, bool *result_nulls)
{
	HeapTuple	tuple = SPI_tuptable->vals[0];
	TupleDesc	desc = SPI_tuptable->tupdesc;
	MemoryContext old = MemoryContextSwitchTo(context);

	for (int i = 0; i < n_results; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		results[i] = SPI_getbinval(tuple, desc, i + 1, &result_nulls[i]);
		if (!result_nulls[i])
			results[i] = datumTransfer(results[i], att->attbyval, att->attlen);
	}
	MemoryContextSwitchTo(old);
}

static bool
execute(QzpayCall *call, Datum *values, const char *nulls, bool read_only, int n_results, Datum *results, bool *result_nulls)
{
	MemoryContext caller = CurrentMemoryContext;
	bool		found;
	int			code;

	SPI_connect();
	if (call->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(call->sql, call->nargs, call->types);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare \"%s\": %s", call->sql, SPI_result_code_string(SPI_result));
		call->plan = plan;
	}
	code = SPI_execute_plan(call->plan, values, nulls, read_only, 1);
	if (code != SPI_OK_SELECT)
		elog(ERROR, "\"%s\" returned %s", call->sql, SPI_result_code_string(code));
	found = SPI_processed > 0;
	if (found && n_results > 0)
		copy_results(caller, n_results, results, result_nulls);
	SPI_finish();
	return found;
}

/*
 * qzpay_call
 *		Executes the statement; false when it returns no row, else the first columns of the first row, copied.
 *
 * A read-only call reads under the active snapshot.
 */
bool
qzpay_call(QzpayCall *call, const pg_uuid_t *tenant, Datum *values, const char *nulls, bool read_only,
		   int n_results, Datum *results, bool *result_nulls)
{
	QzpayFrame	frame;
	Oid			role;
	int			security;
	volatile bool found = false;

	GetUserIdAndSecContext(&role, &security);
	qzpay_context_push(&frame, tenant);
	PG_TRY();
	{
		SetUserIdAndSecContext(get_role_oid("qzpay_owner", false), security | SECURITY_LOCAL_USERID_CHANGE);
		found = execute(call, values, nulls, read_only, n_results, results, result_nulls);
	}
	PG_FINALLY();
	{
		SetUserIdAndSecContext(role, security);
		qzpay_context_pop(&frame);
	}
	PG_END_TRY();
	return found;
}
