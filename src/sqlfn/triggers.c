/*
 * triggers.c
 *		Trigger functions on qzpay's own tables.
 *
 * No role may execute them but by the triggers that install() makes: some act with the owner's rights on what the row says.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "nodes/bitmapset.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "core/status.h"
#include "errors.h"
#include "qzpay.h"
#include "store/context.h"
#include "store/settings.h"

QZPAY_FUNCTION(qzpay_append_only);
QZPAY_FUNCTION(qzpay_derive_subscription);
QZPAY_FUNCTION(qzpay_guard_columns);
QZPAY_FUNCTION(qzpay_invalidate_catalog);
QZPAY_FUNCTION(qzpay_record_transition);
QZPAY_FUNCTION(qzpay_status_guard);

#define MAX_REMINDERS 16

/* The call's trigger data; an error for a call that is no trigger of this kind. */
static TriggerData *
trigger_data(FunctionCallInfo fcinfo, bool right_kind)
{
	if (!CALLED_AS_TRIGGER(fcinfo) || !right_kind)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function is not a trigger of this kind")));
	return (TriggerData *) fcinfo->context;
}

#define TRIGGER_EVENT(fcinfo) (CALLED_AS_TRIGGER(fcinfo) ? ((TriggerData *) (fcinfo)->context)->tg_event : 0)

/* Number of a column that the trigger needs. */
static int
column_number(TriggerData *trigger, const char *name)
{
	int			number = SPI_fnumber(RelationGetDescr(trigger->tg_relation), name);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_SCHEMA_VERSION),
				 errmsg("table \"%s\" has no column \"%s\"", RelationGetRelationName(trigger->tg_relation), name),
				 errhint("Call qzpay.upgrade() as a superuser.")));
	return number;
}

/* A column's value; NULL is an error. */
static Datum
column_value(TriggerData *trigger, HeapTuple tuple, const char *name)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, column_number(trigger, name), RelationGetDescr(trigger->tg_relation), &isnull);

	if (isnull)
		ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION), errmsg("column \"%s\" is null", name)));
	return value;
}

/* The id of the row, for messages; empty where the table has none. */
static char *
row_id(TriggerData *trigger, HeapTuple tuple)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	int			number = SPI_fnumber(desc, "id");
	char	   *id = number > 0 ? SPI_getvalue(tuple, desc, number) : NULL;

	return id != NULL ? id : "";
}

static char *
enum_label(Datum value)
{
	return DatumGetCString(DirectFunctionCall1(enum_out, value));
}

/* _status_guard(machine) BEFORE UPDATE OF status: only the moves of core/status.c. */
Datum
qzpay_status_guard(PG_FUNCTION_ARGS)
{
	TriggerEvent event = TRIGGER_EVENT(fcinfo);
	TriggerData *trigger = trigger_data(fcinfo, TRIGGER_FIRED_BEFORE(event) && TRIGGER_FIRED_FOR_ROW(event) && TRIGGER_FIRED_BY_UPDATE(event));
	const char *machine_name = trigger->tg_trigger->tgnargs == 1 ? trigger->tg_trigger->tgargs[0] : "";
	QzpayMachine machine = qzpay_status_machine(machine_name);
	char	   *from;
	char	   *to;

	if (machine == QZPAY_MACHINE_UNKNOWN)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown state machine \"%s\"", machine_name)));
	from = enum_label(column_value(trigger, trigger->tg_trigtuple, "status"));
	to = enum_label(column_value(trigger, trigger->tg_newtuple, "status"));
	if (strcmp(from, to) != 0 && !qzpay_status_allowed(machine, from, to))
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_ILLEGAL_TRANSITION),
				 errmsg("%s \"%s\" cannot go from %s to %s", machine_name, row_id(trigger, trigger->tg_trigtuple), from, to),
				 qzpay_status_final(machine, from) ? errdetail("The status %s is final.", from) : 0));
	return PointerGetDatum(trigger->tg_newtuple);
}

