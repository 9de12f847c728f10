/*
 * keys.c
 *		Foreign keys of many new rows, checked by set.
 *
 * The server checks a foreign key by one query per row and key, which was a quarter of a billing run: eighteen queries per subscription, most
 * of them for a parent that the row before it had as well.  Where qzpay.keys_by_set is on (the billing run turns it on for large batches), an INSERT into a table
 * with the statement trigger _keys_by_set() leaves those queries out, and the trigger, at the same moment, at the end of the statement, looks
 * each distinct parent up once and locks it FOR KEY SHARE: what the server would have done, with the same rights, the same snapshot and the same error.
 *
 * The constraints themselves stay as they are declared, for every other statement and for the other side (deleting a parent).  Which of a
 * statement's keys are left to the set is noted in its own copy of the trigger descriptor, so what is left out and what is
 * made up for cannot drift apart; what this file doesn't handle (deferrable, MATCH FULL, partitioned parents) is left to the server.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "guc.h"
#include "qzpay.h"
#include "sqlfn/keys.h"

QZPAY_FUNCTION(qzpay_keys_by_set);

/* The name under which the trigger sees its rows. */
#define NEW_ROWS "new_rows"

/* The argument that marks the trigger in the descriptor of a statement whose keys were left to it. */
#define BY_SET "set"

/* The query of one constraint, kept for the session. */
typedef struct KeyPlan
{
	Oid			constraint;		/* hash key; an oid used anew would have another table */
	Oid			relation;
	SPIPlanPtr	plan;
} KeyPlan;

static ExecutorStart_hook_type next_executor_start_hook = NULL;
static HTAB *key_plans = NULL;

static bool
is_enabled(const Trigger *trigger)
{
	return trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN || trigger->tgenabled == TRIGGER_FIRES_ALWAYS;
}

/* keys_by_set AFTER INSERT FOR EACH STATEMENT EXECUTE FUNCTION _keys_by_set(), seeing the new rows; NULL if the table has none. */
static Trigger *
set_trigger(TriggerDesc *desc)
{
	for (int i = 0; i < desc->numtriggers; i++)
	{
		Trigger    *t = &desc->triggers[i];

		if (TRIGGER_FOR_INSERT(t->tgtype) && TRIGGER_FOR_AFTER(t->tgtype) && !TRIGGER_FOR_ROW(t->tgtype) && is_enabled(t) &&
			t->tgnewtable != NULL && strcmp(t->tgnewtable, NEW_ROWS) == 0 && strcmp(t->tgname, "keys_by_set") == 0)
		{
			FmgrInfo	function;

			fmgr_info(t->tgfoid, &function);
			if (function.fn_addr == qzpay_keys_by_set)
				return t;
		}
	}
	return NULL;
}

/* Whether the trigger is the server's check of a foreign key for a new row, of a kind that the set can check as well. */
static bool
is_simple_key(const Trigger *trigger)
{
	HeapTuple	tuple;
	bool		is_simple;

	if (trigger->tgfoid != F_RI_FKEY_CHECK_INS || trigger->tgdeferrable || !is_enabled(trigger) || !OidIsValid(trigger->tgconstraint))
		return false;
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(trigger->tgconstraint));
	if (!HeapTupleIsValid(tuple))
		return false;
	is_simple = ((Form_pg_constraint) GETSTRUCT(tuple))->confmatchtype == FKCONSTR_MATCH_SIMPLE &&
		get_rel_relkind(trigger->tgconstrrelid) == RELKIND_RELATION;
	ReleaseSysCache(tuple);
	return is_simple;
}

/* Whether nothing but this trigger wants to see the new rows. */
static bool
is_only_reader(const TriggerDesc *desc, const Trigger *trigger)
{
	for (int i = 0; i < desc->numtriggers; i++)
		if (&desc->triggers[i] != trigger && TRIGGER_FOR_INSERT(desc->triggers[i].tgtype) && desc->triggers[i].tgnewtable != NULL)
			return false;
	return true;
}

/*
 * leave_keys_to_set
 *		Takes the checks by row out of the statement's own copy of the trigger descriptor and marks the trigger that makes up for them, or, where the
 *		rows are to be checked one by one, keeps the new rows from being put by for it.
 */
