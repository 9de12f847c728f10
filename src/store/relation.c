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

#include "access/heapam.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/predicate.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "errors.h"
#include "store/relation.h"

static QzpayRelation *open_relations = NULL;
static QzpayRelation *known_relations = NULL;

/* Forgets the relation's state of this transaction; what it held is closed already or belongs to the resource owner that is going. */
static void
forget(QzpayRelation *relation)
{
	relation->heap = NULL;
	relation->idx = NULL;
	/* One that was in use when an error came has lost its buffer pin. */
	if (relation->slot_busy)
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

static void
on_relcache(Datum arg, Oid relid)
{
	for (QzpayRelation *relation = known_relations; relation != NULL; relation = relation->next_known)
	{
		if (relid == InvalidOid || relid == relation->heap_oid || relid == relation->index_oid)
		{
			relation->heap_oid = InvalidOid;
			relation->index_oid = InvalidOid;
			relation->slot_of = InvalidOid;
		}
	}
}

/* Called once, by _PG_init. */
void
qzpay_relation_init(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
	CacheRegisterRelcacheCallback(on_relcache, (Datum) 0);
}

/* Finds the ids of the table and its index; false when there is no such table. */
static bool
know_relation(QzpayRelation *relation)
{
	Oid			namespace_oid;
	Oid			heap_oid;
	Oid			index_oid;

	if (OidIsValid(relation->heap_oid) && OidIsValid(relation->index_oid))
		return true;
	if (!relation->is_known)
	{
		relation->is_known = true;
		relation->next_known = known_relations;
		known_relations = relation;
	}
	/* A message that comes while the index is looked up makes the table forgotten: both are known together, or neither. */
	do
	{
		namespace_oid = get_namespace_oid("qzpay", true);
		heap_oid = OidIsValid(namespace_oid) ? get_relname_relid(relation->table, namespace_oid) : InvalidOid;
		relation->heap_oid = heap_oid;
		index_oid = OidIsValid(heap_oid) ? get_relname_relid(relation->index, namespace_oid) : InvalidOid;
	} while (relation->heap_oid != heap_oid);
	relation->index_oid = index_oid;
	return OidIsValid(index_oid);
}

/* Opens what has this id under the transaction's own resource owner. */
static Relation
open_kept(Oid oid, LOCKMODE lock)
{
	ResourceOwner owner = CurrentResourceOwner;
	Relation	result = NULL;

	CurrentResourceOwner = TopTransactionResourceOwner;
	PG_TRY();
	{
		result = relation_open(oid, lock);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = owner;
	}
	PG_END_TRY();
	return result;
}

/* Locks the table; what it is called may have changed until the lock was there, as its message then tells. */
static bool
lock_heap(QzpayRelation *relation)
{
	ResourceOwner owner = CurrentResourceOwner;

	while (know_relation(relation))
	{
		Oid			oid = relation->heap_oid;

		CurrentResourceOwner = TopTransactionResourceOwner;
		LockRelationOid(oid, AccessShareLock);
		CurrentResourceOwner = owner;
		if (relation->heap_oid == oid)
			return true;
		CurrentResourceOwner = TopTransactionResourceOwner;
		UnlockRelationOid(oid, AccessShareLock);
		CurrentResourceOwner = owner;
	}
	return false;
}

static bool
open_heap_if_exists(QzpayRelation *relation)
{
	if (relation->heap != NULL)
		return true;
	if (!lock_heap(relation))
		return false;
	relation->nest_level = GetCurrentTransactionNestLevel();
	relation->idx = NULL;
	relation->heap = open_kept(relation->heap_oid, NoLock);
	relation->next = open_relations;
	open_relations = relation;
	return true;
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
	if (!open_heap_if_exists(relation))
		return false;
	if (relation->idx == NULL)
	{
		/* A message since the table was opened may have made it forgotten. */
		if (!know_relation(relation))
			return false;
		relation->idx = open_kept(relation->index_oid, AccessShareLock);
	}
	return true;
}

static void
not_installed(QzpayRelation *relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table qzpay.%s or its index \"%s\" does not exist", relation->table, relation->index),
			 errhint("Call qzpay.install() as a superuser.")));
}

