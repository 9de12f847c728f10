/*
 * usage_value.c
 *		The distinct values that a meter which aggregates by unique has seen in a usage period.
 *
 * Read and written under the lock of the total they count into, so that no value counts twice.
 */
#include "postgres.h"

#include "utils/fmgroids.h"
#include "utils/numeric.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "store/relation.h"
#include "store/row.h"
#include "store/usage.h"
#include "store/uuid.h"

enum
{
	COLUMN_TENANT,
	COLUMN_CUSTOMER,
	COLUMN_METER,
	COLUMN_PERIOD_START,
	COLUMN_VALUE_ID,
	N_COLUMNS
};

static const char *const column_names[N_COLUMNS] = {"tenant_id", "customer_id", "meter_id", "period_start", "value_id"};

static QzpayRelation seen = {.table = "usage_values",.index = "usage_values_pkey"};

/*
 * qzpay_usage_value_id
 *		A hash of the value that the meter counts; false when the report has none.
 *
 * Values are the same when JSON says so: 1 and 1.0 are, 1 and "1" are not.
 */
bool
qzpay_usage_value_id(const QzpayMeter *meter, Jsonb *properties, pg_uuid_t *id)
{
	JsonbValue	room;
	JsonbValue *value;
	char	   *text;

	if (properties == NULL || !JB_ROOT_IS_OBJECT(properties))
		return false;
	value = getKeyJsonValueFromContainer(&properties->root, meter->value_property, strlen(meter->value_property), &room);
	if (value == NULL)
		return false;
	switch (value->type)
	{
		case jbvString:
			text = psprintf("s%.*s", value->val.string.len, value->val.string.val);
			break;
		case jbvNumeric:
			text = psprintf("n%s", numeric_normalize(value->val.numeric));
			break;
		case jbvBool:
			text = pstrdup(value->val.boolean ? "bt" : "bf");
			break;
		default:
			return false;
	}
	qzpay_uuid_derive(id, &meter->id, text, strlen(text));
	return true;
}

/* Whether the period has it: by what is committed, or by this transaction. */
bool
qzpay_usage_value_known(const QzpayUsageTotal *total, const pg_uuid_t *id)
{
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());
	ScanKeyData keys[N_COLUMNS];
	QzpayScan	scan;
	bool		known;

	qzpay_scan_key_uuid(&keys[0], 1, &total->tenant);
	qzpay_scan_key_uuid(&keys[1], 2, &total->customer);
	qzpay_scan_key_uuid(&keys[2], 3, &total->meter);
	ScanKeyInit(&keys[3], 4, BTEqualStrategyNumber, F_TIMESTAMPTZ_EQ, TimestampTzGetDatum(total->period_start));
	qzpay_scan_key_uuid(&keys[4], 5, id);
	qzpay_scan_begin(&scan, &seen, latest, keys, N_COLUMNS);
	known = qzpay_scan_next(&scan) != NULL;
	qzpay_scan_end(&scan);
	UnregisterSnapshot(latest);
	return known;
}

void
qzpay_usage_value_add(const QzpayUsageTotal *total, const pg_uuid_t *id)
{
	Datum		values[MaxHeapAttributeNumber] = {0};
	bool		nulls[MaxHeapAttributeNumber];
	Datum		column_values[N_COLUMNS];
	ItemPointerData tid;

	qzpay_relation_open(&seen);
	memset(nulls, true, sizeof(nulls));
	column_values[COLUMN_TENANT] = UUIDPGetDatum(&total->tenant);
	column_values[COLUMN_CUSTOMER] = UUIDPGetDatum(&total->customer);
	column_values[COLUMN_METER] = UUIDPGetDatum(&total->meter);
	column_values[COLUMN_PERIOD_START] = TimestampTzGetDatum(total->period_start);
	column_values[COLUMN_VALUE_ID] = UUIDPGetDatum(id);
	for (int i = 0; i < N_COLUMNS; i++)
	{
		AttrNumber	column = qzpay_relation_column(&seen, column_names[i]);

		values[column - 1] = column_values[i];
		nulls[column - 1] = false;
	}
	qzpay_row_insert(&seen, values, nulls, &tid);
}
