/*
 * wrapper.c
 *		Public functions: open the context of the tenant whose object the first argument names, and the act that the audit log tells of; call
 *		the internal of the same name.
 *
 * qzpay.cancel(subscription, ...) is declared in C, SECURITY DEFINER, with the symbol of its first argument's kind; what it does is the
 * internal qzpay._cancel with the same arguments, in whatever language.  Found by name in the one schema and by exact argument types, so
 * that no search_path matters.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type_d.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/execnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/uuid.h"

#include "errors.h"
#include "qzpay.h"
#include "store/act.h"
#include "store/context.h"
#include "store/installation.h"
#include "store/pan.h"
#include "store/tenant_of.h"
#include "store/uuid.h"

QZPAY_FUNCTION(qzpay_as_act);
QZPAY_FUNCTION(qzpay_in_tenant_of_attempt);
QZPAY_FUNCTION(qzpay_in_tenant_of_credit_note);
QZPAY_FUNCTION(qzpay_in_tenant_of_customer);
QZPAY_FUNCTION(qzpay_in_tenant_of_customer_ref);
QZPAY_FUNCTION(qzpay_in_tenant_of_external_id);
QZPAY_FUNCTION(qzpay_in_tenant_of_invoice);
QZPAY_FUNCTION(qzpay_in_tenant_of_payment);
QZPAY_FUNCTION(qzpay_in_tenant_of_payment_method);
QZPAY_FUNCTION(qzpay_in_tenant_of_refund_request);
QZPAY_FUNCTION(qzpay_in_tenant_of_row);
QZPAY_FUNCTION(qzpay_in_tenant_of_subscription);

/* What a public function leads to. */
typedef struct Target
{
	FmgrInfo	internal;
	bool		is_volatile;	/* as the public function is declared */
	Oid			texts[FUNC_MAX_ARGS];	/* types of the arguments in which somebody may write, 0 for the others */
	char	  **names;			/* of the arguments */
} Target;

/*
 * note_texts
 *		Where free text enters: the arguments of a function that writes.  Tax ids have a rule of their own, as some look like a card's number.
 */
static void
note_texts(Target *target, HeapTuple tuple)
{
	Oid		   *types;
	char	   *modes;
	int			n = get_func_arg_info(tuple, &types, &target->names, &modes);
	int			argument = 0;

	for (int i = 0; i < n; i++)
	{
		if (modes != NULL && modes[i] != PROARGMODE_IN)
			continue;
		if (target->names != NULL)
			target->names[argument] = target->names[i];
		if ((types[i] == TEXTOID || types[i] == TEXTARRAYOID || types[i] == JSONBOID) &&
			!(target->names != NULL && strcmp(target->names[i], "tax_ids") == 0))
			target->texts[argument] = types[i];
		argument++;
	}
}

