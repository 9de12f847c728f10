/*
 * limit.c
 *		SQL-callable functions: limits as constraints on the application's own tables.
 *
 * enforce_limit() sums up what its event adds to and takes from each customer and group, and moves one counter for each.  The rows that were
 * there before the first move are counted then: the new counter's row makes everybody else wait, and the count leaves out what this statement
 * has done, which is added afterwards.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "compat.h"
#include "errors.h"
#include "qzpay.h"
#include "store/limit.h"
#include "store/number.h"
#include "store/relation.h"
#include "store/tenant_of.h"

QZPAY_FUNCTION(qzpay_enforce_limit);
QZPAY_FUNCTION(qzpay_recount_limit);

/* What the event changes for one customer and group. */
typedef struct Change
{
	char	   *customer;		/* as the column has it */
	char	   *group;			/* NULL for a null */
	int64		delta;
} Change;

/* The trigger, its arguments resolved. */
typedef struct Guard
{
	Relation	relation;
	Oid			counted;		/* the table the counters belong to */
	const char *feature_code;
	AttrNumber	customer_column;
	AttrNumber	group_column;	/* 0: none */
	FmgrInfo	customer_out;
	FmgrInfo	group_out;
	Change	   *changes;
	int			n_changes;
	int			room;
} Guard;

/* The column named by one of the trigger's arguments; raises 42703. */
static AttrNumber
column_named(Relation relation, const char *name, FmgrInfo *out)
{
	AttrNumber	number = SPI_fnumber(RelationGetDescr(relation), name);
	Oid			function;
	bool		is_varlena;

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table \"%s\" has no column \"%s\"", RelationGetRelationName(relation), name),
				 errdetail("It is an argument of the trigger that enforces a limit.")));
	getTypeOutputInfo(SPI_gettypeid(RelationGetDescr(relation), number), &function, &is_varlena);
	fmgr_info(function, out);
	return number;
}

/* Of a trigger cloned to partitions: the table it was made on, to which the counters belong. */
static Oid
table_of_trigger(Relation relation, const Trigger *trigger)
{
	Oid			table = RelationGetRelid(relation);
	List	   *ancestors;
	ListCell   *cell;

	if (!trigger->tgisclone)
		return table;
	ancestors = get_partition_ancestors(table);
	foreach(cell, ancestors)
	{
		if (!OidIsValid(get_trigger_oid(lfirst_oid(cell), trigger->tgname, true)))
			break;
		table = lfirst_oid(cell);
	}
	return table;
}

static void
open_guard(const TriggerData *data, Guard *guard)
{
	const Trigger *trigger = data->tg_trigger;

	if (trigger->tgnargs < 2 || trigger->tgnargs > 3)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("trigger \"%s\" must name a limit, a customer column and optionally a group column", trigger->tgname)));
	if (!TRIGGER_FIRED_AFTER(data->tg_event) || trigger->tgdeferrable)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" must fire AFTER its event and not be deferrable", trigger->tgname)));
	memset(guard, 0, sizeof(*guard));
	guard->relation = data->tg_relation;
	guard->counted = table_of_trigger(data->tg_relation, trigger);
	guard->feature_code = trigger->tgargs[0];
	guard->customer_column = column_named(data->tg_relation, trigger->tgargs[1], &guard->customer_out);
	if (trigger->tgnargs == 3 && trigger->tgargs[2][0] != '\0')
		guard->group_column = column_named(data->tg_relation, trigger->tgargs[2], &guard->group_out);
}

/* One row more or less. */
static void
add_row(Guard *guard, TupleTableSlot *slot, int64 delta)
{
	bool		isnull;
	Datum		customer = slot_getattr(slot, guard->customer_column, &isnull);
	Change	   *change;

	/* A row of no customer is under no limit. */
	if (isnull)
		return;
	if (guard->n_changes == guard->room)
	{
		guard->room = Max(4, guard->room * 2);
		guard->changes = guard->changes == NULL ? palloc(guard->room * sizeof(Change)) :
			repalloc_huge(guard->changes, guard->room * sizeof(Change));
	}
	change = &guard->changes[guard->n_changes++];
	change->customer = OutputFunctionCall(&guard->customer_out, customer);
	change->group = NULL;
	change->delta = delta;
	if (guard->group_column > 0)
	{
		Datum		group = slot_getattr(slot, guard->group_column, &isnull);

		if (!isnull)
			change->group = OutputFunctionCall(&guard->group_out, group);
	}
}

