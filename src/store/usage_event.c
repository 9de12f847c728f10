/*
 * usage_event.c
 *		Rows of usage_events: found by the hash of their key, inserted into the partition of their month.
 *
 * A partition's index makes a key unique within its month of recording; the other months in which the key may have been recorded are looked
 * at as well.  Rows are never updated, so a dirty index scan misses none.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "store/call.h"
#include "store/clock.h"
#include "store/context.h"
#include "store/row.h"
#include "store/usage.h"

enum
{
	COLUMN_TENANT,
	COLUMN_CUSTOMER,
	COLUMN_ID,
	COLUMN_METER,
	COLUMN_PERIOD_START,
	COLUMN_OCCURRED_AT,
	COLUMN_RECORDED_AT,
	COLUMN_QUANTITY,
	COLUMN_READING,
	COLUMN_AMOUNT,
	COLUMN_KEY,
	COLUMN_PROPERTIES,
	N_COLUMNS
};

static const char *const column_names[N_COLUMNS] = {
	"tenant_id", "customer_id", "id", "meter_id", "period_start", "occurred_at", "recorded_at", "quantity", "reading", "amount", "idempotency_key",
	"properties"
};

/* One month.  Kept for the session, since it may be open; current tells whether the table is still a partition. */
typedef struct Partition
{
	int			month;			/* 12 × year + month - 1, of UTC */
	bool		current;
	QzpayRelation relation;
	Oid			numbered;		/* table that the column numbers are of */
	AttrNumber	columns[N_COLUMNS];
	struct Partition *older;
} Partition;

static Partition *partitions = NULL;	/* newest first */
static bool partitions_known = false;
static Oid	parent_oid = InvalidOid;

static QzpayCall make_partition = {
	.sql = "SELECT qzpay._make_usage_partition($1)",
	.nargs = 1,
	.types = {DATEOID}
};

