/*
 * relation.c
 *		Direct index scans on tables of qzpay, without SPI.
 *
 * A relation is opened at its first use in a transaction, under the transaction's own resource owner, and closed before commit or prepare;
 * an abort lets the resource owner drop the references, here they are only forgotten.  A subtransaction that aborts closes what it opened,
 * since that may be a relation it made and that is now gone.  The price of keeping them open: ALTER TABLE of such a table, in a
 * transaction that has scanned it, fails with "being used by active queries in this session".
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "errors.h"
#include "store/relation.h"

static QzpayRelation *open_relations = NULL;

/* Forgets the relation's state of this transaction; what it held is closed already or belongs to the resource owner that is going. */
static void
forget(QzpayRelation *relation)
{
	relation->heap = NULL;
	relation->idx = NULL;
	relation->slot = NULL;
	relation->slot_busy = false;
	relation->next = NULL;
}

/* Closes the relations opened at this nesting level or deeper.  The locks stay until the transaction ends. */
static void
close_from(int nest_level)
{
	ResourceOwner owner = CurrentResourceOwner;
	QzpayRelation **link = &open_relations;

	CurrentResourceOwner = TopTransactionResourceOwner;
	while (*link != NULL)
	{
		QzpayRelation *relation = *link;

		if (relation->nest_level < nest_level)
		{
			link = &relation->next;
			continue;
		}
		*link = relation->next;
		/* An empty slot of a copied descriptor holds nothing; a busy one is cleaned up by whoever failed with it. */
		if (relation->idx != NULL)
			index_close(relation->idx, NoLock);
		relation_close(relation->heap, NoLock);
		forget(relation);
	}
	CurrentResourceOwner = owner;
}

static void
on_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			close_from(0);
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			while (open_relations != NULL)
			{
				QzpayRelation *relation = open_relations;

				open_relations = relation->next;
				forget(relation);
			}
			break;
		default:
			break;
	}
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId sub, SubTransactionId parent, void *arg)
{
	int			nest_level = GetCurrentTransactionNestLevel();
	QzpayRelation *relation;

	switch (event)
	{
		case SUBXACT_EVENT_COMMIT_SUB:
			for (relation = open_relations; relation != NULL; relation = relation->next)
				relation->nest_level = Min(relation->nest_level, nest_level - 1);
			break;
		case SUBXACT_EVENT_ABORT_SUB:
			close_from(nest_level);
			/* A slot that was in use when the error came has lost its buffer pin; another is made when needed. */
			for (relation = open_relations; relation != NULL; relation = relation->next)
			{
				if (relation->slot_busy)
				{
					relation->slot = NULL;
					relation->slot_busy = false;
				}
			}
			break;
		default:
			break;
	}
}

/* Called once, by _PG_init. */
void
qzpay_relation_init(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}

/*
 * qzpay_relation_open_if_exists
 *		Opens the table and its index, unless they are; false when the schema isn't installed.
 *
 * Takes AccessShareLock on both until the transaction ends.
 */
bool
qzpay_relation_open_if_exists(QzpayRelation *relation)
{
	ResourceOwner owner;
	Oid			namespace_oid;
	Oid			heap_oid;
	Oid			index_oid;

	if (relation->heap != NULL)
		return true;
	namespace_oid = get_namespace_oid("qzpay", true);
	heap_oid = OidIsValid(namespace_oid) ? get_relname_relid(relation->table, namespace_oid) : InvalidOid;
	index_oid = OidIsValid(heap_oid) ? get_relname_relid(relation->index, namespace_oid) : InvalidOid;
	if (!OidIsValid(index_oid))
		return false;

	relation->nest_level = GetCurrentTransactionNestLevel();
	relation->slot = NULL;
	relation->slot_busy = false;
	owner = CurrentResourceOwner;
	CurrentResourceOwner = TopTransactionResourceOwner;
	PG_TRY();
	{
		relation->heap = relation_open(heap_oid, AccessShareLock);
		/* Listed at once: should the index fail to open, the abort that follows closes the table. */
		relation->next = open_relations;
		open_relations = relation;
		relation->idx = index_open(index_oid, AccessShareLock);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = owner;
	}
	PG_END_TRY();
	return true;
}

