/*
 * relation.h
 *		Direct index scans on tables of qzpay, without SPI.
 *
 * A direct scan knows neither row security nor privileges: whoever scans takes the tenant as first key, or uses the answer only to decide
 * whose context to open.
 */
#ifndef QZPAY_STORE_RELATION_H
#define QZPAY_STORE_RELATION_H

#include "access/genam.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "storage/buf.h"
#include "utils/rel.h"
#include "utils/snapshot.h"
#include "utils/uuid.h"

/*
 * A table with one of its indexes; a static variable of whoever scans it, with the two names set.  Open from the first use in a
 * transaction until its end, never kept in fn_extra: relation references belong to a resource owner, and PL/pgSQL keeps expressions
 * over subtransactions and commits.
 */
typedef struct QzpayRelation
{
	const char *table;			/* names in schema qzpay */
	const char *index;

	Oid			heap_oid;		/* what they were last; forgotten when the table changes */
	Oid			index_oid;
	bool		is_known;		/* in the list of those that messages are compared with */
	struct QzpayRelation *next_known;

	Relation	heap;			/* NULL when not open in this transaction */
	Relation	idx;			/* the same, and opened only when scanned */
	int			nest_level;		/* subtransaction that opened it */
	TupleTableSlot *slot;		/* for one scan at a time, kept for the session */
	Oid			slot_of;		/* table it fits; forgotten when that changes */
	bool		slot_busy;
	struct QzpayRelation *next; /* in the list of open ones */
} QzpayRelation;

/* One running scan, in the stack frame of the function that runs it; it ends before that function returns. */
typedef struct QzpayScan
{
	QzpayRelation *relation;
	IndexScanDesc desc;			/* NULL for a single row by its place */
	TupleTableSlot *slot;
	bool		shared_slot;	/* the relation's own */
} QzpayScan;

extern void qzpay_relation_init(void);
extern void qzpay_relation_open(QzpayRelation *relation);
extern void qzpay_relation_open_heap(QzpayRelation *relation);
extern bool qzpay_relation_open_if_exists(QzpayRelation *relation);
extern AttrNumber qzpay_relation_column(QzpayRelation *relation, const char *name);

extern Snapshot qzpay_scan_snapshot(void);
extern void qzpay_scan_begin(QzpayScan *scan, QzpayRelation *relation, Snapshot snapshot, ScanKey keys, int nkeys);
extern TupleTableSlot *qzpay_scan_next(QzpayScan *scan);
extern TupleTableSlot *qzpay_scan_fetch(QzpayScan *scan, QzpayRelation *relation, Snapshot snapshot, ItemPointer tid);
extern TupleTableSlot *qzpay_scan_fetch_chain(QzpayScan *scan, QzpayRelation *relation, Snapshot snapshot, ItemPointer root);
extern Buffer qzpay_read_page(QzpayRelation *relation, BlockNumber block);
extern void qzpay_prefetch_page(QzpayRelation *relation, const ItemPointerData *tid);
extern void qzpay_prefetch_row(QzpayRelation *relation, const ItemPointerData *tid);
extern void qzpay_scan_end(QzpayScan *scan);

extern void qzpay_scan_key_uuid(ScanKey key, AttrNumber position, const pg_uuid_t *value);
extern void qzpay_scan_key_text(ScanKey key, AttrNumber position, Datum value);
extern pg_uuid_t *qzpay_slot_uuid(TupleTableSlot *slot, AttrNumber column);

#endif							/* QZPAY_STORE_RELATION_H */
