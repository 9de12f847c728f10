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
extern void qzpay_row_delete(QzpayRelation *relation, ItemPointer tid);

/* A lock of a few microseconds on a hash: who holds it may look whether a key is there and then write it. */
typedef struct QzpayKeyLock
{
	uint64		hash;
} QzpayKeyLock;

extern void qzpay_key_lock(QzpayKeyLock *lock, const void *key, size_t length);
extern void qzpay_key_unlock(QzpayKeyLock *lock);

#endif							/* QZPAY_STORE_ROW_H */