/* The columns of subscriptions that the derived ones depend on, then the derived ones. */
enum
{
	S_STATUS, S_AUTO_RENEW, S_HAS_PAYMENT_METHOD, S_IS_FREE, S_MANAGED_BY, S_LATE_RENEWAL_DAYS, S_GRACE_ACCESS, S_PAUSE_ACCESS,
	S_STARTED_AT, S_CREATED_AT, S_TRIAL_END, S_REMINDED_AT, S_CURRENT_PERIOD_END, S_USAGE_PERIOD_END, S_USAGE_LATE_HOURS, S_GRACE_UNTIL, S_CANCEL_AT,
	S_ENDED_AT, S_COMP_UNTIL, S_RESUME_AT, S_DUNNING_NEXT_AT, S_CYCLE_DUE_AT, S_PAUSE_AT, S_CHANGE_AT, S_CANCEL_REASON, S_PERIOD_COMPED,
	S_TRIAL_REMINDER_DAYS, S_EXPIRING_REMINDER_DAYS, S_ACCESS_UNTIL, S_NEXT_DUE_AT,
	S_COLUMNS
};

static const char *const subscription_columns[S_COLUMNS] = {
	"status", "auto_renew", "has_payment_method", "is_free", "managed_by", "late_renewal_days", "grace_access", "pause_access",
	"started_at", "created_at", "trial_end", "reminded_at", "current_period_end", "usage_period_end", "usage_late_hours", "grace_until", "cancel_at",
	"ended_at", "comp_until", "resume_at", "dunning_next_at", "cycle_due_at", "pause_at", "change_at", "cancel_reason", "period_comped",
	"trial_reminder_days", "expiring_reminder_days", "access_until", "next_due_at"
};

/* Where the columns are, in fn_extra; a table altered since has another number of columns. */
typedef struct SubscriptionColumns
{
	Oid			relation;
	int			natts;
	int			numbers[S_COLUMNS];
} SubscriptionColumns;

static const int *
find_subscription_columns(FunctionCallInfo fcinfo, TriggerData *trigger)
{
	SubscriptionColumns *columns = fcinfo->flinfo->fn_extra;
	Relation	relation = trigger->tg_relation;

	if (columns == NULL)
		columns = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(SubscriptionColumns));
	if (columns->relation != RelationGetRelid(relation) || columns->natts != RelationGetDescr(relation)->natts)
	{
		columns->relation = InvalidOid;
		for (int i = 0; i < S_COLUMNS; i++)
			columns->numbers[i] = column_number(trigger, subscription_columns[i]);
		columns->natts = RelationGetDescr(relation)->natts;
		columns->relation = RelationGetRelid(relation);
	}
	return columns->numbers;
}

/* A row's values by S_...; the core's "no instant" and "never" are the server's -infinity and infinity. */
typedef struct SubscriptionRow
{
	Datum		values[S_COLUMNS];
	bool		isnull[S_COLUMNS];
} SubscriptionRow;

static int64
instant(const SubscriptionRow *row, int column)
{
	return row->isnull[column] ? QZPAY_INSTANT_NONE : DatumGetTimestampTz(row->values[column]);
}

static bool
flag(const SubscriptionRow *row, int column)
{
	return !row->isnull[column] && DatumGetBool(row->values[column]);
}

static QzpayAccess
access_word(const SubscriptionRow *row, int column)
{
	char	   *word = row->isnull[column] ? "none" : TextDatumGetCString(row->values[column]);

	return strcmp(word, "full") == 0 ? QZPAY_ACCESS_FULL : strcmp(word, "limited") == 0 ? QZPAY_ACCESS_LIMITED : QZPAY_ACCESS_NONE;
}

static int64
access_until(const SubscriptionRow *row, const char *status)
{
	QzpayAccessFacts facts = {
		.status = status,
		.auto_renew = flag(row, S_AUTO_RENEW),
		.has_method = flag(row, S_HAS_PAYMENT_METHOD) || flag(row, S_IS_FREE),
		.period_comped = flag(row, S_PERIOD_COMPED),
		.late_renewal_days = row->isnull[S_LATE_RENEWAL_DAYS] ? 0 : DatumGetInt32(row->values[S_LATE_RENEWAL_DAYS]),
		.grace_access = access_word(row, S_GRACE_ACCESS),
		.pause_access = access_word(row, S_PAUSE_ACCESS),
		.trial_end = instant(row, S_TRIAL_END),
		.period_end = instant(row, S_CURRENT_PERIOD_END),
		.grace_until = instant(row, S_GRACE_UNTIL),
		.cancel_at = instant(row, S_CANCEL_AT),
		.ended_at = instant(row, S_ENDED_AT),
		.comp_until = instant(row, S_COMP_UNTIL),
		.pause_at = instant(row, S_PAUSE_AT),
		.resume_at = instant(row, S_RESUME_AT)
	};

	return qzpay_access_until(&facts);
}

