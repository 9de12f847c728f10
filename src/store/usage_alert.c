/*
 * usage_alert.c
 *		Usage: which thresholds of the included quantity a total has reached.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "store/call.h"
#include "store/number.h"
#include "store/relation.h"
#include "store/usage_booking.h"

/* Code of the row of usage_alerts that says that overage has begun. */
#define OVERAGE_BEGAN 101

static QzpayRelation alerts = {.table = "usage_alerts",.index = "usage_alerts_pkey"};

static QzpayCall raise_alert = {
	.sql = "SELECT qzpay._raise_usage_alert($1, $2, $3, $4, $5, $6, $7, $8, $9)",
	.nargs = 9,
	.types = {UUIDOID, UUIDOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, BOOLOID, NUMERICOID, NUMERICOID}
};

/* Which of these thresholds have been raised, as bits. */
static uint32
raised_alerts(const QzpayUsageTotal *total, const int *thresholds, int n)
{
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyData keys[4];
	QzpayScan	scan;
	TupleTableSlot *slot;
	uint32		raised = 0;

	qzpay_scan_key_uuid(&keys[0], 1, &total->tenant);
	qzpay_scan_key_uuid(&keys[1], 2, &total->customer);
	qzpay_scan_key_uuid(&keys[2], 3, &total->meter);
	ScanKeyInit(&keys[3], 4, BTEqualStrategyNumber, F_TIMESTAMPTZ_EQ, TimestampTzGetDatum(total->period_start));
	qzpay_scan_begin(&scan, &alerts, latest, keys, 4);
	while ((slot = qzpay_scan_next(&scan)) != NULL)
	{
		bool		isnull;
		int			threshold = DatumGetInt32(slot_getattr(slot, qzpay_relation_column(&alerts, "threshold"), &isnull));

		for (int i = 0; i < n; i++)
		{
			if (thresholds[i] == threshold)
				raised |= 1 << i;
		}
	}
	qzpay_scan_end(&scan);
	UnregisterSnapshot(latest);
	return raised;
}

static void
raise_one_alert(const QzpayBooking *booking, int threshold)
{
	const QzpayUsageTotal *total = &booking->total;
	Datum		values[9];
	Datum		nothing;
	bool		isnull;

	values[0] = UUIDPGetDatum(&total->tenant);
	values[1] = UUIDPGetDatum(&total->customer);
	values[2] = UUIDPGetDatum(&total->meter);
	values[3] = TimestampTzGetDatum(total->period_start);
	values[4] = TimestampTzGetDatum(booking->period_end);
	values[5] = Int32GetDatum(threshold);
	values[6] = BoolGetDatum(booking->allowance.type == QZPAY_LIMIT_HARD);
	values[7] = NumericGetDatum(total->after);
	values[8] = NumericGetDatum(booking->allowance.value);
	qzpay_call(&raise_alert, &total->tenant, values, NULL, false, 1, &nothing, &isnull);
	CommandCounterIncrement();
}

/*
 * qzpay_booking_alert
 *		Says which thresholds of the included quantity have been reached, each once per period.
 *
 * Compares the total with the thresholds and not the step with them: of two transactions that cross one together neither sees it, and the
 * next event makes up for it.
 */
void
qzpay_booking_alert(const QzpayBooking *booking)
{
	const Numeric included = booking->allowance.value;
	const int  *percents;
	int			n_percents = qzpay_catalog_alerts(booking->catalog, &percents);
	int			reached[QZPAY_MAX_ALERTS + 1];
	int			n_reached = 0;
	uint32		raised;
	Numeric		hundredfold;
	int64		whole_total;
	int64		whole_included;

	/* Nearly always nothing is near. */
	if (!booking->allowance.unlimited && n_percents > 0 && qzpay_number_is_whole(booking->total.after, &whole_total) &&
		qzpay_number_is_whole(included, &whole_included) && whole_total <= whole_included && whole_total * 100 < whole_included * percents[0])
		return;
	if (booking->allowance.unlimited || qzpay_number_sign(booking->total.after) <= 0)
		return;
	hundredfold = qzpay_number_multiply(booking->total.after, int64_to_numeric(100));
	for (int i = 0; i < n_percents && qzpay_number_sign(included) > 0; i++)
	{
		if (qzpay_number_compare(hundredfold, qzpay_number_multiply(included, int64_to_numeric(percents[i]))) < 0)
			break;
		reached[n_reached++] = percents[i];
	}
	if (booking->allowance.type != QZPAY_LIMIT_HARD && qzpay_number_compare(booking->total.after, included) > 0)
		reached[n_reached++] = OVERAGE_BEGAN;
	if (n_reached == 0)
		return;
	raised = raised_alerts(&booking->total, reached, n_reached);
	for (int i = 0; i < n_reached; i++)
	{
		if (!(raised & (1 << i)))
			raise_one_alert(booking, reached[i]);
	}
}
