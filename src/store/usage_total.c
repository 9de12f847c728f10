/*
 * usage_total.c
 *		Running totals of usage: one row per customer, meter and period, and more where one is busy.
 *
 * The total is the sum of the shards.  Whoever finds the first shard locked by another transaction takes the next one instead of waiting;
 * where the decision needs the exact total, everybody waits for the first.  Adding commutes, so the newest version is taken at every
 * isolation level: no increment is lost and none fails for being late.
 *
 * Shards are looked for with a dirty snapshot, which shows who else is busy with what.  Such a scan may miss a row that moves to another page
 * at that moment; where that would matter (is a shard really not there?) a plain snapshot has the last word.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "store/number.h"
#include "store/place.h"
#include "store/row.h"
#include "store/usage.h"

#define N_SHARDS 16

enum
{
	COLUMN_TENANT,
	COLUMN_CUSTOMER,
	COLUMN_METER,
	COLUMN_PERIOD_START,
	COLUMN_SHARD,
	COLUMN_QUANTITY,
	COLUMN_EVENTS,
	COLUMN_AMOUNT,
	COLUMN_GAUGE,
	N_COLUMNS
};

static const char *const column_names[N_COLUMNS] = {
	"tenant_id", "customer_id", "meter_id", "period_start", "shard", "quantity", "events", "amount", "gauge"
};

static QzpayRelation totals = {.table = "usage_totals",.index = "usage_totals_pkey"};
static AttrNumber columns[N_COLUMNS];
static Oid	numbered = InvalidOid;

/* One shard as it was found. */
typedef struct Shard
{
	bool		exists;
	TransactionId busy;			/* whoever is changing it, or InvalidTransactionId */
	Numeric		quantity;
	int64		events;
	Numeric		amount;			/* NULL: the quantity */
	ItemPointerData tid;
} Shard;

typedef struct Shards
{
	Shard		shard[N_SHARDS];
	Numeric		sum;			/* of what is committed or our own */
	int64		events;			/* that made it */
	bool		any;
	bool		is_gauge;		/* of any shard */
} Shards;

/*
 * Where this transaction has left its version of a total, so that its next event needs no scan over the versions before: they can't be
 * pruned while it runs, and a bulk of events would cost their square.
 */
typedef struct Left
{
	uint64		transaction;
	pg_uuid_t	customer;
	pg_uuid_t	meter;
	TimestampTz period_start;
	int			shard;
	ItemPointerData tid;
	Numeric		others;			/* sum of the other shards when they were read; NULL: 0 */
	int64		other_events;
} Left;

#define N_LEFT 64
static Left left_behind[N_LEFT];
static uint64 transaction_number = 1;	/* rises with every end of a (sub)transaction that may undo a version */

static void
number_columns(void)
{
	if (numbered == RelationGetRelid(totals.heap))
		return;
	for (int i = 0; i < N_COLUMNS; i++)
		columns[i] = qzpay_relation_column(&totals, column_names[i]);
	numbered = RelationGetRelid(totals.heap);
}

static void
open_totals(void)
{
	qzpay_relation_open(&totals);
	number_columns();
}

static Datum
column_of(TupleTableSlot *slot, int column)
{
	bool		isnull;

	return slot_getattr(slot, columns[column], &isnull);
}

/* What a slot says of its shard. */
static void
read_shard(TupleTableSlot *slot, Shard *shard)
{
	bool		isnull;
	Datum		amount = slot_getattr(slot, columns[COLUMN_AMOUNT], &isnull);

	shard->exists = true;
	shard->quantity = DatumGetNumericCopy(column_of(slot, COLUMN_QUANTITY));
	shard->events = DatumGetInt64(column_of(slot, COLUMN_EVENTS));
	shard->amount = isnull ? NULL : DatumGetNumericCopy(amount);
	shard->tid = slot->tts_tid;
}

static void
keys_of(const QzpayUsageTotal *total, ScanKey keys)
{
	qzpay_scan_key_uuid(&keys[0], 1, &total->tenant);
	qzpay_scan_key_uuid(&keys[1], 2, &total->customer);
	qzpay_scan_key_uuid(&keys[2], 3, &total->meter);
	ScanKeyInit(&keys[3], 4, BTEqualStrategyNumber, F_TIMESTAMPTZ_EQ, TimestampTzGetDatum(total->period_start));
}

