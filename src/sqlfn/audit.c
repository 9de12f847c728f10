/*
 * audit.c
 *		SQL-callable functions: who does what, for the audit log.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "guc.h"
#include "qzpay.h"
#include "store/act.h"

QZPAY_FUNCTION(qzpay_act_facts);
QZPAY_FUNCTION(qzpay_in_act);

/* _in_act(): whether a public function is at work. */
Datum
qzpay_in_act(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(qzpay_act_is_open());
}

/* _act_facts(): (act, act_id, role, actor); without an act its name and id are NULL. */
Datum
qzpay_act_facts(PG_FUNCTION_ARGS)
{
	QzpayAct   *act = qzpay_act_outermost();
	char	   *function = act == NULL ? NULL : get_func_name(act->function);
	TupleDesc	desc;
	Datum		values[4] = {0};
	bool		nulls[4] = {true, true, false, true};
	NameData	role;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (function != NULL)
	{
		values[0] = CStringGetTextDatum(function);
		values[1] = UUIDPGetDatum(&act->id);
		nulls[0] = nulls[1] = false;
	}
	/* Whom SET ROLE says, whatever definer function this is. */
	namestrcpy(&role, GetUserNameFromId(GetOuterUserId(), false));
	values[2] = NameGetDatum(&role);
	if (qzpay_guc_actor != NULL && qzpay_guc_actor[0] != '\0')
	{
		values[3] = CStringGetTextDatum(qzpay_guc_actor);
		nulls[3] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
