/*
 * row.h
 *		Rows written directly, without the executor.
 */
#ifndef QZPAY_STORE_ROW_H
#define QZPAY_STORE_ROW_H

#include "access/tableam.h"

#include "store/relation.h"

extern void qzpay_row_insert(QzpayRelation *relation, Datum *values, bool *nulls, ItemPointer tid);
extern bool qzpay_row_try_insert(QzpayRelation *relation, Datum *values, bool *nulls, ItemPointer tid);
extern TM_Result qzpay_row_update(QzpayRelation *relation, ItemPointer tid, Datum *values, bool *nulls, bool wait);
extern TM_Result qzpay_row_lock(QzpayRelation *relation, ItemPointer tid, LockTupleMode mode);
extern void qzpay_row_delete(QzpayRelation *relation, ItemPointer tid);

/* Rows that are inserted together: into the table at once, then one by one into its indexes. */
typedef struct QzpayRows
{
	QzpayRelation *relation;
	TupleTableSlot **slots;		/* as many as there is room for */
	int			n;				/* that are in use */
	bool		is_plain;		/* the table has one index */
} QzpayRows;

extern void qzpay_rows_begin(QzpayRows *rows, QzpayRelation *relation, int room);
extern TupleTableSlot *qzpay_rows_add(QzpayRows *rows);
extern void qzpay_rows_insert(QzpayRows *rows);
extern bool qzpay_rows_enter(QzpayRows *rows, int row, bool tentative, ItemPointer tid);

/* A lock of a few microseconds on a hash: who holds it may look whether a key is there and then write it. */
typedef struct QzpayKeyLock
{
	uint64		hash;
} QzpayKeyLock;

extern void qzpay_key_lock(QzpayKeyLock *lock, const void *key, size_t length);
extern void qzpay_key_unlock(QzpayKeyLock *lock);

#endif							/* QZPAY_STORE_ROW_H */