/* Adds up what was read. */
static void
sum_up(Shards *shards)
{
	for (int i = 0; i < N_SHARDS; i++)
	{
		if (shards->shard[i].quantity != NULL)
			shards->sum = shards->sum == NULL ? shards->shard[i].quantity : qzpay_number_add(shards->sum, shards->shard[i].quantity);
		shards->events += shards->shard[i].events;
	}
}

/* Reads all shards, committed or not. */
static void
find_shards(const QzpayUsageTotal *total, Shards *shards)
{
	SnapshotData dirty;
	ScanKeyData keys[4];
	QzpayScan	scan;
	TupleTableSlot *slot;

	memset(shards, 0, sizeof(*shards));
	InitDirtySnapshot(dirty);
	keys_of(total, keys);
	qzpay_scan_begin(&scan, &totals, &dirty, keys, 4);
	while ((slot = qzpay_scan_next(&scan)) != NULL)
	{
		Shard	   *shard = &shards->shard[DatumGetInt16(column_of(slot, COLUMN_SHARD)) % N_SHARDS];

		shards->any = true;
		shards->is_gauge = shards->is_gauge || DatumGetBool(column_of(slot, COLUMN_GAUGE));
		/* The new version that somebody else has not committed: the old one is, or was, in the scan too. */
		if (TransactionIdIsValid(dirty.xmin))
		{
			if (!shard->exists)
			{
				shard->exists = true;
				shard->busy = dirty.xmin;
			}
			continue;
		}
		shard->busy = dirty.xmax;
		read_shard(slot, shard);
	}
	qzpay_scan_end(&scan);
	sum_up(shards);
}

static bool
slot_is_of(TupleTableSlot *slot, const QzpayUsageTotal *total)
{
	return memcmp(DatumGetUUIDP(column_of(slot, COLUMN_CUSTOMER)), &total->customer, sizeof(pg_uuid_t)) == 0 &&
		memcmp(DatumGetUUIDP(column_of(slot, COLUMN_METER)), &total->meter, sizeof(pg_uuid_t)) == 0 &&
		DatumGetTimestampTz(column_of(slot, COLUMN_PERIOD_START)) == total->period_start &&
		memcmp(DatumGetUUIDP(column_of(slot, COLUMN_TENANT)), &total->tenant, sizeof(pg_uuid_t)) == 0 &&
		DatumGetInt16(column_of(slot, COLUMN_SHARD)) == 0;
}

/*
 * Places of totals are those of the first line pointer of the first shard's versions, and noted only while there is no other shard: whoever makes
 * one outdates what was noted before.  Whoever looks for the shards after that sees it, committed or not.
 */
static void
place_key(QzpayPlaceKey *place, const QzpayUsageTotal *total)
{
	struct
	{
		pg_uuid_t	tenant;
		pg_uuid_t	customer;
		pg_uuid_t	meter;
		TimestampTz period_start;
	}			key = {total->tenant, total->customer, total->meter, total->period_start};

	qzpay_place_key(place, totals.heap, &key, sizeof(key));
}

/* Looks for the only shard where it was before; false where it isn't, or somebody is changing it. */
static bool
find_placed(const QzpayUsageTotal *total, const QzpayPlaceKey *place, Shards *shards)
{
	SnapshotData dirty;
	ItemPointerData root;
	QzpayScan	scan;
	TupleTableSlot *slot;
	bool		found;

	if (!qzpay_place_find(place, &root))
		return false;
	InitDirtySnapshot(dirty);
	slot = qzpay_scan_fetch_chain(&scan, &totals, &dirty, &root);
	found = slot != NULL && !TransactionIdIsValid(dirty.xmin) && !TransactionIdIsValid(dirty.xmax) && slot_is_of(slot, total);
	if (found)
	{
		memset(shards, 0, sizeof(*shards));
		read_shard(slot, &shards->shard[0]);
		shards->any = true;
		shards->is_gauge = DatumGetBool(column_of(slot, COLUMN_GAUGE));
		shards->sum = shards->shard[0].quantity;
		shards->events = shards->shard[0].events;
	}
	qzpay_scan_end(&scan);
	return found;
}