/* Opens the table and its index, unless they are; raises 55000 when the schema isn't installed. */
void
qzpay_relation_open(QzpayRelation *relation)
{
	if (!qzpay_relation_open_if_exists(relation))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table qzpay.%s or its index \"%s\" does not exist", relation->table, relation->index),
				 errhint("Call qzpay.install() as a superuser.")));
}

/* Number of a column of an open relation; the table may have been made by another version with another order. */
AttrNumber
qzpay_relation_column(QzpayRelation *relation, const char *name)
{
	TupleDesc	desc = RelationGetDescr(relation->heap);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (!att->attisdropped && strcmp(NameStr(att->attname), name) == 0)
			return att->attnum;
	}
	ereport(ERROR,
			(errcode(ERRCODE_QZPAY_SCHEMA_VERSION),
			 errmsg("table qzpay.%s has no column \"%s\"", relation->table, name),
			 errhint("Call qzpay.upgrade() as a superuser.")));
	return InvalidAttrNumber;	/* not reached */
}

/* The snapshot a direct scan reads under: the running statement's, as SQL in its place would. */
Snapshot
qzpay_scan_snapshot(void)
{
	return ActiveSnapshotSet() ? GetActiveSnapshot() : GetTransactionSnapshot();
}

/*
 * qzpay_scan_begin
 *		Starts a forward scan; keys are on the index's columns, counted from 1.
 *
 * Opens the relation where it isn't.  Ended by qzpay_scan_end(), or by the abort that an error causes.
 */
void
qzpay_scan_begin(QzpayScan *scan, QzpayRelation *relation, Snapshot snapshot, ScanKey keys, int nkeys)
{
	qzpay_relation_open(relation);
	scan->relation = relation;
	scan->shared_slot = !relation->slot_busy;
	if (!scan->shared_slot || relation->slot == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(scan->shared_slot ? TopTransactionContext : CurrentMemoryContext);
		TupleDesc	desc = CreateTupleDescCopy(RelationGetDescr(relation->heap));

		/* A copied descriptor is not reference-counted, so the slot belongs to no resource owner. */
		scan->slot = MakeSingleTupleTableSlot(desc, table_slot_callbacks(relation->heap));
		if (scan->shared_slot)
			relation->slot = scan->slot;
		MemoryContextSwitchTo(old);
	}
	else
		scan->slot = relation->slot;
	if (scan->shared_slot)
		relation->slot_busy = true;
	scan->desc = qzpay_index_beginscan_compat(relation->heap, relation->idx, snapshot, nkeys);
	index_rescan(scan->desc, keys, nkeys, NULL, 0);
}

/* The next row, or NULL at the end.  The slot's contents last until the next call. */
TupleTableSlot *
qzpay_scan_next(QzpayScan *scan)
{
	return index_getnext_slot(scan->desc, ForwardScanDirection, scan->slot) ? scan->slot : NULL;
}

/* Ends the scan; values not copied out of the slot are gone. */
void
qzpay_scan_end(QzpayScan *scan)
{
	index_endscan(scan->desc);
	ExecClearTuple(scan->slot);
	if (scan->shared_slot)
		scan->relation->slot_busy = false;
	else
		ExecDropSingleTupleTableSlot(scan->slot);
}

/* Key: the index's column at this position equals the uuid, which must outlive the scan. */
void
qzpay_scan_key_uuid(ScanKey key, AttrNumber position, const pg_uuid_t *value)
{
	ScanKeyInit(key, position, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(value));
}

/* Key: the index's column at this position, of the default collation, equals the text. */
void
qzpay_scan_key_text(ScanKey key, AttrNumber position, Datum value)
{
	ScanKeyEntryInitialize(key, 0, position, BTEqualStrategyNumber, InvalidOid, DEFAULT_COLLATION_OID, F_TEXTEQ, value);
}

/* A column's uuid, or NULL; points into the slot. */
pg_uuid_t *
qzpay_slot_uuid(TupleTableSlot *slot, AttrNumber column)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, column, &isnull);

	return isnull ? NULL : DatumGetUUIDP(value);
}
