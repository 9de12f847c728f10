/*
 * qzpay.c
 *		Module load: variables, hooks, and the callbacks of what lies below.
 *
 * The library is loaded by shared_preload_libraries, or by the first call of one of its functions in a session.  The hooks are the same
 * either way; background workers are registered only in the first case.
 */
#include "postgres.h"

#include "catalog/objectaccess.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"

#include "guc.h"
#include "qzpay.h"
#include "sqlfn/keys.h"
#include "store/act.h"
#include "store/catalog_cache.h"
#include "store/clock.h"
#include "store/context.h"
#include "store/entitlement.h"
#include "store/installation.h"
#include "store/place.h"
#include "store/rate.h"
#include "store/relation.h"
#include "store/throttle.h"
#include "store/usage.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

static object_access_hook_type next_object_access_hook = NULL;
static ProcessUtility_hook_type next_process_utility_hook = NULL;

/*
 * guard_drop
 *		Refuses to drop the extension, by whatever cascade it is reached.
 *
 * Tables are no members of the extension, but their columns have its types: DROP EXTENSION, DROP SCHEMA or DROP EXTENSION btree_gist with
 * CASCADE would take the status of every subscription, invoice and payment along.  Only here is every object of a cascade seen.
 *
 * pg_restore --clean drops the extension first, so it needs PGOPTIONS='-c qzpay.allow_drop=on' and a superuser; without it the drop fails
 * and the rest of the restore with it.  Restoring into an empty database needs nothing.
 */
static void
guard_drop(ObjectAccessType access, Oid class_oid, Oid object_oid, int sub_id, void *arg)
{
	if (next_object_access_hook)
		next_object_access_hook(access, class_oid, object_oid, sub_id, arg);

	if (access == OAT_DROP && class_oid == ExtensionRelationId && !qzpay_guc_allow_drop)
	{
		char	   *name = get_extension_name(object_oid);

		if (name != NULL && strcmp(name, "qzpay") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("extension qzpay is protected against being dropped"),
					 errdetail("Billing data depends on it: CASCADE would drop the status columns of subscriptions, invoices and payments."),
					 errhint("A superuser can SET qzpay.allow_drop = on first.")));
	}
}

/* DISCARD ALL, by which poolers hand a session to somebody else, ends the session's tenant context too. */
static void
watch_discard(PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	/* Running the statement may free its parse tree. */
	bool		discards_all = IsA(pstmt->utilityStmt, DiscardStmt) && ((DiscardStmt *) pstmt->utilityStmt)->target == DISCARD_ALL;

	if (next_process_utility_hook)
		next_process_utility_hook(pstmt, query, read_only_tree, context, params, environment, dest, completion);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, environment, dest, completion);
	if (discards_all)
		qzpay_context_discard();
}

/* Runs once in each process that loads the library. */
void
_PG_init(void)
{
	qzpay_guc_define();

	qzpay_act_init();
	qzpay_context_init();
	qzpay_clock_init();
	qzpay_installation_init();
	qzpay_catalog_init();
	qzpay_entitlement_init();
	qzpay_usage_init();
	qzpay_place_init();
	qzpay_rate_init();
	qzpay_throttle_init();
	/* Last: callbacks run in the reverse order of registration, so this one closes what the others' last words may open. */
	qzpay_relation_init();

	next_object_access_hook = object_access_hook;
	object_access_hook = guard_drop;
	next_process_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = watch_discard;

	qzpay_keys_init();

	qzpay_worker_register();
}