/* The first line pointer of the chain that ends with the version at tid. */
static void
find_root(ItemPointer tid, ItemPointer root)
{
	OffsetNumber roots[MaxHeapTuplesPerPage];
	Buffer		buffer = ReadBuffer(totals.heap, ItemPointerGetBlockNumber(tid));

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	heap_get_root_tuples(BufferGetPage(buffer), roots);
	UnlockReleaseBuffer(buffer);
	ItemPointerSet(root, ItemPointerGetBlockNumber(tid), roots[ItemPointerGetOffsetNumber(tid) - 1]);
}

static void
note_place(const QzpayPlaceKey *place, const Shards *shards, ItemPointer tid)
{
	ItemPointerData root;

	for (int i = 1; i < N_SHARDS; i++)
	{
		if (shards->shard[i].exists)
			return;
	}
	if (place->hash == 0)
		return;
	find_root(tid, &root);
	if (OffsetNumberIsValid(ItemPointerGetOffsetNumberNoCheck(&root)))
		qzpay_place_note(place, &root);
}

static Left *
left_for(const QzpayUsageTotal *total)
{
	uint32		hash;

	memcpy(&hash, &total->customer.data[12], sizeof(hash));
	return &left_behind[(hash ^ total->meter.data[15]) % N_LEFT];
}

/* Our own last version, if it is remembered. */
static bool
find_own(const QzpayUsageTotal *total, Shards *shards, int *number)
{
	Left	   *left = left_for(total);
	TupleTableSlot *slot;
	Shard	   *shard;
	bool		found;

	if (left->transaction != transaction_number || left->period_start != total->period_start ||
		memcmp(&left->customer, &total->customer, sizeof(pg_uuid_t)) != 0 || memcmp(&left->meter, &total->meter, sizeof(pg_uuid_t)) != 0)
		return false;
	slot = table_slot_create(totals.heap, NULL);
	found = table_tuple_fetch_row_version(totals.heap, &left->tid, SnapshotSelf, slot);
	if (found)
	{
		memset(shards, 0, sizeof(*shards));
		*number = left->shard;
		shard = &shards->shard[left->shard];
		read_shard(slot, shard);
		shard->tid = left->tid;
		shards->any = true;
		shards->is_gauge = DatumGetBool(column_of(slot, COLUMN_GAUGE));
		shards->events = left->other_events + shard->events;
		shards->sum = left->others == NULL ? shard->quantity : qzpay_number_add(left->others, shard->quantity);
	}
	ExecDropSingleTupleTableSlot(slot);
	return found;
}

static void
remember_own(const QzpayUsageTotal *total, const Shards *shards, int number, ItemPointer tid)
{
	Left	   *left = left_for(total);
	Numeric		others = NULL;
	int64		other_events = 0;

	for (int i = 0; i < N_SHARDS; i++)
	{
		if (i != number)
			other_events += shards->shard[i].events;
		if (i != number && shards->shard[i].quantity != NULL)
			others = others == NULL ? shards->shard[i].quantity : qzpay_number_add(others, shards->shard[i].quantity);
	}
	/* Found by way of an earlier memory, the other shards were not read again. */
	if (left->transaction == transaction_number && left->shard == number && left->period_start == total->period_start &&
		memcmp(&left->customer, &total->customer, sizeof(pg_uuid_t)) == 0 && memcmp(&left->meter, &total->meter, sizeof(pg_uuid_t)) == 0)
	{
		left->tid = *tid;
		return;
	}
	left->transaction = transaction_number;
	left->customer = total->customer;
	left->meter = total->meter;
	left->period_start = total->period_start;
	left->shard = number;
	left->tid = *tid;
	left->others = NULL;
	left->other_events = other_events;
	if (others != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

		left->others = DatumGetNumeric(datumCopy(NumericGetDatum(others), false, -1));
		MemoryContextSwitchTo(old);
	}
}