/* Raises 22023 where an argument holds what passes for a card number. */
static void
refuse_pan(FunctionCallInfo fcinfo, const Target *target)
{
	for (int i = 0; i < fcinfo->nargs; i++)
	{
		bool		found = false;

		if (target->texts[i] == InvalidOid || fcinfo->args[i].isnull)
			continue;
		if (target->texts[i] == TEXTOID)
			found = qzpay_text_holds_pan(PG_GETARG_TEXT_PP(i));
		else if (target->texts[i] == JSONBOID)
			found = qzpay_jsonb_holds_pan(PG_GETARG_JSONB_P(i));
		else
		{
			Datum	   *elements;
			bool	   *nulls;
			int			n;

			deconstruct_array(PG_GETARG_ARRAYTYPE_P(i), TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
			for (int j = 0; j < n && !found; j++)
				found = !nulls[j] && qzpay_text_holds_pan(DatumGetTextPP(elements[j]));
		}
		if (found)
			qzpay_raise_pan(target->names != NULL ? target->names[i] : NULL);
	}
}

/*
 * target_function
 *		The internal of the function that is being called; looked up once per call site.
 */
static Target *
target_function(FunctionCallInfo fcinfo)
{
	FmgrInfo   *self = fcinfo->flinfo;
	Target	   *target = self->fn_extra;
	HeapTuple	tuple;
	Form_pg_proc proc;
	char	   *name;
	Oid			internal_oid;
	bool		is_volatile;
	MemoryContext memory;

	if (target != NULL)
		return target;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(self->fn_oid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", self->fn_oid);
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	name = psprintf("_%s", NameStr(proc->proname));
	internal_oid = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name), PointerGetDatum(&proc->proargtypes),
								   ObjectIdGetDatum(proc->pronamespace));
	is_volatile = proc->provolatile == PROVOLATILE_VOLATILE;
	if (!OidIsValid(internal_oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function qzpay.%s with the arguments of qzpay.%s does not exist", name, name + 1)));
	memory = MemoryContextSwitchTo(self->fn_mcxt);
	target = palloc0(sizeof(Target));
	if (is_volatile)
		note_texts(target, tuple);
	MemoryContextSwitchTo(memory);
	ReleaseSysCache(tuple);
	fmgr_info_cxt(internal_oid, &target->internal, self->fn_mcxt);
	target->internal.fn_expr = self->fn_expr;
	target->is_volatile = is_volatile;
	self->fn_extra = target;
	pfree(name);
	return target;
}

/* What is checked before anything is looked up, so that no message repeats it. */
static void
check_call(FunctionCallInfo fcinfo)
{
	qzpay_context_require();
	refuse_pan(fcinfo, target_function(fcinfo));
}

/* The call itself, between opening and closing context and act, whatever happens in it; tenant is NULL for a call that acts for none. */
static Datum
invoke(FunctionCallInfo fcinfo, Target *target, ReturnSetInfo *result_info, const pg_uuid_t *tenant, bool is_act)
{
	FmgrInfo   *self = fcinfo->flinfo;
	FmgrInfo   *internal = &target->internal;
	int			allowed_modes = result_info != NULL ? result_info->allowedModes : 0;
	volatile Datum result = (Datum) 0;
	QzpayFrame	frame;
	QzpayAct	act;

	if (tenant != NULL)
		qzpay_context_push(&frame, tenant);
	if (is_act)
		qzpay_act_open(&act, self->fn_oid);
	PG_TRY();
	{
		fcinfo->flinfo = internal;
		fcinfo->isnull = false;
		/* A set must be materialised: a row fetched later would be computed outside of the context. */
		if (internal->fn_retset && result_info != NULL)
			result_info->allowedModes |= SFRM_Materialize_Preferred;
		result = FunctionCallInvoke(fcinfo);
		if (internal->fn_retset && result_info != NULL && result_info->returnMode != SFRM_Materialize)
			elog(ERROR, "function %u does not materialize its result", internal->fn_oid);
	}
	PG_FINALLY();
	{
		fcinfo->flinfo = self;
		if (result_info != NULL)
			result_info->allowedModes = allowed_modes;
		if (is_act)
			qzpay_act_close(&act);
		if (tenant != NULL)
			qzpay_context_pop(&frame);
	}
	PG_END_TRY();
	return result;
}

/* Calls the internal with this call's arguments, in the tenant's context unless tenant is NULL. */
static Datum
call_inside(FunctionCallInfo fcinfo, const pg_uuid_t *tenant)
{
	Target	   *target = target_function(fcinfo);
	ReturnSetInfo *result_info = NULL;

	if (fcinfo->resultinfo != NULL && IsA(fcinfo->resultinfo, ReturnSetInfo))
		result_info = (ReturnSetInfo *) fcinfo->resultinfo;
	for (int i = 0; target->internal.fn_strict && i < fcinfo->nargs; i++)
	{
		if (fcinfo->args[i].isnull)
			PG_RETURN_NULL();
	}
	return invoke(fcinfo, target, result_info, tenant, target->is_volatile);
}

/*
 * tenant_of
 *		qzpay_tenant_of() as the public function's label promises: a volatile one sees what the statement that calls it has done so far, so
 *		that subscribe() finds the customer that sync_customer() makes in the same statement.
 */
static bool
tenant_of(FunctionCallInfo fcinfo, QzpayObject object, const pg_uuid_t *id, pg_uuid_t *tenant)
{
	bool		found;

	if (!target_function(fcinfo)->is_volatile)
		return qzpay_tenant_of(object, id, tenant);
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	found = qzpay_tenant_of(object, id, tenant);
	PopActiveSnapshot();
	return found;
}

/* For a first argument that is the id of an object of this kind. */
static Datum
in_tenant_of(FunctionCallInfo fcinfo, QzpayObject object)
{
	pg_uuid_t  *id;
	pg_uuid_t	tenant;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", qzpay_object_name(object))));
	id = PG_GETARG_UUID_P(0);
	check_call(fcinfo);
	if (!tenant_of(fcinfo, object, id, &tenant) || !qzpay_context_allows(&tenant))
		qzpay_object_not_found(object, id);
	return call_inside(fcinfo, &tenant);
}

Datum
qzpay_in_tenant_of_attempt(PG_FUNCTION_ARGS)
{
	return in_tenant_of(fcinfo, QZPAY_OBJECT_ATTEMPT);
}

Datum
qzpay_in_tenant_of_credit_note(PG_FUNCTION_ARGS)
{
	return in_tenant_of(fcinfo, QZPAY_OBJECT_CREDIT_NOTE);
}

Datum
qzpay_in_tenant_of_customer(PG_FUNCTION_ARGS)
{
	return in_tenant_of(fcinfo, QZPAY_OBJECT_CUSTOMER);
}

Datum
qzpay_in_tenant_of_invoice(PG_FUNCTION_ARGS)
{
	return in_tenant_of(fcinfo, QZPAY_OBJECT_INVOICE);
}

Datum
qzpay_in_tenant_of_payment(PG_FUNCTION_ARGS)
{
	return in_tenant_of(fcinfo, QZPAY_OBJECT_PAYMENT);
}

Datum
qzpay_in_tenant_of_payment_method(PG_FUNCTION_ARGS)
{
	return in_tenant_of(fcinfo, QZPAY_OBJECT_PAYMENT_METHOD);
}

Datum
qzpay_in_tenant_of_refund_request(PG_FUNCTION_ARGS)
{
	return in_tenant_of(fcinfo, QZPAY_OBJECT_REFUND_REQUEST);
}

Datum
qzpay_in_tenant_of_subscription(PG_FUNCTION_ARGS)
{
	return in_tenant_of(fcinfo, QZPAY_OBJECT_SUBSCRIPTION);
}

/* For a first argument that is an external id of a customer that exists, or its id as text. */
Datum
qzpay_in_tenant_of_customer_ref(PG_FUNCTION_ARGS)
{
	pg_uuid_t	tenant;
	pg_uuid_t	id;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("customer must not be null")));
	check_call(fcinfo);
	if (!qzpay_tenant_of_external_id(PG_GETARG_DATUM(0), &tenant) &&
		!(qzpay_uuid_parse_text(PG_GETARG_DATUM(0), &id) &&
		  tenant_of(fcinfo, QZPAY_OBJECT_CUSTOMER, &id, &tenant) && qzpay_context_allows(&tenant)))
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_NOT_FOUND),
				 errmsg("customer \"%s\" not found", text_to_cstring(PG_GETARG_TEXT_PP(0)))));
	return call_inside(fcinfo, &tenant);
}

