/*
 * context.c
 *		The tenant a session, or a call inside it, acts for.
 *
 * Row security compares tenant_id with the current tenant, so this state is the wall between customers.  It is C memory and no GUC:
 * SQL reaches it only through set_tenant(), enter() and the wrappers.  From the inside out, the first of these counts:
 *
 *	1. the frame of a running wrapper or trigger (pushed and popped in C);
 *	2. what set_tenant() or enter() set in this transaction;
 *	3. what set_tenant(..., false) set in this session;
 *	4. the tenant the role is bound to by qzpay.tenant_roles.
 *
 * 2 and 3 follow subtransactions as SET LOCAL and SET do: every change saves what it replaces with its nesting level, an abort restores
 * it, a subcommit hands it to the parent.
 *
 * Whose context it is: a value counts only while the outer user (what SET ROLE says, unchanged by definer functions) is the one it was
 * set by, so neither SET ROLE nor RESET ROLE carries a tenant over to another role.  The session user would be the wrong measure: poolers
 * and PostgREST log in as one role and SET ROLE to the caller's.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_collation.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "errors.h"
#include "store/context.h"
#include "store/relation.h"

typedef struct Setting
{
	bool		is_set;			/* says something, if only that there is none */
	bool		has_tenant;
	bool		by_token;		/* entered by a role that can't choose */
	Oid			role;
	pg_uuid_t	tenant;
} Setting;

/* What a change replaced. */
typedef struct Saved
{
	struct Saved *older;
	int			nest_level;
	Setting		local;
	Setting		session;
} Saved;

static QzpayFrame *top_frame = NULL;
static Setting local_setting;
static Setting session_setting;
static Saved *saved = NULL;		/* newest first, in TopTransactionContext */

/* What the catalog says of one role; others are looked up again. */
static struct
{
	Oid			role;			/* InvalidOid: nothing kept */
	QzpayLevel	level;
	bool		bound;
	pg_uuid_t	tenant;
	Oid			relation;		/* qzpay.tenant_roles, or InvalidOid where it isn't installed */
} role_facts;

static QzpayRelation tenant_roles = {.table = "tenant_roles",.index = "tenant_roles_pkey"};

/* Counts what made role_facts doubtful, also while they are being read. */
static uint64 doubts = 0;

static void
doubt_role_facts(void)
{
	role_facts.role = InvalidOid;
	doubts++;
}

static void
forget_role_facts(Datum arg, int cache_id, uint32 hash_value)
{
	doubt_role_facts();
}

/* Statement triggers on tenant_roles send its relcache message; where it didn't exist, any new relation might be it. */
static void
forget_role_facts_of_relation(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == role_facts.relation || role_facts.relation == InvalidOid)
		doubt_role_facts();
}

/*
 * find_binding
 *		Looks for the role in qzpay.tenant_roles; returns whether it is there, and its tenant.
 *
 * Reads under the newest snapshot, not the statement's: the answer is kept, and an old snapshot would keep an old answer, which the
 * message of the change that it doesn't see has already passed by.  In parallel mode no new snapshot can be had, so there the
 * statement's has to do and nothing is kept.
 */
static bool
find_binding(Oid role, pg_uuid_t *tenant)
{
	char	   *name = GetUserNameFromId(role, true);
	NameData	key_name;
	ScanKeyData key;
	QzpayScan	scan;
	TupleTableSlot *slot;
	Snapshot	snapshot;
	bool		found = false;

	if (name == NULL || !qzpay_relation_open_if_exists(&tenant_roles))
		return false;
	namestrcpy(&key_name, name);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_NAMEEQ, NameGetDatum(&key_name));
	/* Names are compared as the C collation does; an index on a name column has no other. */
	key.sk_collation = C_COLLATION_OID;
	snapshot = RegisterSnapshot(IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot());
	qzpay_scan_begin(&scan, &tenant_roles, snapshot, &key, 1);
	slot = qzpay_scan_next(&scan);
	if (slot != NULL)
	{
		*tenant = *qzpay_slot_uuid(slot, qzpay_relation_column(&tenant_roles, "tenant_id"));
		found = true;
	}
	qzpay_scan_end(&scan);
	UnregisterSnapshot(snapshot);
	return found;
}

/* Whether the role has the rights of the group; groups are missing only where the installation is broken. */
static bool
has_rights_of(Oid role, const char *group)
{
	Oid			group_oid = get_role_oid(group, true);

	return OidIsValid(group_oid) && has_privs_of_role(role, group_oid);
}