static void
form_row(const QzpayUsageTotal *total, int number, Numeric quantity, int64 events, Numeric amount, Datum *values, bool *nulls)
{
	int			natts = RelationGetDescr(totals.heap)->natts;

	memset(values, 0, natts * sizeof(Datum));
	memset(nulls, true, natts * sizeof(bool));
	for (int i = 0; i < N_COLUMNS; i++)
		nulls[columns[i] - 1] = false;
	values[columns[COLUMN_TENANT] - 1] = UUIDPGetDatum(&total->tenant);
	values[columns[COLUMN_CUSTOMER] - 1] = UUIDPGetDatum(&total->customer);
	values[columns[COLUMN_METER] - 1] = UUIDPGetDatum(&total->meter);
	values[columns[COLUMN_PERIOD_START] - 1] = TimestampTzGetDatum(total->period_start);
	values[columns[COLUMN_SHARD] - 1] = Int16GetDatum(number);
	values[columns[COLUMN_QUANTITY] - 1] = NumericGetDatum(quantity);
	values[columns[COLUMN_EVENTS] - 1] = Int64GetDatum(events);
	values[columns[COLUMN_AMOUNT] - 1] = NumericGetDatum(amount);
	nulls[columns[COLUMN_AMOUNT] - 1] = amount == NULL;
	values[columns[COLUMN_GAUGE] - 1] = BoolGetDatum(total->is_gauge);
}

/* Whether the newest committed state has this shard. */
static bool
shard_is_committed(const QzpayUsageTotal *total, int number)
{
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyData keys[5];
	QzpayScan	scan;
	bool		found;

	keys_of(total, keys);
	ScanKeyInit(&keys[4], 5, BTEqualStrategyNumber, F_INT2EQ, Int16GetDatum(number));
	qzpay_scan_begin(&scan, &totals, latest, keys, 5);
	found = qzpay_scan_next(&scan) != NULL;
	qzpay_scan_end(&scan);
	UnregisterSnapshot(latest);
	return found;
}

/* Makes a shard that isn't there; false when somebody else has been quicker. */
static bool
insert_shard(const QzpayUsageTotal *total, int number, Numeric quantity, ItemPointer tid)
{
	struct
	{
		pg_uuid_t	customer;
		pg_uuid_t	meter;
		TimestampTz period_start;
		int64		class;		/* apart from the keys of events */
	}			key = {total->customer, total->meter, total->period_start, 1};
	QzpayKeyLock lock;
	Shards		again;
	bool		is_free;

	qzpay_key_lock(&lock, &key, sizeof(key));
	find_shards(total, &again);
	is_free = !again.shard[number].exists && !shard_is_committed(total, number);
	if (is_free)
	{
		Datum		values[MaxHeapAttributeNumber];
		bool		nulls[MaxHeapAttributeNumber];

		form_row(total, number, quantity, total->adding, total->amount, values, nulls);
		qzpay_row_insert(&totals, values, nulls, tid);
		if (number > 0)
		{
			QzpayPlaceKey place;

			place_key(&place, total);
			qzpay_place_outdate(&place);
		}
	}
	qzpay_key_unlock(&lock);
	return is_free;
}

/* The shard to add to: -1 when the caller has to wait for *wait_for first. */
static int
choose_shard(const Shards *shards, bool exclusive, uint32 skip, TransactionId *wait_for)
{
	*wait_for = shards->shard[0].busy;
	if (exclusive)
		/* A version that is being replaced is waited for by the update itself. */
		return shards->shard[0].exists && shards->shard[0].quantity == NULL ? -1 : 0;
	for (int i = 0; i < N_SHARDS; i++)
	{
		if (!(skip & (1 << i)) && !TransactionIdIsValid(shards->shard[i].busy))
			return i;
	}
	return -1;
}

/* The amount of a shard with these events more; NULL as long as it is the quantity. */
static Numeric
added_amount(const Shard *shard, Numeric difference, Numeric amount)
{
	if (shard->amount == NULL && amount == NULL)
		return NULL;
	return qzpay_number_add(shard->amount == NULL ? shard->quantity : shard->amount, amount == NULL ? difference : amount);
}

