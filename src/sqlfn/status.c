/*
 * status.c
 *		SQL-callable functions: the state machines.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "core/status.h"
#include "qzpay.h"

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