static void
add_rows(Guard *guard, Tuplestorestate *rows, int64 delta)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(guard->relation), &TTSOpsMinimalTuple);

	tuplestore_rescan(rows);
	while (tuplestore_gettupleslot(rows, true, false, slot))
		add_row(guard, slot, delta);
	ExecDropSingleTupleTableSlot(slot);
}

/* Raises 39P01 for a statement trigger that doesn't say where its rows are. */
static void
collect_statement(const TriggerData *data, Guard *guard)
{
	bool		needs_old = !TRIGGER_FIRED_BY_INSERT(data->tg_event);
	bool		needs_new = !TRIGGER_FIRED_BY_DELETE(data->tg_event);

	if ((needs_old && data->tg_oldtable == NULL) || (needs_new && data->tg_newtable == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" must be FOR EACH ROW or have transition tables", data->tg_trigger->tgname),
				 errhint("qzpay.add_limit() makes the triggers that are needed.")));
	if (needs_old)
		add_rows(guard, data->tg_oldtable, -1);
	if (needs_new)
		add_rows(guard, data->tg_newtable, 1);
}

static void
collect_row(const TriggerData *data, Guard *guard)
{
	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		add_row(guard, data->tg_trigslot, 1);
	else
		add_row(guard, data->tg_trigslot, -1);
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		add_row(guard, data->tg_newslot, 1);
}

static int
compare_changes(const void *a, const void *b)
{
	const Change *left = a;
	const Change *right = b;
	int			order = strcmp(left->customer, right->customer);

	if (order != 0 || left->group == right->group)
		return order;
	if (left->group == NULL || right->group == NULL)
		return left->group == NULL ? -1 : 1;
	return strcmp(left->group, right->group);
}

/* One change per customer and group, in an order that is the same for everybody who locks counters. */
static void
sum_up(Guard *guard)
{
	int			last = 0;

	if (guard->n_changes == 0)
		return;
	qsort(guard->changes, guard->n_changes, sizeof(Change), compare_changes);
	for (int i = 1; i < guard->n_changes; i++)
	{
		if (compare_changes(&guard->changes[last], &guard->changes[i]) == 0)
			guard->changes[last].delta += guard->changes[i].delta;
		else
			guard->changes[++last] = guard->changes[i];
	}
	guard->n_changes = last + 1;
}

/* The other text by which the column may name the same customer, or NULL. */
static char *
other_name(const QzpayEntitlement *entitlement, const char *name)
{
	static QzpayRelation customers = {.table = "customers",.index = "customers_pkey"};
	char	   *id = DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&entitlement->customer)));
	char	   *external_id = NULL;
	ScanKeyData keys[2];
	QzpayScan	scan;
	TupleTableSlot *slot;

	if (pg_strcasecmp(id, name) != 0)
		return id;
	qzpay_scan_key_uuid(&keys[0], 1, &entitlement->tenant);
	qzpay_scan_key_uuid(&keys[1], 2, &entitlement->customer);
	qzpay_scan_begin(&scan, &customers, qzpay_scan_snapshot(), keys, 2);
	slot = qzpay_scan_next(&scan);
	if (slot != NULL)
	{
		bool		isnull;
		Datum		value = slot_getattr(slot, qzpay_relation_column(&customers, "external_id"), &isnull);

		external_id = TextDatumGetCString(value);
	}
	qzpay_scan_end(&scan);
	return external_id;
}

/* Whether the text can be a value of the type at all; of the types ids have, only uuid refuses some. */
static bool
fits_type(Oid type, const char *value)
{
	return type == TEXTOID || type == VARCHAROID || type == BPCHAROID || (type == UUIDOID && strlen(value) == 36 && value[8] == '-');
}