/* Writes the new quantity into the chosen shard; false when it has to be looked for again. */
static bool
write_shard(const QzpayUsageTotal *total, Shards *shards, int number, Numeric difference, uint32 *skip, ItemPointer written)
{
	Shard	   *shard = &shards->shard[number];
	ItemPointerData tid = shard->tid;
	Datum		values[MaxHeapAttributeNumber];
	bool		nulls[MaxHeapAttributeNumber];
	TM_Result	result;

	if (!shard->exists)
	{
		if (!insert_shard(total, number, difference, &tid))
			return false;
	}
	else
	{
		form_row(total, number, qzpay_number_add(shard->quantity, difference), shard->events + total->adding,
				 added_amount(shard, difference, total->amount), values, nulls);
		result = qzpay_row_update(&totals, &tid, values, nulls, total->exclusive);
		/* Locked by hand, or changed since it was read. */
		if (result == TM_BeingModified)
			*skip |= 1 << number;
		if (result == TM_Invisible || result == TM_SelfModified)
			elog(ERROR, "total of usage was changed twice in one command");
		if (result != TM_Ok)
			return false;
	}
	remember_own(total, shards, number, &tid);
	*written = tid;
	return true;
}

/*
 * qzpay_usage_total_claim
 *		Lets nobody else decide about the total until this transaction ends, after waiting for whoever has begun to.
 *
 * Where there is no total yet that takes a lock, to be given back when it is made: then this is true.
 */
bool
qzpay_usage_total_claim(const QzpayUsageTotal *total, QzpayKeyLock *lock)
{
	struct
	{
		pg_uuid_t	customer;
		pg_uuid_t	meter;
		TimestampTz period_start;
		int64		class;		/* apart from the keys of events and of shards that are being made */
	}			key = {total->customer, total->meter, total->period_start, 2};
	bool		is_locked = false;
	Shards		shards;
	int			number;

	open_totals();
	if (find_own(total, &shards, &number) && number == 0)
		return false;
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		find_shards(total, &shards);
		if (TransactionIdIsValid(shards.shard[0].busy))
			XactLockTableWait(shards.shard[0].busy, NULL, NULL, XLTW_None);
		else if (shards.shard[0].exists)
		{
			if (qzpay_row_lock(&totals, &shards.shard[0].tid, LockTupleNoKeyExclusive) == TM_Ok)
				return is_locked;
		}
		else if (is_locked)
			return true;
		else
		{
			/* It is to be made: whoever else comes waits here, and finds it. */
			qzpay_key_lock(lock, &key, sizeof(key));
			is_locked = true;
		}
	}
}

/*
 * qzpay_usage_total_add
 *		Adds what the decision says to a total, which may be asked several times.
 *
 * Waits for other transactions only where total->exclusive says so, or when all shards are busy.  The decision sees the exact total in the
 * first case, in the second one that leaves out what others have not committed.
 */
QzpayTotalResult
qzpay_usage_total_add(QzpayUsageTotal *total, QzpayUsageDecision decide, void *arg)
{
	uint32		skip = 0;

	/* First, since this takes in messages that may make places forgotten. */
	qzpay_relation_open_heap(&totals);
	number_columns();
	for (;;)
	{
		Shards		shards;
		int			number;
		TransactionId wait_for;
		Numeric		difference;
		ItemPointerData written;
		QzpayPlaceKey place;
		bool		is_known = true;

		CHECK_FOR_INTERRUPTS();
		place_key(&place, total);
		if (find_own(total, &shards, &number) && !(total->exclusive && number != 0))
			;
		else if (!total->exclusive && skip == 0 && find_placed(total, &place, &shards))
			number = 0;
		else
		{
			is_known = false;
			open_totals();
			find_shards(total, &shards);
			number = choose_shard(&shards, total->exclusive, skip, &wait_for);
			if (number < 0)
			{
				if (TransactionIdIsValid(wait_for))
					XactLockTableWait(wait_for, NULL, NULL, XLTW_None);
				skip = 0;
				continue;
			}
		}
		if (shards.any && shards.is_gauge != total->is_gauge)
			return QZPAY_TOTAL_MIXED;
		total->events = shards.events;
		total->before = shards.sum == NULL ? qzpay_number_zero() : shards.sum;
		if (!decide(total, &difference, arg))
			return QZPAY_TOTAL_LEFT;
		if (write_shard(total, &shards, number, difference, &skip, &written))
		{
			if (number == 0 && !is_known)
				note_place(&place, &shards, &written);
			return QZPAY_TOTAL_ADDED;
		}
	}
}

