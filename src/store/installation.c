/*
 * installation.c
 *		The installation's identity: the name space of every derived id.
 *
 * Kept per backend.  The row is written by install() and never gets another id; a transaction that installs and then aborts, or whoever
 * drops and installs again in one session, is seen through the relation cache and the abort callbacks.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"

#include "errors.h"
#include "store/installation.h"
#include "store/relation.h"

static QzpayRelation installation = {.table = "installation",.index = "installation_pkey"};
static pg_uuid_t installation_id;
static Oid	installation_relation = InvalidOid; /* the table that was read; InvalidOid: nothing is kept */

static void
forget_on_relcache(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == installation_relation)
		installation_relation = InvalidOid;
}

static void
forget_on_abort(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		installation_relation = InvalidOid;
}

static void
forget_on_subabort(SubXactEvent event, SubTransactionId sub, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		installation_relation = InvalidOid;
}

/* Called once, by _PG_init. */
void
qzpay_installation_init(void)
{
	CacheRegisterRelcacheCallback(forget_on_relcache, (Datum) 0);
	RegisterXactCallback(forget_on_abort, NULL);
	RegisterSubXactCallback(forget_on_subabort, NULL);
}

/* Raises QZ002 when install() has not been called. */
const pg_uuid_t *
qzpay_installation_id(void)
{
	ScanKeyData key;
	QzpayScan	scan;
	TupleTableSlot *slot;

	if (OidIsValid(installation_relation))
		return &installation_id;
	qzpay_relation_open(&installation);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_BOOLEQ, BoolGetDatum(true));
	qzpay_scan_begin(&scan, &installation, qzpay_scan_snapshot(), &key, 1);
	slot = qzpay_scan_next(&scan);
	if (slot == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_SCHEMA_VERSION),
				 errmsg("qzpay is not installed in this database"),
				 errhint("Call qzpay.install() as a superuser.")));
	installation_id = *qzpay_slot_uuid(slot, qzpay_relation_column(&installation, "id"));
	qzpay_scan_end(&scan);
	installation_relation = RelationGetRelid(installation.heap);
	return &installation_id;
}