static QzpayLevel
find_level(Oid role, bool bound)
{
	if (superuser_arg(role) || has_rights_of(role, "qzpay_admin"))
		return QZPAY_LEVEL_ADMIN;
	if (has_rights_of(role, "qzpay_worker"))
		return QZPAY_LEVEL_WORKER;
	if (bound)
		return QZPAY_LEVEL_TENANT;
	if (has_rights_of(role, "qzpay_app"))
		return QZPAY_LEVEL_APP;
	if (has_rights_of(role, "qzpay_tenant"))
		return QZPAY_LEVEL_TENANT;
	return QZPAY_LEVEL_NONE;
}

/* Sees that role_facts are those of the outer user. */
static void
know_role(void)
{
	Oid			role = GetOuterUserId();
	uint64		doubts_before;

	if (role_facts.role == role)
		return;
	do
	{
		doubts_before = doubts;
		role_facts.role = InvalidOid;
		role_facts.bound = find_binding(role, &role_facts.tenant);
		role_facts.relation = tenant_roles.heap != NULL ? RelationGetRelid(tenant_roles.heap) : InvalidOid;
		role_facts.level = find_level(role, role_facts.bound);
		/* Staff acts for all tenants whatever a row may say. */
		if (role_facts.level >= QZPAY_LEVEL_WORKER)
			role_facts.bound = false;
	} while (doubts != doubts_before);
	if (!IsInParallelMode())
		role_facts.role = role;
}

/* Level of the outer user. */
QzpayLevel
qzpay_context_level(void)
{
	know_role();
	return role_facts.level;
}

/*
 * qzpay_context_tenant
 *		The current tenant; false when there is none.
 *
 * Called per row by row security.
 */
bool
qzpay_context_tenant(pg_uuid_t *tenant)
{
	Oid			role = GetOuterUserId();

	if (top_frame != NULL)
	{
		if (top_frame->role != role)
			return false;
		*tenant = top_frame->tenant;
		return true;
	}
	if (local_setting.is_set && local_setting.role == role)
	{
		*tenant = local_setting.tenant;
		return local_setting.has_tenant;
	}
	if (session_setting.is_set && session_setting.role == role)
	{
		*tenant = session_setting.tenant;
		return session_setting.has_tenant;
	}
	know_role();
	if (role_facts.bound)
		*tenant = role_facts.tenant;
	return role_facts.bound;
}

/*
 * qzpay_context_require
 *		Sees that the caller has a context or may act without one; raises QZ004.
 *
 * Comes before anything is looked up by an argument, so that an answer doesn't tell what exists.
 */
void
qzpay_context_require(void)
{
	pg_uuid_t	current;

	if (!qzpay_context_tenant(&current) && qzpay_context_level() < QZPAY_LEVEL_APP)
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_TENANT_CONTEXT),
				 errmsg("no tenant has been entered"),
				 errhint("Call qzpay.enter() with a token of the tenant first.")));
}

/* Whether a call may act inside this tenant: it is the current one, or there is none and the role may act for any. */
bool
qzpay_context_allows(const pg_uuid_t *tenant)
{
	pg_uuid_t	current;

	qzpay_context_require();
	return !qzpay_context_tenant(&current) || memcmp(&current, tenant, sizeof(pg_uuid_t)) == 0;
}

/* Opens a tenant's context for the call that owns the frame. */
void
qzpay_context_push(QzpayFrame *frame, const pg_uuid_t *tenant)
{
	frame->outer = top_frame;
	frame->tenant = *tenant;
	frame->role = GetOuterUserId();
	frame->nest_level = GetCurrentTransactionNestLevel();
	top_frame = frame;
}

/* Ends it, and whatever was opened inside and not closed. */
void
qzpay_context_pop(QzpayFrame *frame)
{
	top_frame = frame->outer;
}

/* Keeps what is about to be replaced, once per subtransaction. */
static void
save_settings(void)
{
	int			nest_level = GetCurrentTransactionNestLevel();
	Saved	   *entry;

	if (saved != NULL && saved->nest_level == nest_level)
		return;
	entry = MemoryContextAlloc(TopTransactionContext, sizeof(Saved));
	entry->older = saved;
	entry->nest_level = nest_level;
	entry->local = local_setting;
	entry->session = session_setting;
	saved = entry;
}

/* Refuses a change of context where it would split a call or a result in two. */
static void
check_changeable(void)
{
	if (top_frame != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_TENANT_CONTEXT),
				 errmsg("the tenant cannot be changed inside a call that acts for one")));

	/*
	 * The statement that runs now has an active portal; a ready one is a cursor, a result fetched in parts or a loop over a query, and
	 * would go on with the rows of the new tenant.
	 */
	if (!ThereAreNoReadyPortals())
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_TENANT_CONTEXT),
				 errmsg("the tenant cannot be changed while a cursor is open"),
				 errdetail("A cursor, a result that is fetched in parts or a loop over a query would go on with the rows of another tenant."),
				 errhint("Close it first; in PL/pgSQL loop over an array instead of a query.")));
}