/* The first elements of an array of days that are none of them null.  Returns how many. */
static int
array_integers(Datum array, int reminders[MAX_REMINDERS])
{
	Datum	   *elements;
	bool	   *nulls;
	int			length;
	int			n = 0;

	deconstruct_array(DatumGetArrayTypeP(array), INT4OID, sizeof(int32), true, TYPALIGN_INT, &elements, &nulls, &length);
	for (int i = 0; i < length && n < MAX_REMINDERS; i++)
	{
		if (!nulls[i])
			reminders[n++] = DatumGetInt32(elements[i]);
	}
	return n;
}

/* When the usage period is closed: after its end, but in a trial, late reports are waited for. */
static int64
usage_closes_at(const SubscriptionRow *row, const char *status)
{
	int64		end = instant(row, S_USAGE_PERIOD_END);

	if (end == QZPAY_INSTANT_NONE || row->isnull[S_USAGE_LATE_HOURS] || strcmp(status, "trialing") == 0)
		return end;
	return end + DatumGetInt32(row->values[S_USAGE_LATE_HOURS]) * USECS_PER_HOUR;
}

static int64
next_due_at(const SubscriptionRow *row, const char *status)
{
	int			reminders[MAX_REMINDERS];
	int			n_reminders = 0;
	char	   *manager = row->isnull[S_MANAGED_BY] ? "" : TextDatumGetCString(row->values[S_MANAGED_BY]);
	char	   *reason = row->isnull[S_CANCEL_REASON] ? "" : TextDatumGetCString(row->values[S_CANCEL_REASON]);
	QzpayDueFacts facts = {
		.status = status,
		.engine_managed = strcmp(manager, "engine") == 0,
		.auto_renew = flag(row, S_AUTO_RENEW),
		.ends_unpaid = strcmp(reason, "payment_failed") == 0,
		.started_at = instant(row, S_STARTED_AT),
		.created_at = instant(row, S_CREATED_AT),
		.trial_end = instant(row, S_TRIAL_END),
		.reminded_at = instant(row, S_REMINDED_AT),
		.period_end = instant(row, S_CURRENT_PERIOD_END),
		.cycle_end = instant(row, S_CYCLE_DUE_AT),
		.usage_end = usage_closes_at(row, status),
		.cancel_at = instant(row, S_CANCEL_AT),
		.pause_at = instant(row, S_PAUSE_AT),
		.resume_at = instant(row, S_RESUME_AT),
		.change_at = instant(row, S_CHANGE_AT),
		.comp_until = instant(row, S_COMP_UNTIL),
		.dunning_next_at = instant(row, S_DUNNING_NEXT_AT)
	};

	/* Read only where there is an end to count down to. */
	if (qzpay_reminded_end(&facts) != QZPAY_INSTANT_NONE)
	{
		int			column = strcmp(status, "trialing") == 0 ? S_TRIAL_REMINDER_DAYS : S_EXPIRING_REMINDER_DAYS;

		n_reminders = row->isnull[column] ? qzpay_setting_integers(subscription_columns[column], reminders, MAX_REMINDERS)
			: array_integers(row->values[column], reminders);
	}
	return qzpay_next_due(&facts, reminders, n_reminders);
}

/*
 * qzpay_derive_subscription
 *		_derive_subscription() BEFORE INSERT OR UPDATE: access_until and next_due_at, from the row's other columns.
 */