static void
leave_keys_to_set(ModifyTableState *node)
{
	ResultRelInfo *result = node->resultRelInfo;
	TriggerDesc *desc = result->ri_TrigDesc;
	static char *marked[] = {BY_SET, NULL};
	Trigger    *set;
	int			kept = 0;
	bool		by_row = false;

	if (desc == NULL || !desc->trig_insert_new_table || RelationGetForm(result->ri_RelationDesc)->relkind != RELKIND_RELATION ||
		(set = set_trigger(desc)) == NULL)
		return;
	/* A replica fires only some triggers, and these may not be the same of both. */
	if (!qzpay_guc_keys_by_set || SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
	{
		if (is_only_reader(desc, set) && !desc->trig_update_new_table && !desc->trig_update_old_table && !desc->trig_delete_old_table)
			node->mt_transition_capture = NULL;
		return;
	}
	set->tgnargs = 1;
	set->tgargs = marked;
	for (int i = 0; i < desc->numtriggers; i++)
	{
		const Trigger *t = &desc->triggers[i];

		if (is_simple_key(t))
			continue;
		by_row = by_row || (TRIGGER_FOR_INSERT(t->tgtype) && TRIGGER_FOR_AFTER(t->tgtype) && TRIGGER_FOR_ROW(t->tgtype));
		if (kept != i)
			desc->triggers[kept] = *t;
		kept++;
	}
	desc->numtriggers = kept;
	desc->trig_insert_after_row = by_row;
}

/* An INSERT that is about to run. */
static void
start_executor(QueryDesc *query, int flags)
{
	if (next_executor_start_hook)
		next_executor_start_hook(query, flags);
	else
		standard_ExecutorStart(query, flags);
	if (query->operation == CMD_INSERT && (flags & EXEC_FLAG_EXPLAIN_ONLY) == 0 && query->planstate != NULL && IsA(query->planstate, ModifyTableState))
	{
		ModifyTableState *node = (ModifyTableState *) query->planstate;

		if (node->operation == CMD_INSERT && node->mt_nrels == 1 && ((ModifyTable *) node->ps.plan)->onConflictAction != ONCONFLICT_UPDATE)
			leave_keys_to_set(node);
	}
}

void
qzpay_keys_init(void)
{
	next_executor_start_hook = ExecutorStart_hook;
	ExecutorStart_hook = start_executor;
}

/* Adds "prefix.column" of a table, quoted. */
static void
append_column(StringInfo sql, const char *prefix, Oid relation, AttrNumber column)
{
	appendStringInfo(sql, "%s.%s", prefix, quote_identifier(get_attname(relation, column, false)));
}

/* The key of one new row that has no parent, as text; locks the parents that there are. */
static char *
missing_parent_query(Oid relation, Oid parent, HeapTuple constraint)
{
	StringInfoData sql;
	int			n;
	AttrNumber	child_columns[INDEX_MAX_KEYS];
	AttrNumber	parent_columns[INDEX_MAX_KEYS];
	Oid			operators[INDEX_MAX_KEYS];

	DeconstructFkConstraintRow(constraint, &n, child_columns, parent_columns, operators, NULL, NULL, NULL, NULL);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.concat_ws(', '");
	for (int i = 0; i < n; i++)
		appendStringInfo(&sql, ", k.k%d", i);
	appendStringInfoString(&sql, ") FROM (SELECT DISTINCT ");
	for (int i = 0; i < n; i++)
	{
		append_column(&sql, i == 0 ? "n" : ", n", relation, child_columns[i]);
		appendStringInfo(&sql, " AS k%d", i);
	}
	appendStringInfoString(&sql, " FROM " NEW_ROWS " n WHERE ");
	for (int i = 0; i < n; i++)
	{
		append_column(&sql, i == 0 ? "n" : " AND n", relation, child_columns[i]);
		appendStringInfoString(&sql, " IS NOT NULL");
	}
	/* A sublink that locks is never made into a join, so this is one look by key for each parent, however large its table. */
	appendStringInfo(&sql, ") k WHERE NOT EXISTS (SELECT FROM ONLY %s p WHERE ",
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(parent)), get_rel_name(parent)));
	for (int i = 0; i < n; i++)
	{
		HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operators[i]));
		Form_pg_operator op;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for operator %u", operators[i]);
		op = (Form_pg_operator) GETSTRUCT(tuple);
		append_column(&sql, i == 0 ? "p" : " AND p", parent, parent_columns[i]);
		appendStringInfo(&sql, " OPERATOR(%s.%s) k.k%d", quote_identifier(get_namespace_name(op->oprnamespace)), NameStr(op->oprname), i);
		ReleaseSysCache(tuple);
	}
	appendStringInfoString(&sql, " FOR KEY SHARE OF p) LIMIT 1");
	return sql.data;
}