/* "column = $n" by the type's own equality, whatever the search_path. */
static void
append_equality(StringInfo query, Relation relation, AttrNumber column, int parameter)
{
	Form_pg_attribute att = TupleDescAttr(RelationGetDescr(relation), column - 1);
	TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_EQ_OPR);
	HeapTuple	tuple;
	Form_pg_operator operator;

	if (!OidIsValid(type->eq_opr))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("type %s has no equality", format_type_be(att->atttypid))));
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(type->eq_opr));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", type->eq_opr);
	operator = (Form_pg_operator) GETSTRUCT(tuple);
	appendStringInfo(query, "%s OPERATOR(%s.%s) $%d", quote_identifier(NameStr(att->attname)),
					 quote_identifier(get_namespace_name(operator->oprnamespace)), NameStr(operator->oprname), parameter);
	ReleaseSysCache(tuple);
}

static Datum
value_of_type(Oid type, int32 typmod, const char *text)
{
	Oid			input;
	Oid			io_param;

	getTypeInputInfo(type, &input, &io_param);
	return OidInputFunctionCall(input, unconstify(char *, text), io_param, typmod);
}

/* The snapshot that sees all that is committed, and of this transaction what was there before the running statement. */
static Snapshot
snapshot_before_statement(void)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

	snapshot->curcid = GetActiveSnapshot()->curcid;
	return snapshot;
}

/*
 * count_rows
 *		Rows of the customer and group that the table held before this statement.
 *
 * Counts with the rights of the table's owner, as foreign keys do.
 */
static int64
count_rows(Guard *guard, const Change *change, const QzpayEntitlement *entitlement)
{
	Form_pg_attribute customer = TupleDescAttr(RelationGetDescr(guard->relation), guard->customer_column - 1);
	char	   *other = other_name(entitlement, change->customer);
	Oid			types[3];
	Datum		values[3];
	int			nargs = 1;
	StringInfoData query;
	Snapshot	snapshot;
	SPIPlanPtr	plan;
	Oid			role;
	int			security;
	int64		count;
	bool		isnull;

	initStringInfo(&query);
	appendStringInfo(&query, "SELECT pg_catalog.count(*) FROM %s%s WHERE (", get_rel_relkind(guard->counted) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(guard->counted)), get_rel_name(guard->counted)));
	append_equality(&query, guard->relation, guard->customer_column, nargs);
	types[0] = customer->atttypid;
	values[0] = value_of_type(customer->atttypid, customer->atttypmod, change->customer);
	if (other != NULL && fits_type(customer->atttypid, other))
	{
		appendStringInfoString(&query, " OR ");
		append_equality(&query, guard->relation, guard->customer_column, ++nargs);
		types[nargs - 1] = customer->atttypid;
		values[nargs - 1] = value_of_type(customer->atttypid, -1, other);
	}
	appendStringInfoChar(&query, ')');
	if (guard->group_column > 0)
	{
		Form_pg_attribute group = TupleDescAttr(RelationGetDescr(guard->relation), guard->group_column - 1);

		appendStringInfoString(&query, " AND ");
		if (change->group == NULL)
			appendStringInfo(&query, "%s IS NULL", quote_identifier(NameStr(group->attname)));
		else
		{
			append_equality(&query, guard->relation, guard->group_column, ++nargs);
			types[nargs - 1] = group->atttypid;
			values[nargs - 1] = value_of_type(group->atttypid, group->atttypmod, change->group);
		}
	}

	snapshot = snapshot_before_statement();
	GetUserIdAndSecContext(&role, &security);
	/* An error resets the role with the (sub)transaction. */
	SetUserIdAndSecContext(guard->relation->rd_rel->relowner, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	SPI_connect();
	plan = SPI_prepare(query.data, nargs, types);
	if (plan == NULL || SPI_execute_snapshot(plan, values, NULL, snapshot, InvalidSnapshot, true, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not count the rows of \"%s\"", RelationGetRelationName(guard->relation));
	count = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	SetUserIdAndSecContext(role, security);
	UnregisterSnapshot(snapshot);
	return count;
}

/* Moves one counter, starting it where nobody has. */
static void
apply(Guard *guard, const QzpayCatalog *catalog, const QzpayFeature *feature, const Change *change)
{
	QzpayEntitlement entitlement;
	QzpayAllowance limit;
	QzpayCounter counter;
	QzpayCounterState state;
	int64		used;
	Numeric		value;

	if (change->delta == 0)
		return;
	if (!qzpay_entitlement_read_for_trigger(CStringGetTextDatum(change->customer), &entitlement))
	{
		/* What is left of a customer that is gone may be removed. */
		if (change->delta < 0)
			return;
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_NOT_FOUND),
				 errmsg("customer \"%s\" not found", change->customer),
				 errdetail("Rows of table \"%s\" are limited by \"%s\".", RelationGetRelationName(guard->relation), feature->code),
				 errhint("Make the customer with qzpay.sync_customer() first.")));
	}
	qzpay_entitlement_limit(catalog, &entitlement, feature, &limit);
	counter.tenant = entitlement.tenant;
	counter.customer = entitlement.customer;
	counter.feature = feature->code;
	counter.relation = guard->counted;
	counter.scope = change->group == NULL ? "" : change->group;
	for (;;)
	{
		state = qzpay_counter_move(&counter, change->delta,
								   limit.unlimited ? NULL : limit.value != NULL ? limit.value : qzpay_number_zero(), &used);
		if (state != QZPAY_COUNTER_MISSING)
			break;
		if (qzpay_counter_start(&counter))
			qzpay_counter_set(&counter, count_rows(guard, change, &entitlement));
	}
	if (limit.unlimited)
		return;
	value = limit.value != NULL ? limit.value : qzpay_number_zero();
	if (state == QZPAY_COUNTER_FULL)
		qzpay_limit_reached(feature->code, change->customer, int64_to_numeric(used), value);
	if (change->delta < 0 && qzpay_number_compare(int64_to_numeric(used - change->delta), value) > 0)
		qzpay_counter_was_over(&counter);
}

