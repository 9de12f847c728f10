/*
 * row.c
 *		Rows written directly, without the executor.
 *
 * For tables of qzpay whose constraints the caller keeps: values of the right types, no nulls where there must be none, rows of the right
 * partition.  Row triggers don't fire.  The caller advances the command counter before it reads or changes what it wrote.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "storage/lock.h"

#include "compat.h"
#include "store/row.h"

/* Field 4 of advisory lock tags; those of SQL are 1 and 2. */
#define KEY_LOCK_CLASS 0x515A

/* The one index that all tables written here have; false when a tentative entry found its key there. */
static bool
insert_into_index(QzpayRelation *relation, TupleTableSlot *slot, bool tentative)
{
	Form_pg_index index = relation->idx->rd_index;
	IndexInfo  *info = makeNode(IndexInfo);
	Datum		values[INDEX_MAX_KEYS];
	bool		nulls[INDEX_MAX_KEYS];
	bool		is_unique;

	for (int i = 0; i < index->indnatts; i++)
	{
		AttrNumber	column = index->indkey.values[i];

		values[i] = slot->tts_values[column - 1];
		nulls[i] = slot->tts_isnull[column - 1];
	}
	is_unique = index_insert(relation->idx, values, nulls, &slot->tts_tid, relation->heap,
							 tentative ? UNIQUE_CHECK_PARTIAL : UNIQUE_CHECK_YES, false, info);
	pfree(info);
	return is_unique;
}

/* The same where the administrator has made further indexes. */
static bool
insert_into_all_indexes(QzpayRelation *relation, TupleTableSlot *slot, bool tentative)
{
	EState	   *estate = CreateExecutorState();
	ResultRelInfo *result = makeNode(ResultRelInfo);
	bool		conflict = false;

	InitResultRelInfo(result, relation->heap, 1, NULL, 0);
	ExecOpenIndices(result, false);
	qzpay_insert_index_tuples_compat(result, slot, estate, tentative, tentative ? &conflict : NULL);
	ExecCloseIndices(result);
	FreeExecutorState(estate);
	return !conflict;
}

static bool
insert_index_entries(QzpayRelation *relation, TupleTableSlot *slot, bool tentative)
{
	List	   *indexes = RelationGetIndexList(relation->heap);
	bool		is_unique;

	if (list_length(indexes) == 1)
		is_unique = insert_into_index(relation, slot, tentative);
	else
		is_unique = insert_into_all_indexes(relation, slot, tentative);
	list_free(indexes);
	return is_unique;
}

static TupleTableSlot *
slot_of_values(QzpayRelation *relation, Datum *values, bool *nulls)
{
	TupleDesc	desc = RelationGetDescr(relation->heap);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);

	memcpy(slot->tts_values, values, desc->natts * sizeof(Datum));
	memcpy(slot->tts_isnull, nulls, desc->natts * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(relation->heap);
	return slot;
}

/* What the executor asks for before it writes. */
static void
begin_write(QzpayRelation *relation, const char *command)
{
	PreventCommandIfReadOnly(command);
	LockRelationOid(RelationGetRelid(relation->heap), RowExclusiveLock);
}

static bool
insert(QzpayRelation *relation, Datum *values, bool *nulls, ItemPointer tid, bool tentative)
{
	TupleTableSlot *slot;
	bool		is_unique;

	qzpay_relation_open(relation);
	begin_write(relation, "INSERT");
	slot = slot_of_values(relation, values, nulls);
	table_tuple_insert(relation->heap, slot, GetCurrentCommandId(true), 0, NULL);
	is_unique = insert_index_entries(relation, slot, tentative);
	*tid = slot->tts_tid;
	ExecDropSingleTupleTableSlot(slot);
	return is_unique;
}

/*
 * qzpay_row_insert
 *		Inserts a row; *tid is where.
 *
 * Raises 23505 where the index's key is there already, after waiting for whoever has inserted it.
 */
void
qzpay_row_insert(QzpayRelation *relation, Datum *values, bool *nulls, ItemPointer tid)
{
	(void) insert(relation, values, nulls, tid, false);
}

/*
 * qzpay_row_try_insert
 *		Inserts a row and tells whether its key is new for certain; if not, the caller has to look, and to take the row back if it is there.
 *
 * Waits for nobody: a key that another transaction has inserted counts as there until that has ended, even if it has deleted it again.
 */
bool
qzpay_row_try_insert(QzpayRelation *relation, Datum *values, bool *nulls, ItemPointer tid)
{
	return insert(relation, values, nulls, tid, true);
}

/*
 * qzpay_rows_begin
 *		Makes room for so many rows in the current memory context, which is all that they hold.
 */