/* The prepared query of a constraint; the session keeps it, and the server plans it anew when the tables change. */
static SPIPlanPtr
missing_parent_plan(Oid relation, Oid parent, Oid constraint)
{
	KeyPlan    *entry;
	bool		found;
	HeapTuple	tuple;
	SPIPlanPtr	plan;

	if (key_plans == NULL)
	{
		HASHCTL		info = {.keysize = sizeof(Oid), .entrysize = sizeof(KeyPlan)};

		key_plans = hash_create("qzpay key plans", 32, &info, HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(key_plans, &constraint, HASH_FIND, NULL);
	if (entry != NULL && entry->relation == relation && SPI_plan_is_valid(entry->plan))
		return entry->plan;

	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	plan = SPI_prepare(missing_parent_query(relation, parent, tuple), 0, NULL);
	ReleaseSysCache(tuple);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare returned %s", SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	entry = hash_search(key_plans, &constraint, HASH_ENTER, &found);
	if (found)
		SPI_freeplan(entry->plan);
	entry->relation = relation;
	entry->plan = plan;
	return plan;
}

/* As the server does it: with the rights of the parent's owner, whose row security is not asked. */
static void
check_key(TriggerData *trigger, Oid parent, Oid constraint)
{
	Relation	parent_relation = table_open(parent, RowShareLock);
	Oid			user;
	int			security;
	int			result;

	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(RelationGetForm(parent_relation)->relowner, security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	result = SPI_execute_plan(missing_parent_plan(RelationGetRelid(trigger->tg_relation), parent, constraint), NULL, NULL, false, 1);
	SetUserIdAndSecContext(user, security);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan returned %s", SPI_result_code_string(result));
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("insert or update on table \"%s\" violates foreign key constraint \"%s\"",
						RelationGetRelationName(trigger->tg_relation), get_constraint_name(constraint)),
				 errdetail("Key (%s) is not present in table \"%s\".", SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
						   RelationGetRelationName(parent_relation)),
				 errtableconstraint(trigger->tg_relation, get_constraint_name(constraint))));
	table_close(parent_relation, NoLock);
}

/* _keys_by_set() AFTER INSERT, seeing the new rows: checks the foreign keys that the statement left to it. */
Datum
qzpay_keys_by_set(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TriggerDesc *desc;
	int			result;
	int			guc_level;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function is not a trigger of this kind")));
	if (trigger->tg_trigger->tgnargs != 1)
		return PointerGetDatum(NULL);	/* checked row by row */

	result = SPI_connect();
	if (result == SPI_OK_CONNECT)
		result = SPI_register_trigger_data(trigger);
	if (result != SPI_OK_TD_REGISTER)
		elog(ERROR, "SPI returned %s", SPI_result_code_string(result));
	/* By key, whatever the planner was told of the size of a table when the plan was made; and nothing worth compiling. */
	guc_level = NewGUCNestLevel();
	(void) set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	/*
	 * The relation's own descriptor has all of them; a copy, because every lookup below may take in a message of another session, such as an
	 * ANALYZE, upon which the cache makes the descriptor anew.
	 */
	desc = CopyTriggerDesc(trigger->tg_relation->trigdesc);
	for (int i = 0; i < desc->numtriggers; i++)
		if (is_simple_key(&desc->triggers[i]))
			check_key(trigger, desc->triggers[i].tgconstrrelid, desc->triggers[i].tgconstraint);
	AtEOXact_GUC(true, guc_level);
	SPI_finish();
	return PointerGetDatum(NULL);
}
