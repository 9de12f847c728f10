/*
 * status.c
 *		SQL-callable functions: the state machines, and how much access a contract gives.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/status.h"
#include "qzpay.h"

QZPAY_FUNCTION(qzpay_full_access_until);
QZPAY_FUNCTION(qzpay_status_move_allowed);

/* status_allowed(machine, from, to) */
Datum
qzpay_status_move_allowed(PG_FUNCTION_ARGS)
{
	char	   *machine_name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *status[2] = {text_to_cstring(PG_GETARG_TEXT_PP(1)), text_to_cstring(PG_GETARG_TEXT_PP(2))};
	QzpayMachine machine = qzpay_status_machine(machine_name);

	if (machine == QZPAY_MACHINE_UNKNOWN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown state machine \"%s\"", machine_name),
				 errhint("There are subscription, invoice and attempt.")));
	for (int i = 0; i < 2; i++)
	{
		if (!qzpay_status_known(machine, status[i]))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown %s status \"%s\"", machine_name, status[i])));
	}
	PG_RETURN_BOOL(qzpay_status_allowed(machine, status[0], status[1]));
}

static QzpayAccess
access_argument(FunctionCallInfo fcinfo, int n)
{
	char	   *word = PG_ARGISNULL(n) ? "none" : text_to_cstring(PG_GETARG_TEXT_PP(n));

	return strcmp(word, "full") == 0 ? QZPAY_ACCESS_FULL : strcmp(word, "limited") == 0 ? QZPAY_ACCESS_LIMITED : QZPAY_ACCESS_NONE;
}

static int64
instant_argument(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? QZPAY_INSTANT_NONE : PG_GETARG_TIMESTAMPTZ(n);
}

/* _full_access_until(status, grace_access, pause_access, pause_at, restricted_at, comp_until, access_until) */
Datum
qzpay_full_access_until(PG_FUNCTION_ARGS)
{
	QzpayAccessFacts facts = {
		.status = PG_ARGISNULL(0) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(0)),
		.grace_access = access_argument(fcinfo, 1),
		.pause_access = access_argument(fcinfo, 2),
		.pause_at = instant_argument(fcinfo, 3),
		.restricted_at = instant_argument(fcinfo, 4),
		.comp_until = instant_argument(fcinfo, 5)
	};

	if (PG_ARGISNULL(6))
		PG_RETURN_NULL();
	/* The core's "no instant" and "never" are the server's -infinity and infinity. */
	PG_RETURN_TIMESTAMPTZ(qzpay_full_until(&facts, PG_GETARG_TIMESTAMPTZ(6)));
}