/* The limit of this code, of a kind whose rows can be counted; raises QZ401. */
static const QzpayFeature *
countable_limit(const QzpayCatalog *catalog, const char *code)
{
	const QzpayFeature *feature = qzpay_catalog_feature(catalog, code, strlen(code));

	if (feature == NULL || feature->kind != QZPAY_FEATURE_LIMIT)
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_UNKNOWN_CODE),
				 errmsg("unknown limit \"%s\"", code)));
	else if (feature->meter != NULL || feature->limit_kind == QZPAY_LIMIT_PERIOD)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("limit \"%s\" is counted per period, not in rows", code),
				 errhint("qzpay.record_usage() counts it.")));
	return feature;
}

/* enforce_limit(): trigger; arguments limit, customer column, group column. */
Datum
qzpay_enforce_limit(PG_FUNCTION_ARGS)
{
	const TriggerData *data = (TriggerData *) fcinfo->context;
	const QzpayCatalog *catalog;
	const QzpayFeature *feature;
	Guard		guard;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("enforce_limit() must be called as a trigger")));
	open_guard(data, &guard);
	catalog = qzpay_catalog(qzpay_scan_snapshot());
	feature = countable_limit(catalog, guard.feature_code);
	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		qzpay_counters_forget(guard.counted, feature->code);
	else if (TRIGGER_FIRED_FOR_ROW(data->tg_event))
		collect_row(data, &guard);
	else
		collect_statement(data, &guard);
	sum_up(&guard);
	for (int i = 0; i < guard.n_changes; i++)
		apply(&guard, catalog, feature, &guard.changes[i]);
	return PointerGetDatum(NULL);
}

/* recount_limit(relation, feature) */
Datum
qzpay_recount_limit(PG_FUNCTION_ARGS)
{
	Oid			relation;
	const QzpayFeature *feature;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("relation and feature must not be null")));
	relation = PG_GETARG_OID(0);
	if (get_rel_name(relation) == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", relation)));
	if (!qzpay_relation_ownercheck_compat(relation, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relation)), get_rel_name(relation));
	feature = countable_limit(qzpay_catalog(qzpay_scan_snapshot()), text_to_cstring(PG_GETARG_TEXT_PP(1)));
	qzpay_counters_forget(relation, feature->code);
	PG_RETURN_VOID();
}