Datum
qzpay_derive_subscription(PG_FUNCTION_ARGS)
{
	TriggerEvent event = TRIGGER_EVENT(fcinfo);
	TriggerData *trigger = trigger_data(fcinfo, TRIGGER_FIRED_BEFORE(event) && TRIGGER_FIRED_FOR_ROW(event) &&
										(TRIGGER_FIRED_BY_INSERT(event) || TRIGGER_FIRED_BY_UPDATE(event)));
	HeapTuple	tuple = TRIGGER_FIRED_BY_INSERT(event) ? trigger->tg_trigtuple : trigger->tg_newtuple;
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	const int  *numbers = find_subscription_columns(fcinfo, trigger);
	Datum	   *values = palloc(sizeof(Datum) * desc->natts);
	bool	   *isnull = palloc(sizeof(bool) * desc->natts);
	SubscriptionRow row;
	const int	derived[2] = {S_ACCESS_UNTIL, S_NEXT_DUE_AT};
	int			derived_numbers[2];
	int64		instants[2];
	Datum		new_values[2];
	bool		new_isnull[2];
	bool		changed = false;
	char	   *status;

	heap_deform_tuple(tuple, desc, values, isnull);
	for (int i = 0; i < S_COLUMNS; i++)
	{
		row.values[i] = values[numbers[i] - 1];
		row.isnull[i] = isnull[numbers[i] - 1];
	}
	/* The constraint speaks later. */
	if (row.isnull[S_STATUS])
		return PointerGetDatum(tuple);
	status = enum_label(row.values[S_STATUS]);
	instants[0] = access_until(&row, status);
	instants[1] = next_due_at(&row, status);
	for (int i = 0; i < 2; i++)
	{
		derived_numbers[i] = numbers[derived[i]];
		new_isnull[i] = instants[i] == QZPAY_INSTANT_NONE;
		new_values[i] = TimestampTzGetDatum(instants[i]);
		changed |= instants[i] != instant(&row, derived[i]);
	}
	if (changed)
		tuple = heap_modify_tuple_by_cols(tuple, desc, 2, derived_numbers, new_values, new_isnull);
	pfree(values);
	pfree(isnull);
	return PointerGetDatum(tuple);
}

/* Calls qzpay._on_transition(); the plan is kept for the session. */
static void
call_on_transition(Datum *arguments, const char *nulls)
{
	static SPIPlanPtr plan = NULL;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	if (plan == NULL)
	{
		Oid			types[6] = {TEXTOID, UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID};
		SPIPlanPtr	prepared = SPI_prepare("SELECT qzpay._on_transition($1, $2, $3, $4, $5, $6)", 6, types);

		if (prepared == NULL)
			elog(ERROR, "could not prepare the call of qzpay._on_transition: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(prepared);
		plan = prepared;
	}
	if (SPI_execute_plan(plan, arguments, nulls, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "qzpay._on_transition failed: %s", SPI_result_code_string(SPI_result));
	SPI_finish();
}

/*
 * qzpay_record_transition
 *		_record_transition(machine) AFTER UPDATE OF status: the transition and its events, whoever has updated.
 *
 * SECURITY DEFINER in the context of the row's tenant, so that it can write what the updating role cannot.
 */
Datum
qzpay_record_transition(PG_FUNCTION_ARGS)
{
	TriggerEvent event = TRIGGER_EVENT(fcinfo);
	TriggerData *trigger = trigger_data(fcinfo, TRIGGER_FIRED_AFTER(event) && TRIGGER_FIRED_FOR_ROW(event) &&
										(TRIGGER_FIRED_BY_INSERT(event) || TRIGGER_FIRED_BY_UPDATE(event)) &&
										((TriggerData *) fcinfo->context)->tg_trigger->tgnargs == 1);
	HeapTuple	new_row = trigger->tg_newtuple;
	char	   *from;
	char	   *to;
	bool		no_reason;
	Datum		reason;
	QzpayFrame	frame;

	/* What an INSERT means is said by the function that inserts. */
	if (!TRIGGER_FIRED_BY_UPDATE(event))
		return PointerGetDatum(NULL);
	from = enum_label(column_value(trigger, trigger->tg_trigtuple, "status"));
	to = enum_label(column_value(trigger, new_row, "status"));
	if (strcmp(from, to) == 0)
		return PointerGetDatum(NULL);
	reason = heap_getattr(new_row, column_number(trigger, "status_reason"), RelationGetDescr(trigger->tg_relation), &no_reason);

	qzpay_context_push(&frame, DatumGetUUIDP(column_value(trigger, new_row, "tenant_id")));
	PG_TRY();
	{
		Datum		arguments[6];

		arguments[0] = CStringGetTextDatum(trigger->tg_trigger->tgargs[0]);
		arguments[1] = column_value(trigger, new_row, "tenant_id");
		arguments[2] = column_value(trigger, new_row, "id");
		arguments[3] = CStringGetTextDatum(from);
		arguments[4] = CStringGetTextDatum(to);
		arguments[5] = reason;
		call_on_transition(arguments, no_reason ? "     n" : "      ");
	}
	PG_FINALLY();
	{
		qzpay_context_pop(&frame);
	}
	PG_END_TRY();
	return PointerGetDatum(NULL);
}

/* Which columns a trigger's arguments allow to change, in fn_extra. */
typedef struct AllowedColumns
{
	Oid			trigger;
	int			natts;
	Bitmapset  *numbers;
} AllowedColumns;

static const Bitmapset *
find_allowed_columns(FunctionCallInfo fcinfo, TriggerData *trigger)
{
	AllowedColumns *allowed = fcinfo->flinfo->fn_extra;
	int			natts = RelationGetDescr(trigger->tg_relation)->natts;
	MemoryContext old;

	if (allowed == NULL)
		allowed = fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(AllowedColumns));
	if (allowed->trigger == trigger->tg_trigger->tgoid && allowed->natts == natts)
		return allowed->numbers;
	allowed->trigger = InvalidOid;
	bms_free(allowed->numbers);
	allowed->numbers = NULL;
	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	for (int i = 0; i < trigger->tg_trigger->tgnargs; i++)
		allowed->numbers = bms_add_member(allowed->numbers, column_number(trigger, trigger->tg_trigger->tgargs[i]));
	MemoryContextSwitchTo(old);
	allowed->natts = natts;
	allowed->trigger = trigger->tg_trigger->tgoid;
	return allowed->numbers;
}

/* The trigger's arguments, for a message. */
static char *
argument_list(TriggerData *trigger)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < trigger->tg_trigger->tgnargs; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", trigger->tg_trigger->tgargs[i]);
	return list.data;
}