void
qzpay_rows_begin(QzpayRows *rows, QzpayRelation *relation, int room)
{
	TupleDesc	desc;

	qzpay_relation_open(relation);
	/* A copied descriptor is not reference-counted. */
	desc = CreateTupleDescCopy(RelationGetDescr(relation->heap));
	rows->relation = relation;
	rows->is_plain = list_length(RelationGetIndexList(relation->heap)) == 1;
	rows->slots = palloc(room * sizeof(TupleTableSlot *));
	for (int i = 0; i < room; i++)
		rows->slots[i] = MakeTupleTableSlot(desc, &TTSOpsVirtual);
	rows->n = 0;
}

/* The slot of one row more, to be filled before they are inserted. */
TupleTableSlot *
qzpay_rows_add(QzpayRows *rows)
{
	return ExecStoreVirtualTuple(ExecClearTuple(rows->slots[rows->n++]));
}

/*
 * qzpay_rows_insert
 *		Puts the rows into the table, a log record for each page, and into no index yet.
 */
void
qzpay_rows_insert(QzpayRows *rows)
{
	begin_write(rows->relation, "INSERT");
	table_multi_insert(rows->relation->heap, rows->slots, rows->n, GetCurrentCommandId(true), 0, NULL);
}

/*
 * qzpay_rows_enter
 *		Puts a row that is in the table into its indexes; *tid is where it is.  What it returns, and raises, is that of qzpay_row_try_insert() when
 *		tentative, else that of qzpay_row_insert().
 */
bool
qzpay_rows_enter(QzpayRows *rows, int row, bool tentative, ItemPointer tid)
{
	*tid = rows->slots[row]->tts_tid;
	return rows->is_plain ? insert_into_index(rows->relation, rows->slots[row], tentative) :
		insert_into_all_indexes(rows->relation, rows->slots[row], tentative);
}

/*
 * qzpay_row_update
 *		Replaces the version at *tid, which moves to the new one when the result is TM_Ok.
 *
 * With wait, waits for whoever has locked it; without, that is TM_BeingModified.
 */
TM_Result
qzpay_row_update(QzpayRelation *relation, ItemPointer tid, Datum *values, bool *nulls, bool wait)
{
	TupleTableSlot *slot;
	TM_FailureData failure;
	LockTupleMode lock_mode;
	TM_Result	result;
	qzpay_update_indexes_compat update_indexes;

	begin_write(relation, "UPDATE");
	slot = slot_of_values(relation, values, nulls);
	result = table_tuple_update(relation->heap, tid, slot, GetCurrentCommandId(true), InvalidSnapshot, InvalidSnapshot, wait,
								&failure, &lock_mode, &update_indexes);
	if (result == TM_Ok)
	{
		if (update_indexes)
		{
			qzpay_relation_open(relation);
			(void) insert_index_entries(relation, slot, false);
		}
		*tid = slot->tts_tid;
	}
	ExecDropSingleTupleTableSlot(slot);
	return result;
}

/*
 * qzpay_row_lock
 *		Waits for whoever changes or locks the version at *tid, and keeps others from it until the transaction ends, when the result is TM_Ok.
 */
TM_Result
qzpay_row_lock(QzpayRelation *relation, ItemPointer tid, LockTupleMode mode)
{
	TupleTableSlot *slot = table_slot_create(relation->heap, NULL);
	ItemPointerData place = *tid;
	TM_FailureData failure;
	TM_Result	result;

	LockRelationOid(RelationGetRelid(relation->heap), RowShareLock);
	result = table_tuple_lock(relation->heap, &place, InvalidSnapshot, slot, GetCurrentCommandId(true), mode, LockWaitBlock, 0, &failure);
	ExecDropSingleTupleTableSlot(slot);
	return result;
}

/* Deletes a row that this transaction has inserted in an earlier command. */
void
qzpay_row_delete(QzpayRelation *relation, ItemPointer tid)
{
	TM_FailureData failure;

	if (table_tuple_delete(relation->heap, tid, GetCurrentCommandId(true), InvalidSnapshot, InvalidSnapshot, true, &failure, false) != TM_Ok)
		elog(ERROR, "could not delete an own row of \"%s\"", RelationGetRelationName(relation->heap));
}

/*
 * qzpay_key_lock
 *		Waits for whoever else is writing a key of this hash.
 *
 * Costs as much as the token of a speculative insertion, and saves its second log record: whoever gets the lock sees the other's row in the
 * index, in progress or not, and waits for that transaction without the lock.  An error releases it with the transaction.
 */
void
qzpay_key_lock(QzpayKeyLock *lock, const void *key, size_t length)
{
	LOCKTAG		tag;

	lock->hash = DatumGetUInt64(hash_any_extended(key, length, 0));
	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (lock->hash >> 32), (uint32) lock->hash, KEY_LOCK_CLASS);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

void
qzpay_key_unlock(QzpayKeyLock *lock)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (lock->hash >> 32), (uint32) lock->hash, KEY_LOCK_CLASS);
	LockRelease(&tag, ExclusiveLock, false);
}