/* Which month of UTC an instant is in; most are in the one that was asked for last. */
static int
month_of(TimestampTz at)
{
	static int	last = 0;
	static TimestampTz from = 0;
	static TimestampTz until = 0;	/* exclusive */
	struct pg_tm tm;
	fsec_t		fsec;
	int			month;

	if (at >= from && at < until)
		return last;
	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	month = tm.tm_year * 12 + tm.tm_mon - 1;
	last = month;
	from = (TimestampTz) (date2j(month / 12, month % 12 + 1, 1) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
	until = (TimestampTz) (date2j((month + 1) / 12, (month + 1) % 12 + 1, 1) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
	return month;
}

/* Notes a month's partition, in its place in the list. */
static void
note_partition(int month, const char *name)
{
	Partition **link = &partitions;
	Partition  *partition;

	while (*link != NULL && (*link)->month > month)
		link = &(*link)->older;
	if (*link == NULL || (*link)->month != month)
	{
		partition = MemoryContextAllocZero(TopMemoryContext, sizeof(Partition));
		partition->month = month;
		partition->relation.table = MemoryContextStrdup(TopMemoryContext, name);
		partition->relation.index = MemoryContextStrdup(TopMemoryContext, psprintf("%s_key", name));
		partition->older = *link;
		*link = partition;
	}
	(*link)->current = true;
}

/* Reads which months there are.  Attaching and detaching one sends a message about the parent. */
static void
know_partitions(void)
{
	Oid			namespace_oid;
	List	   *children;
	ListCell   *cell;

	if (partitions_known)
		return;
	for (Partition *partition = partitions; partition != NULL; partition = partition->older)
		partition->current = false;
	namespace_oid = get_namespace_oid("qzpay", false);
	parent_oid = get_relname_relid("usage_events", namespace_oid);
	/* From here on a message about the parent counts. */
	partitions_known = true;
	if (!OidIsValid(parent_oid))
		return;
	children = find_inheritance_children(parent_oid, NoLock);
	foreach(cell, children)
	{
		char	   *name = get_rel_name(lfirst_oid(cell));
		int			year;
		int			month;

		if (name != NULL && sscanf(name, "usage_events_%4d%2d", &year, &month) == 2 && get_rel_namespace(lfirst_oid(cell)) == namespace_oid)
			note_partition(year * 12 + month - 1, name);
	}
	list_free(children);
}

static Partition *
find_partition(int month)
{
	know_partitions();
	for (Partition *partition = partitions; partition != NULL; partition = partition->older)
	{
		if (partition->current && partition->month == month)
			return partition;
	}
	return NULL;
}

static void
open_partition(Partition *partition)
{
	qzpay_relation_open(&partition->relation);
	if (partition->numbered == RelationGetRelid(partition->relation.heap))
		return;
	for (int i = 0; i < N_COLUMNS; i++)
		partition->columns[i] = qzpay_relation_column(&partition->relation, column_names[i]);
	partition->numbered = RelationGetRelid(partition->relation.heap);
}

/*
 * qzpay_usage_event_prepare
 *		Makes the partition of this instant's month, if nobody has; a job makes them ahead.
 */
void
qzpay_usage_event_prepare(TimestampTz recorded_at)
{
	int			month = month_of(recorded_at);
	Datum		first_day;
	Datum		nothing;
	bool		isnull;
	pg_uuid_t	no_tenant = {{0}};

	if (find_partition(month) != NULL)
		return;
	first_day = DateADTGetDatum(date2j(month / 12, month % 12 + 1, 1) - POSTGRES_EPOCH_JDATE);
	qzpay_call(&make_partition, &no_tenant, &first_day, NULL, false, 1, &nothing, &isnull);
	CommandCounterIncrement();
	partitions_known = false;
	if (find_partition(month) == NULL)
		elog(ERROR, "could not make the partition of usage_events for %d-%02d", month / 12, month % 12 + 1);
}

static Datum
column_of(Partition *partition, TupleTableSlot *slot, int column, bool *isnull)
{
	return slot_getattr(slot, partition->columns[column], isnull);
}

/* Copies what a stored event says. */
static void
read_event(Partition *partition, TupleTableSlot *slot, QzpayUsageEvent *event)
{
	bool		isnull;
	Datum		value;

	memset(event, 0, sizeof(*event));
	event->tenant = *DatumGetUUIDP(column_of(partition, slot, COLUMN_TENANT, &isnull));
	event->customer = *DatumGetUUIDP(column_of(partition, slot, COLUMN_CUSTOMER, &isnull));
	event->id = *DatumGetUUIDP(column_of(partition, slot, COLUMN_ID, &isnull));
	event->meter = *DatumGetUUIDP(column_of(partition, slot, COLUMN_METER, &isnull));
	event->period_start = DatumGetTimestampTz(column_of(partition, slot, COLUMN_PERIOD_START, &isnull));
	event->occurred_at = DatumGetTimestampTz(column_of(partition, slot, COLUMN_OCCURRED_AT, &isnull));
	event->recorded_at = DatumGetTimestampTz(column_of(partition, slot, COLUMN_RECORDED_AT, &isnull));
	event->quantity = DatumGetNumericCopy(column_of(partition, slot, COLUMN_QUANTITY, &isnull));
	value = column_of(partition, slot, COLUMN_READING, &isnull);
	event->reading = isnull ? NULL : DatumGetNumericCopy(value);
	value = column_of(partition, slot, COLUMN_AMOUNT, &isnull);
	event->amount = isnull ? NULL : DatumGetNumericCopy(value);
	value = column_of(partition, slot, COLUMN_KEY, &isnull);
	event->key = isnull ? NULL : DatumGetTextPCopy(value);
	value = column_of(partition, slot, COLUMN_PROPERTIES, &isnull);
	event->properties = isnull ? NULL : DatumGetJsonbPCopy(value);
}

/*
 * Whether the (sub)transaction that inserted the row has taken it back: then it is gone however that ends.  While it runs, a dirty snapshot
 * doesn't tell.
 */
static bool
is_taken_back(TupleTableSlot *slot)
{
	HeapTupleHeader header;

	if (!TTS_IS_BUFFERTUPLE(slot))
		return false;
	header = ((BufferHeapTupleTableSlot *) slot)->base.tuple->t_data;
	return !(header->t_infomask & (HEAP_XMAX_INVALID | HEAP_XMAX_IS_MULTI)) && !HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask) &&
		TransactionIdEquals(HeapTupleHeaderGetRawXmax(header), HeapTupleHeaderGetRawXmin(header));
}

/* Looks into one month, past the sought event's own row. */
static bool
find_in(Partition *partition, const QzpayUsageEvent *sought, QzpayUsageEvent *found, TransactionId *in_progress)
{
	SnapshotData dirty;
	ScanKeyData keys[3];
	QzpayScan	scan;
	TupleTableSlot *slot;
	bool		is_found = false;

	open_partition(partition);
	InitDirtySnapshot(dirty);
	qzpay_scan_key_uuid(&keys[0], 1, &sought->tenant);
	qzpay_scan_key_uuid(&keys[1], 2, &sought->customer);
	qzpay_scan_key_uuid(&keys[2], 3, &sought->id);
	qzpay_scan_begin(&scan, &partition->relation, &dirty, keys, 3);
	while ((slot = qzpay_scan_next(&scan)) != NULL)
	{
		if (ItemPointerEquals(&slot->tts_tid, unconstify(ItemPointerData *, &sought->row)) || is_taken_back(slot))
			continue;
		/* Inserted by a transaction that is still running. */
		*in_progress = TransactionIdIsValid(dirty.xmin) ? dirty.xmin : dirty.xmax;
		read_event(partition, slot, found);
		is_found = true;
		/* One that is settled, or our own, is the answer, whatever others are trying. */
		if (!TransactionIdIsValid(*in_progress))
			break;
	}
	qzpay_scan_end(&scan);
	return is_found;
}

/*
 * qzpay_usage_event_find
 *		Another event of this tenant, customer and id, if there is one in any month since keys_since, or in any but the month of its recording.
 *
 * *in_progress is the transaction of somebody else that has not decided yet whether it is there.
 */
bool
qzpay_usage_event_find(const QzpayUsageEvent *sought, bool in_own_month, QzpayUsageEvent *found, TransactionId *in_progress)
{
	int			first_month = TIMESTAMP_IS_NOBEGIN(sought->keys_since) ? 0 : month_of(sought->keys_since);
	int			own_month = month_of(sought->recorded_at);
	int			last_month = month_of(qzpay_clock_real());

	know_partitions();
	for (Partition *partition = partitions; partition != NULL; partition = partition->older)
	{
		/* A month to come is empty; one that has begun since this transaction did may not be. */
		if (partition->current && partition->month <= Max(own_month, last_month) && partition->month >= first_month &&
			(in_own_month || partition->month != own_month) &&
			find_in(partition, sought, found, in_progress))
			return true;
	}
	return false;
}

/* Forms the event's row. */
static void
form_event(const Partition *partition, const QzpayUsageEvent *event, Datum *values, bool *nulls)
{
	int			natts = RelationGetDescr(partition->relation.heap)->natts;
	Datum		column_values[N_COLUMNS];

	memset(nulls, true, natts * sizeof(bool));
	memset(values, 0, natts * sizeof(Datum));
	column_values[COLUMN_TENANT] = UUIDPGetDatum(&event->tenant);
	column_values[COLUMN_CUSTOMER] = UUIDPGetDatum(&event->customer);
	column_values[COLUMN_ID] = UUIDPGetDatum(&event->id);
	column_values[COLUMN_METER] = UUIDPGetDatum(&event->meter);
	column_values[COLUMN_PERIOD_START] = TimestampTzGetDatum(event->period_start);
	column_values[COLUMN_OCCURRED_AT] = TimestampTzGetDatum(event->occurred_at);
	column_values[COLUMN_RECORDED_AT] = TimestampTzGetDatum(event->recorded_at);
	column_values[COLUMN_QUANTITY] = NumericGetDatum(event->quantity);
	column_values[COLUMN_READING] = NumericGetDatum(event->reading);
	column_values[COLUMN_AMOUNT] = NumericGetDatum(event->amount);
	column_values[COLUMN_KEY] = PointerGetDatum(event->key);
	column_values[COLUMN_PROPERTIES] = JsonbPGetDatum(event->properties);
	for (int i = 0; i < N_COLUMNS; i++)
	{
		AttrNumber	column = partition->columns[i] - 1;

		values[column] = column_values[i];
		nulls[column] = i >= COLUMN_READING && DatumGetPointer(column_values[i]) == NULL;
	}
}

/*
 * qzpay_usage_event_insert
 *		Inserts the event into the month of its recording; event->row is where.
 *
 * Tentatively, for an id that may be there: false when it may be, and the caller looks, under the id's lock, and takes the row back if it is.
 */
bool
qzpay_usage_event_insert(QzpayUsageEvent *event, bool tentative)
{
	Partition  *partition = find_partition(month_of(event->recorded_at));
	Datum		values[MaxHeapAttributeNumber];
	bool		nulls[MaxHeapAttributeNumber];

	open_partition(partition);
	form_event(partition, event, values, nulls);
	if (tentative)
		return qzpay_row_try_insert(&partition->relation, values, nulls, &event->row);
	qzpay_row_insert(&partition->relation, values, nulls, &event->row);
	return true;
}

/*
 * qzpay_usage_events_begin
 *		Makes room for so many events of one transaction, which all lie in one month.
 */
void
qzpay_usage_events_begin(QzpayRows *rows, TimestampTz recorded_at, int room)
{
	Partition  *partition = find_partition(month_of(recorded_at));

	open_partition(partition);
	qzpay_rows_begin(rows, &partition->relation, room);
}

/* Adds an event to those that will be inserted together. */
void
qzpay_usage_events_add(QzpayRows *rows, const QzpayUsageEvent *event)
{
	TupleTableSlot *slot = qzpay_rows_add(rows);

	form_event(find_partition(month_of(event->recorded_at)), event, slot->tts_values, slot->tts_isnull);
}

/* Takes back what this transaction has inserted in an earlier command. */
void
qzpay_usage_event_delete(QzpayUsageEvent *event)
{
	qzpay_row_delete(&find_partition(month_of(event->recorded_at))->relation, &event->row);
	ItemPointerSetInvalid(&event->row);
}

static void
on_relcache(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == parent_oid || !OidIsValid(parent_oid))
		partitions_known = false;
}

/* Called once, by _PG_init. */
void
qzpay_usage_events_init(void)
{
	CacheRegisterRelcacheCallback(on_relcache, (Datum) 0);
}
