/*
 * clock.c
 *		The only places that tell the time.
 *
 * Billing asks qzpay_clock_now(): the transaction's start, so that one transaction lives in one instant, or the time set over it by a clock
 * that is being advanced or by a dry run.  That override is of the transaction: a subtransaction that aborts takes it back, and the end of
 * the transaction ends it.  Leases, heartbeats and the like ask for real time, rows are stamped with the transaction's.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "store/clock.h"
#include "store/relation.h"

typedef struct Override
{
	bool		is_set;
	TimestampTz at;
} Override;

/* What a change replaced. */
typedef struct Saved
{
	struct Saved *older;
	int			nest_level;
	Override	value;
} Saved;

static Override override;
static Saved *saved = NULL;		/* newest first, in TopTransactionContext */

static QzpayRelation test_clocks = {.table = "test_clocks",.index = "test_clocks_pkey"};

/* Billing's now. */
TimestampTz
qzpay_clock_now(void)
{
	return override.is_set ? override.at : qzpay_clock_recorded();
}

/* The now of whoever lives on this test clock, or on none. */
TimestampTz
qzpay_clock_of(bool has_clock, const pg_uuid_t *clock)
{
	ScanKeyData key;
	QzpayScan	scan;
	TupleTableSlot *slot;
	TimestampTz now_at;
	bool		isnull;

	if (!has_clock)
		return qzpay_clock_now();
	qzpay_scan_key_uuid(&key, 1, clock);
	qzpay_scan_begin(&scan, &test_clocks, qzpay_scan_snapshot(), &key, 1);
	slot = qzpay_scan_next(&scan);
	if (slot == NULL)
		ereport(ERROR, (errcode(ERRCODE_QZPAY_NOT_FOUND), errmsg("test clock not found")));
	now_at = DatumGetTimestampTz(slot_getattr(slot, qzpay_relation_column(&test_clocks, "now_at"), &isnull));
	qzpay_scan_end(&scan);
	return now_at;
}

/* When what this transaction writes was recorded. */
TimestampTz
qzpay_clock_recorded(void)
{
	return GetCurrentTransactionStartTimestamp();	/* wall clock: recorded_at, and now() where nothing overrides it */
}

/* For leases, heartbeats, token expiry and time-ordered ids. */
TimestampTz
qzpay_clock_real(void)
{
	return GetCurrentTimestamp();	/* wall clock: what real time is for */
}

/*
 * qzpay_clock_set
 *		Sets or ends the override; returns whether there was one, and it in *previous.
 *
 * Raises 22008 for an infinite time.
 */
bool
qzpay_clock_set(bool is_set, TimestampTz at, TimestampTz *previous)
{
	int			nest_level = GetCurrentTransactionNestLevel();
	bool		was_set = override.is_set;

	if (is_set && TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a clock must show a finite time")));
	if (saved == NULL || saved->nest_level < nest_level)
	{
		Saved	   *entry = MemoryContextAlloc(TopTransactionContext, sizeof(Saved));

		entry->older = saved;
		entry->nest_level = nest_level;
		entry->value = override;
		saved = entry;
	}
	*previous = override.at;
	override.is_set = is_set;
	override.at = at;
	return was_set;
}

static void
on_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			override.is_set = false;
			saved = NULL;
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
			override = saved->value;
			saved = saved->older;
		}
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB && saved != NULL && saved->nest_level == nest_level)
	{
		saved->nest_level = nest_level - 1;
		if (saved->older != NULL && saved->older->nest_level == saved->nest_level)
			saved = saved->older;
	}
}

/* Called once, by _PG_init. */
void
qzpay_clock_init(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
}