/*
 * qzpay_context_set
 *		set_tenant(): the tenant for the rest of the transaction, or of the session; NULL for none.
 *
 * Raises 42501 for roles that can't choose.
 */
void
qzpay_context_set(const pg_uuid_t *tenant, bool is_local)
{
	Setting		setting;

	if (qzpay_context_level() < QZPAY_LEVEL_APP)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to choose a tenant"),
				 errhint("A tenant's role calls qzpay.enter() with a token, or is bound to its tenant by qzpay.grant_access().")));
	check_changeable();
	save_settings();
	memset(&setting, 0, sizeof(setting));
	setting.is_set = true;
	setting.role = GetOuterUserId();
	if (tenant != NULL)
	{
		setting.has_tenant = true;
		setting.tenant = *tenant;
	}
	if (is_local)
	{
		local_setting = setting;
		return;
	}
	session_setting = setting;
	/* As with SET, a session's value also ends what SET LOCAL said before. */
	memset(&local_setting, 0, sizeof(local_setting));
}

/*
 * qzpay_context_enter
 *		The tenant of a token that has been verified, for the rest of the transaction.
 *
 * A role that can't choose stays in the tenant it entered first.  Raises 42501.
 */
void
qzpay_context_enter(const pg_uuid_t *tenant)
{
	bool		can_choose = qzpay_context_level() >= QZPAY_LEVEL_APP;
	pg_uuid_t	current;

	if (top_frame == NULL && qzpay_context_tenant(&current))
	{
		if (memcmp(&current, tenant, sizeof(pg_uuid_t)) == 0)
			return;
		if (!can_choose)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("another tenant has been entered already"),
					 errhint("A transaction of a tenant's role stays in one tenant.")));
	}
	check_changeable();
	save_settings();
	local_setting.is_set = true;
	local_setting.has_tenant = true;
	local_setting.by_token = !can_choose;
	local_setting.role = GetOuterUserId();
	local_setting.tenant = *tenant;
}

/* DISCARD ALL: nothing of the session stays. */
void
qzpay_context_discard(void)
{
	memset(&session_setting, 0, sizeof(session_setting));
	doubt_role_facts();
}

/* End of a transaction, whichever way. */
static void
end_of_transaction(bool committed)
{
	if (!committed && saved != NULL)
	{
		Saved	   *oldest = saved;

		while (oldest->older != NULL)
			oldest = oldest->older;
		session_setting = oldest->session;
	}
	/* The transaction may have written tenant_roles itself. */
	if (!committed)
		doubt_role_facts();
	saved = NULL;				/* gone with TopTransactionContext */
	top_frame = NULL;
	memset(&local_setting, 0, sizeof(local_setting));
}

static void
on_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			/* Only cursors WITH HOLD are left by now; their rows would outlive the token. */
			if (local_setting.is_set && local_setting.by_token && !ThereAreNoReadyPortals())
				ereport(ERROR,
						(errcode(ERRCODE_QZPAY_TENANT_CONTEXT),
						 errmsg("a cursor may not be held beyond the transaction that entered its tenant")));
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PREPARE:
			end_of_transaction(true);
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			end_of_transaction(false);
			break;
		default:
			break;
	}
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId sub, SubTransactionId parent, void *arg)
{
	int			nest_level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (saved != NULL && saved->nest_level >= nest_level)
		{
			Saved	   *entry = saved;

			local_setting = entry->local;
			session_setting = entry->session;
			saved = entry->older;
			pfree(entry);
		}
		while (top_frame != NULL && top_frame->nest_level >= nest_level)
			top_frame = top_frame->outer;
		doubt_role_facts();
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		if (saved == NULL || saved->nest_level < nest_level)
			return;
		saved->nest_level = nest_level - 1;
		/* What the parent had saved itself is the older truth. */
		if (saved->older != NULL && saved->older->nest_level == saved->nest_level)
		{
			Saved	   *entry = saved;

			saved = entry->older;
			pfree(entry);
		}
	}
}

/* Called once, by _PG_init. */
void
qzpay_context_init(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
	CacheRegisterSyscacheCallback(AUTHOID, forget_role_facts, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget_role_facts, (Datum) 0);
	CacheRegisterRelcacheCallback(forget_role_facts_of_relation, (Datum) 0);
}