/* For sync_customer(): the first argument is the external id of a customer that may not exist yet. */
Datum
qzpay_in_tenant_of_external_id(PG_FUNCTION_ARGS)
{
	pg_uuid_t	tenant;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("external id must not be null")));
	check_call(fcinfo);
	if (!qzpay_context_tenant(&tenant))
		qzpay_uuid_derive_text(&tenant, qzpay_installation_id(), PG_GETARG_DATUM(0));
	return call_inside(fcinfo, &tenant);
}

/* For what concerns no tenant, or several: staff's own decisions. */
Datum
qzpay_as_act(PG_FUNCTION_ARGS)
{
	return call_inside(fcinfo, NULL);
}

/*
 * qzpay_in_tenant_of_row
 *		A trigger function for rows: calls its internal in the context of the row's tenant, whoever writes the row.
 */
Datum
qzpay_in_tenant_of_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	int			number;
	Datum		tenant = (Datum) 0;
	bool		isnull = true;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function is not a trigger of this kind")));
	number = SPI_fnumber(RelationGetDescr(trigger->tg_relation), "tenant_id");
	if (number > 0)
		tenant = heap_getattr(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple,
							  number, RelationGetDescr(trigger->tg_relation), &isnull);
	return invoke(fcinfo, target_function(fcinfo), NULL, isnull ? NULL : DatumGetUUIDP(tenant), false);
}