/* Opens the table and its index, unless they are; raises 55000 when the schema isn't installed. */
void
qzpay_relation_open(QzpayRelation *relation)
{
	if (!qzpay_relation_open_if_exists(relation))
		not_installed(relation);
}

/* Opens the table alone, for rows whose place is known. */
void
qzpay_relation_open_heap(QzpayRelation *relation)
{
	if (!open_heap_if_exists(relation))
		not_installed(relation);
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

static TupleTableSlot *
make_slot(QzpayRelation *relation, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	/* A copied descriptor is not reference-counted, so the slot belongs to no resource owner. */
	TupleTableSlot *slot = MakeSingleTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(relation->heap)), table_slot_callbacks(relation->heap));

	MemoryContextSwitchTo(old);
	return slot;
}

/* Takes the relation's slot, which is kept for the session, or makes one while that is in use. */
static void
take_slot(QzpayScan *scan, QzpayRelation *relation)
{
	scan->relation = relation;
	scan->shared_slot = !relation->slot_busy;
	if (!scan->shared_slot)
	{
		scan->slot = make_slot(relation, CurrentMemoryContext);
		return;
	}
	if (relation->slot == NULL || relation->slot_of != RelationGetRelid(relation->heap))
	{
		TupleTableSlot *old = relation->slot;

		relation->slot = NULL;
		if (old != NULL)
		{
			TupleDesc	desc = old->tts_tupleDescriptor;

			ExecDropSingleTupleTableSlot(old);
			FreeTupleDesc(desc);
		}
		relation->slot = make_slot(relation, TopMemoryContext);
		relation->slot_of = RelationGetRelid(relation->heap);
	}
	scan->slot = relation->slot;
	relation->slot_busy = true;
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
	take_slot(scan, relation);
	scan->desc = qzpay_index_beginscan_compat(relation->heap, relation->idx, snapshot, nkeys);
	index_rescan(scan->desc, keys, nkeys, NULL, 0);
}

/*
 * In which of the shared buffers a page was last, by file and block: a hint, which saves the look into their table.  Whoever follows it makes sure
 * that the page is still there.  Neighbours never share a slot.
 */
#define MAX_PREFETCH 192
#define N_RECENT (1 << 14)
static Buffer recent[N_RECENT];

/* The server counts a page that is found so as used no more often; one in so many is looked for in earnest. */
#define IN_EARNEST 8

static inline Buffer *
recent_of(QzpayRelation *relation, BlockNumber block)
{
	return &recent[(murmurhash32(qzpay_file_number_compat(relation->heap)) + block) % N_RECENT];
}

/* The page, pinned, as ReadBuffer() would give it. */
Buffer
qzpay_read_page(QzpayRelation *relation, BlockNumber block)
{
	static unsigned int n_reads = 0;
	Buffer	   *hint = recent_of(relation, block);

	if (++n_reads % IN_EARNEST == 0 || !BufferIsValid(*hint) || !ReadRecentBuffer(qzpay_file_compat(relation->heap), MAIN_FORKNUM, block, *hint))
		*hint = ReadBuffer(relation->heap, block);
	return *hint;
}

/*
 * qzpay_prefetch_page
 *		Has the processor fetch the beginning of the page and the line pointer there, if it is where it was last.
 */
void
qzpay_prefetch_page(QzpayRelation *relation, const ItemPointerData *tid)
{
	Buffer		buffer = *recent_of(relation, ItemPointerGetBlockNumber(tid));

	if (buffer > 0 && buffer <= NBuffers)
	{
		__builtin_prefetch(BufferGetPage(buffer));
		__builtin_prefetch(PageGetItemId(BufferGetPage(buffer), ItemPointerGetOffsetNumber(tid)));
	}
}