/* _guard_columns(column, ...) BEFORE UPDATE: no other column changes. */
Datum
qzpay_guard_columns(PG_FUNCTION_ARGS)
{
	TriggerEvent event = TRIGGER_EVENT(fcinfo);
	TriggerData *trigger = trigger_data(fcinfo, TRIGGER_FIRED_BEFORE(event) && TRIGGER_FIRED_FOR_ROW(event) && TRIGGER_FIRED_BY_UPDATE(event));
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	const Bitmapset *allowed = find_allowed_columns(fcinfo, trigger);
	Datum	   *values = palloc(sizeof(Datum) * desc->natts * 2);
	bool	   *isnull = palloc(sizeof(bool) * desc->natts * 2);
	Datum	   *new_values = values + desc->natts;
	bool	   *new_isnull = isnull + desc->natts;

	heap_deform_tuple(trigger->tg_trigtuple, desc, values, isnull);
	heap_deform_tuple(trigger->tg_newtuple, desc, new_values, new_isnull);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || bms_is_member(att->attnum, allowed))
			continue;
		if (isnull[i] == new_isnull[i] && (isnull[i] || datum_image_eq(values[i], new_values[i], att->attbyval, att->attlen)))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_IMMUTABLE_ROW),
				 errmsg("column \"%s\" of qzpay.%s cannot change", NameStr(att->attname), RelationGetRelationName(trigger->tg_relation)),
				 errdetail("Of row \"%s\" only this can change: %s.", row_id(trigger, trigger->tg_trigtuple), argument_list(trigger))));
	}
	pfree(values);
	pfree(isnull);
	return PointerGetDatum(trigger->tg_newtuple);
}

/* _append_only() BEFORE UPDATE OR DELETE for rows, BEFORE TRUNCATE for statements: refuses. */
Datum
qzpay_append_only(PG_FUNCTION_ARGS)
{
	TriggerEvent event = TRIGGER_EVENT(fcinfo);
	TriggerData *trigger = trigger_data(fcinfo, TRIGGER_FIRED_BEFORE(event));
	const char *table = RelationGetRelationName(trigger->tg_relation);

	if (TRIGGER_FIRED_BY_UPDATE(event))
		ereport(ERROR, (errcode(ERRCODE_QZPAY_APPEND_ONLY), errmsg("rows of qzpay.%s are never changed", table)));
	ereport(ERROR, (errcode(ERRCODE_QZPAY_APPEND_ONLY), errmsg("rows of qzpay.%s are never removed", table)));
	return PointerGetDatum(NULL);	/* not reached */
}

/* _invalidate_catalog() AFTER statement: whoever keeps what the table says hears of the change when it commits. */
Datum
qzpay_invalidate_catalog(PG_FUNCTION_ARGS)
{
	TriggerEvent event = TRIGGER_EVENT(fcinfo);
	TriggerData *trigger = trigger_data(fcinfo, TRIGGER_FIRED_AFTER(event) && TRIGGER_FIRED_FOR_STATEMENT(event));

	CacheInvalidateRelcache(trigger->tg_relation);
	return PointerGetDatum(NULL);
}