/*
 * qzpay_usage_totals_prefetch
 *		Has the processor fetch totals that will be added to next.
 */
void
qzpay_usage_totals_prefetch(const QzpayUsageTotal *const *sought, int n)
{
	QzpayPlaceKey *places = palloc(n * sizeof(QzpayPlaceKey));
	ItemPointerData *tids = palloc(n * sizeof(ItemPointerData));
	int			n_tids = 0;

	qzpay_relation_open_heap(&totals);
	for (int i = 0; i < n; i++)
	{
		place_key(&places[i], sought[i]);
		qzpay_place_prefetch(&places[i]);
	}
	for (int i = 0; i < n; i++)
	{
		if (qzpay_place_find(&places[i], &tids[n_tids]))
			qzpay_prefetch_page(&totals, &tids[n_tids++]);
	}
	for (int i = 0; i < n_tids; i++)
		qzpay_prefetch_row(&totals, &tids[i]);
}

/* Sum of the shards that the snapshot sees, and how many events made it. */
Numeric
qzpay_usage_total_read(const QzpayUsageTotal *total, Snapshot snapshot, int64 *events)
{
	Numeric		sum = qzpay_number_zero();
	ScanKeyData keys[4];
	QzpayScan	scan;
	TupleTableSlot *slot;

	open_totals();
	keys_of(total, keys);
	qzpay_scan_begin(&scan, &totals, snapshot, keys, 4);
	*events = 0;
	while ((slot = qzpay_scan_next(&scan)) != NULL)
	{
		sum = qzpay_number_add(sum, DatumGetNumeric(column_of(slot, COLUMN_QUANTITY)));
		*events += DatumGetInt64(column_of(slot, COLUMN_EVENTS));
	}
	qzpay_scan_end(&scan);
	return sum;
}

/* Raises 40001 where a snapshot that lasts for the transaction misses what others have added to the total since it was taken. */
static void
require_seen(const QzpayUsageTotal *total)
{
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());
	int64		there;
	int64		seen;

	/* By the number of events: one of quantity 0 may have an amount. */
	(void) qzpay_usage_total_read(total, latest, &there);
	(void) qzpay_usage_total_read(total, GetActiveSnapshot(), &seen);
	UnregisterSnapshot(latest);
	if (there != seen)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("usage was recorded after this transaction's snapshot, and would not be billed"),
				 errhint("Repeat the transaction.")));
}

/*
 * qzpay_usage_totals_await
 *		Waits until no transaction but this one has written to the total without having ended.
 *
 * For the billing run, after it has made the period known as closed: who writes later sees that and gives up.  Raises 40001 where the
 * transaction's snapshot is too old to see all of it.
 */
void
qzpay_usage_totals_await(const pg_uuid_t *tenant, const pg_uuid_t *customer, const pg_uuid_t *meter, TimestampTz period_start)
{
	QzpayUsageTotal total = {.tenant = *tenant,.customer = *customer,.meter = *meter,.period_start = period_start};
	bool		waited;

	open_totals();
	do
	{
		Shards		shards;

		waited = false;
		find_shards(&total, &shards);
		for (int i = 0; i < N_SHARDS; i++)
		{
			if (TransactionIdIsValid(shards.shard[i].busy))
			{
				XactLockTableWait(shards.shard[i].busy, NULL, NULL, XLTW_None);
				waited = true;
			}
		}
	} while (waited);
	if (IsolationUsesXactSnapshot())
		require_seen(&total);
}

static void
on_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		transaction_number++;
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId sub, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		transaction_number++;
}

/* Called once, by _PG_init. */
void
qzpay_usage_totals_init(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}