/* Has it fetch the row, after that.  The page isn't pinned: what is read of it is good for nothing else. */
void
qzpay_prefetch_row(QzpayRelation *relation, const ItemPointerData *tid)
{
	Buffer		buffer = *recent_of(relation, ItemPointerGetBlockNumber(tid));

	if (buffer > 0 && buffer <= NBuffers)
	{
		Page		page = BufferGetPage(buffer);
		ItemIdData	item = *PageGetItemId(page, ItemPointerGetOffsetNumber(tid));

		/* A redirected line pointer leads to another one. */
		if (ItemIdIsRedirected(&item) && ItemIdGetRedirect(&item) <= MaxHeapTuplesPerPage)
			item = *PageGetItemId(page, ItemIdGetRedirect(&item));
		if (!ItemIdIsNormal(&item) || ItemIdGetOffset(&item) > BLCKSZ - MAX_PREFETCH)
			return;
		for (int i = 0; i < MAX_PREFETCH; i += 64)
			__builtin_prefetch((char *) page + ItemIdGetOffset(&item) + i);
	}
}

/*
 * qzpay_scan_fetch
 *		The row version at this place, if the snapshot sees one there; ended by qzpay_scan_end() either way.
 *
 * The place must lie within the table: for tables that are never truncated by vacuum, and places forgotten when the table changes.
 */
TupleTableSlot *
qzpay_scan_fetch(QzpayScan *scan, QzpayRelation *relation, Snapshot snapshot, ItemPointer tid)
{
	Buffer		buffer = qzpay_read_page(relation, ItemPointerGetBlockNumber(tid));
	HeapTuple	tuple;
	Page		page;
	ItemId		item;
	bool		found;

	take_slot(scan, relation);
	scan->desc = NULL;
	tuple = &((BufferHeapTupleTableSlot *) scan->slot)->base.tupdata;
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	item = ItemPointerGetOffsetNumber(tid) <= PageGetMaxOffsetNumber(page) ? PageGetItemId(page, ItemPointerGetOffsetNumber(tid)) : NULL;
	found = item != NULL && ItemIdIsNormal(item);
	if (found)
	{
		tuple->t_data = (HeapTupleHeader) PageGetItem(page, item);
		tuple->t_len = ItemIdGetLength(item);
		tuple->t_self = *tid;
		tuple->t_tableOid = RelationGetRelid(relation->heap);
		found = HeapTupleSatisfiesVisibility(tuple, snapshot, buffer);
		if (found)
			PredicateLockTID(relation->heap, tid, snapshot, HeapTupleHeaderGetXmin(tuple->t_data));
		HeapCheckForSerializableConflictOut(found, relation->heap, tuple, buffer, snapshot);
	}
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	if (found)
		ExecStorePinnedBufferHeapTuple(tuple, scan->slot, buffer);
	else
		ReleaseBuffer(buffer);
	return found ? scan->slot : NULL;
}

/* Space in a page below which it is pruned: two rows of the tables that are read by their chains. */
#define PRUNE_BELOW 320

/*
 * qzpay_scan_fetch_chain
 *		The version that the snapshot sees of the row whose versions in its page begin at this line pointer; ended by qzpay_scan_end().
 *
 * The page is pruned as an index scan would do, but only when the next version would not fit: so many are pruned at once.  The place as for
 * qzpay_scan_fetch().
 */
TupleTableSlot *
qzpay_scan_fetch_chain(QzpayScan *scan, QzpayRelation *relation, Snapshot snapshot, ItemPointer root)
{
	ItemPointerData tid = *root;
	Buffer		buffer = qzpay_read_page(relation, ItemPointerGetBlockNumber(root));
	HeapTuple	tuple;
	bool		found;

	take_slot(scan, relation);
	scan->desc = NULL;
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	if (PageGetHeapFreeSpace(BufferGetPage(buffer)) < PRUNE_BELOW)
	{
		LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
		heap_page_prune_opt(relation->heap, buffer);
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
	}
	tuple = &((BufferHeapTupleTableSlot *) scan->slot)->base.tupdata;
	found = heap_hot_search_buffer(&tid, relation->heap, buffer, snapshot, tuple, NULL, true);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	if (found)
		ExecStorePinnedBufferHeapTuple(tuple, scan->slot, buffer);
	else
		ReleaseBuffer(buffer);
	return found ? scan->slot : NULL;
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
	if (scan->desc != NULL)
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
