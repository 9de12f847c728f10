/*
 * usage.c
 *		SQL-callable functions: recording usage, and what applies to it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/uuid.h"

#include "compat.h"
#include "errors.h"
#include "qzpay.h"
#include "store/number.h"
#include "store/pan.h"
#include "store/relation.h"
#include "store/tenant_of.h"
#include "store/usage.h"

QZPAY_FUNCTION(qzpay_await_usage);
QZPAY_FUNCTION(qzpay_record_usage);
QZPAY_FUNCTION(qzpay_record_usage_batch);
QZPAY_FUNCTION(qzpay_record_usage_ref);
QZPAY_FUNCTION(qzpay_usage_rules);

/* Arguments of record_usage() */
enum
{
	ARGUMENT_CUSTOMER,
	ARGUMENT_METER,
	ARGUMENT_QUANTITY,
	ARGUMENT_KEY,
	ARGUMENT_OCCURRED_AT,
	ARGUMENT_ACTION,
	ARGUMENT_PROPERTIES,
	ARGUMENT_AMOUNT,
	ARGUMENT_LATE
};

static const QzpayMeter *
find_meter(const QzpayCatalog *catalog, text *code)
{
	return qzpay_catalog_meter(catalog, VARDATA_ANY(code), VARSIZE_ANY_EXHDR(code));
}

/* increment or set; false for anything else. */
static bool
parse_action(const char *action, size_t length, bool *is_reading)
{
	*is_reading = length == 3 && memcmp(action, "set", 3) == 0;
	return *is_reading || (length == 9 && memcmp(action, "increment", 9) == 0);
}

/* refuse or next; false for anything else. */
static bool
parse_late(const char *late, size_t length, bool *to_next)
{
	*to_next = length == 4 && memcmp(late, "next", 4) == 0;
	return *to_next || (length == 6 && memcmp(late, "refuse", 6) == 0);
}

/* Raises 22004 where an argument that must be there is NULL. */
static void
require_argument(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", name)));
}

static void
read_report(FunctionCallInfo fcinfo, const QzpayCatalog *catalog, QzpayUsageReport *report)
{
	memset(report, 0, sizeof(*report));
	require_argument(fcinfo, ARGUMENT_CUSTOMER, "customer");
	require_argument(fcinfo, ARGUMENT_METER, "meter");
	require_argument(fcinfo, ARGUMENT_QUANTITY, "quantity");
	report->meter = find_meter(catalog, PG_GETARG_TEXT_PP(ARGUMENT_METER));
	if (report->meter == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_UNKNOWN_CODE),
				 errmsg("unknown meter \"%s\"", text_to_cstring(PG_GETARG_TEXT_PP(ARGUMENT_METER))),
				 errhint("The meters of the catalog are listed in qzpay.meters.")));
	report->quantity = PG_GETARG_NUMERIC(ARGUMENT_QUANTITY);
	if (!PG_ARGISNULL(ARGUMENT_KEY))
		report->key = PG_GETARG_TEXT_PP(ARGUMENT_KEY);
	report->has_occurred_at = !PG_ARGISNULL(ARGUMENT_OCCURRED_AT);
	if (report->has_occurred_at)
		report->occurred_at = PG_GETARG_TIMESTAMPTZ(ARGUMENT_OCCURRED_AT);
	if (!PG_ARGISNULL(ARGUMENT_ACTION))
	{
		text	   *action = PG_GETARG_TEXT_PP(ARGUMENT_ACTION);

		if (!parse_action(VARDATA_ANY(action), VARSIZE_ANY_EXHDR(action), &report->is_reading))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unknown action \"%s\"", text_to_cstring(action)),
					 errhint("The actions are increment and set.")));
	}
	if (!PG_ARGISNULL(ARGUMENT_PROPERTIES))
		report->properties = PG_GETARG_JSONB_P(ARGUMENT_PROPERTIES);
	if (!PG_ARGISNULL(ARGUMENT_AMOUNT))
		report->amount = PG_GETARG_NUMERIC(ARGUMENT_AMOUNT);
	if (!PG_ARGISNULL(ARGUMENT_LATE))
	{
		text	   *late = PG_GETARG_TEXT_PP(ARGUMENT_LATE);

		if (!parse_late(VARDATA_ANY(late), VARSIZE_ANY_EXHDR(late), &report->late_to_next))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("late cannot be \"%s\"", text_to_cstring(late)),
					 errhint("Usage of a closed period is refused with refuse, and counted in the running one with next.")));
	}
}

static void
raise_refusal(const QzpayUsageResult *result)
{
	if (result->message == qzpay_pan_message)
		qzpay_raise_pan(NULL);
	ereport(ERROR,
			(errcode(result->sqlstate),
			 errmsg_internal("%s", result->message),
			 result->detail != NULL ? errdetail_internal("%s", result->detail) : 0,
			 result->hint != NULL ? errhint("%s", result->hint) : 0));
}

static const char *
status_name(QzpayUsageStatus status)
{
	return status == QZPAY_USAGE_RECORDED ? "recorded" : status == QZPAY_USAGE_DUPLICATE ? "duplicate" : "refused";
}

static Datum
record(FunctionCallInfo fcinfo, const QzpayCatalog *catalog, QzpayUsageReport *report, QzpayEntitlement *entitlement)
{
	QzpayUsageResult result;
	TupleDesc	desc;
	HeapTuple	tuple;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	qzpay_usage_record(catalog, entitlement, report, false, &result);
	if (result.status == QZPAY_USAGE_REFUSED)
		raise_refusal(&result);
	values[0] = CStringGetTextDatum(status_name(result.status));
	values[1] = NumericGetDatum(result.total);
	desc = lookup_rowtype_tupdesc(get_func_rettype(fcinfo->flinfo->fn_oid), -1);
	tuple = heap_form_tuple(desc, values, nulls);
	ReleaseTupleDesc(desc);
	return HeapTupleGetDatum(tuple);
}

/* record_usage(customer, meter, quantity, idempotency_key, occurred_at, action, properties, amount, late) */
Datum
qzpay_record_usage(PG_FUNCTION_ARGS)
{
	const QzpayCatalog *catalog = qzpay_catalog(qzpay_scan_snapshot());
	QzpayEntitlement entitlement;
	QzpayUsageReport report;

	read_report(fcinfo, catalog, &report);
	if (!qzpay_entitlement_read_newest(false, PG_GETARG_DATUM(ARGUMENT_CUSTOMER), &entitlement))
		qzpay_object_not_found(QZPAY_OBJECT_CUSTOMER, PG_GETARG_UUID_P(ARGUMENT_CUSTOMER));
	return record(fcinfo, catalog, &report, &entitlement);
}

Datum
qzpay_record_usage_ref(PG_FUNCTION_ARGS)
{
	const QzpayCatalog *catalog = qzpay_catalog(qzpay_scan_snapshot());
	QzpayEntitlement entitlement;
	QzpayUsageReport report;

	read_report(fcinfo, catalog, &report);
	if (!qzpay_entitlement_read_newest(true, PG_GETARG_DATUM(ARGUMENT_CUSTOMER), &entitlement))
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_NOT_FOUND),
				 errmsg("customer \"%s\" not found", text_to_cstring(PG_GETARG_TEXT_PP(ARGUMENT_CUSTOMER)))));
	return record(fcinfo, catalog, &report, &entitlement);
}

/* One element of record_usage_batch(), with what is wrong with it. */
typedef struct BatchRow
{
	const char *error;			/* or NULL */
	int			sqlstate;
	int			index;
	bool		is_left;		/* to be booked when the others are */
	text	   *customer;
	QzpayUsageReport report;
	QzpayUsageStatus status;
} BatchRow;

static void
fault(BatchRow *row, int sqlstate, const char *error)
{
	if (row->error == NULL)
	{
		row->sqlstate = sqlstate;
		row->error = error;
	}
}

/* A JSON string as text; NULL, noting the fault, for anything else. */
static text *
string_of(BatchRow *row, const char *key, const JsonbValue *value)
{
	if (value->type == jbvString)
		return cstring_to_text_with_len(value->val.string.val, value->val.string.len);
	fault(row, ERRCODE_INVALID_PARAMETER_VALUE, psprintf("%s must be a string", key));
	return NULL;
}

/*
 * DecodeDateTime(), which before 16 raises for a time zone that it doesn't know, where it returns any other fault.  It holds nothing that an
 * error would leave behind, so that one can be caught without a subtransaction.
 */
static bool
decode_time(char **fields, int *types, int n_fields, int *kind, struct pg_tm *tm, fsec_t *fsec, int *zone)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool decoded = false;

	PG_TRY();
	{
		decoded = qzpay_decode_datetime_compat(fields, types, n_fields, kind, tm, fsec, zone) == 0;
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_INVALID_PARAMETER_VALUE)
			PG_RE_THROW();
		MemoryContextSwitchTo(caller);
		FlushErrorState();
	}
	PG_END_TRY();
	return decoded;
}

/* A timestamp's text; an error of its form is noted, not raised. */
static bool
parse_time(const char *text, TimestampTz *result)
{
	char		work[MAXDATELEN + MAXDATEFIELDS];
	char	   *fields[MAXDATEFIELDS];
	int			types[MAXDATEFIELDS];
	int			n_fields;
	int			kind;
	int			zone;
	struct pg_tm tm;
	fsec_t		fsec;

	if (ParseDateTime(text, work, sizeof(work), fields, types, MAXDATEFIELDS, &n_fields) != 0 ||
		!decode_time(fields, types, n_fields, &kind, &tm, &fsec, &zone) || kind != DTK_DATE)
		return false;
	return tm2timestamp(&tm, fsec, &zone, result) == 0;
}

static void
read_member(BatchRow *row, const QzpayCatalog *catalog, const char *key, const JsonbValue *value)
{
	QzpayUsageReport *report = &row->report;
	text	   *string;

	if (strcmp(key, "customer") == 0)
		row->customer = string_of(row, key, value);
	else if (strcmp(key, "meter") == 0)
	{
		string = string_of(row, key, value);
		report->meter = string == NULL ? NULL : find_meter(catalog, string);
		if (report->meter == NULL && string != NULL)
			fault(row, ERRCODE_QZPAY_UNKNOWN_CODE, psprintf("unknown meter \"%s\"", text_to_cstring(string)));
	}
	else if (strcmp(key, "quantity") == 0)
	{
		if (value->type == jbvNumeric)
			report->quantity = value->val.numeric;
		else
			fault(row, ERRCODE_QZPAY_USAGE_QUANTITY, "quantity must be a number");
	}
	else if (value->type == jbvNull)
		return;
	else if (strcmp(key, "idempotency_key") == 0)
		report->key = string_of(row, key, value);
	else if (strcmp(key, "occurred_at") == 0)
	{
		string = string_of(row, key, value);
		report->has_occurred_at = string != NULL && parse_time(text_to_cstring(string), &report->occurred_at);
		if (string != NULL && !report->has_occurred_at)
			fault(row, ERRCODE_INVALID_DATETIME_FORMAT, psprintf("\"%s\" is no timestamp", text_to_cstring(string)));
	}
	else if (strcmp(key, "action") == 0)
	{
		if (value->type != jbvString || !parse_action(value->val.string.val, value->val.string.len, &report->is_reading))
			fault(row, ERRCODE_INVALID_PARAMETER_VALUE, "action must be increment or set");
	}
	else if (strcmp(key, "late") == 0)
	{
		if (value->type != jbvString || !parse_late(value->val.string.val, value->val.string.len, &report->late_to_next))
			fault(row, ERRCODE_INVALID_PARAMETER_VALUE, "late must be refuse or next");
	}
	else if (strcmp(key, "properties") == 0)
		report->properties = JsonbValueToJsonb(unconstify(JsonbValue *, value));
	else if (strcmp(key, "amount") == 0)
	{
		if (value->type == jbvNumeric)
			report->amount = value->val.numeric;
		else
			fault(row, ERRCODE_QZPAY_USAGE_QUANTITY, "amount must be a number");
	}
	else
		fault(row, ERRCODE_INVALID_PARAMETER_VALUE, psprintf("unknown key \"%s\"", key));
}

/* Reads one element, up to the iterator's end of it. */
static void
read_element(JsonbValue *element, const QzpayCatalog *catalog, BatchRow *row)
{
	JsonbIterator *iterator;
	JsonbValue	value;
	JsonbIteratorToken token;
	char	   *key = NULL;

	memset(row, 0, sizeof(*row));
	if (element->type != jbvBinary || !JsonContainerIsObject(element->val.binary.data))
	{
		fault(row, ERRCODE_INVALID_PARAMETER_VALUE, "an event must be an object");
		return;
	}
	iterator = JsonbIteratorInit(element->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
			read_member(row, catalog, key, &value);
	}
	if (row->customer == NULL)
		fault(row, ERRCODE_NULL_VALUE_NOT_ALLOWED, "customer must not be null");
	if (row->report.meter == NULL)
		fault(row, ERRCODE_NULL_VALUE_NOT_ALLOWED, "meter must not be null");
	if (row->report.quantity == NULL)
		fault(row, ERRCODE_NULL_VALUE_NOT_ALLOWED, "quantity must not be null");
}

/* By customer and meter, and as they came. */
static int
compare_rows(const void *a, const void *b)
{
	const BatchRow *left = *(BatchRow *const *) a;
	const BatchRow *right = *(BatchRow *const *) b;
	int			left_length = VARSIZE_ANY_EXHDR(left->customer);
	int			right_length = VARSIZE_ANY_EXHDR(right->customer);
	int			order = memcmp(VARDATA_ANY(left->customer), VARDATA_ANY(right->customer), Min(left_length, right_length));

	if (order == 0)
		order = left_length - right_length;
	if (order == 0)
		order = memcmp(&left->report.meter->id, &right->report.meter->id, sizeof(pg_uuid_t));
	return order != 0 ? order : left->index - right->index;
}

static bool
same_customer(const BatchRow *a, const BatchRow *b)
{
	return VARSIZE_ANY_EXHDR(a->customer) == VARSIZE_ANY_EXHDR(b->customer) &&
		memcmp(VARDATA_ANY(a->customer), VARDATA_ANY(b->customer), VARSIZE_ANY_EXHDR(b->customer)) == 0;
}

/* Reads the elements of the array. */
static BatchRow *
read_batch(Jsonb *events, const QzpayCatalog *catalog, int *n_rows)
{
	BatchRow   *rows = MemoryContextAllocHuge(CurrentMemoryContext, Max(JB_ROOT_COUNT(events), 1) * sizeof(BatchRow));
	JsonbIterator *iterator = JsonbIteratorInit(&events->root);
	JsonbValue	element;
	JsonbIteratorToken token;

	*n_rows = 0;
	while ((token = JsonbIteratorNext(&iterator, &element, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		read_element(&element, catalog, &rows[*n_rows]);
		rows[*n_rows].index = *n_rows;
		(*n_rows)++;
	}
	return rows;
}

/*
 * Rows whose bookings are in memory at once, so few that it is warm in the processor's cache when it is used again; a customer's of one meter
 * are never parted.
 */
#define ROWS_AT_ONCE 250

#define KEPT_MEMORY (ROWS_AT_ONCE * 2048)

/* How many of the n rows are recorded together. */
static int
count_together(BatchRow **rows, int n)
{
	int			count = Min(n, ROWS_AT_ONCE);

	while (count < n && rows[count]->report.meter == rows[count - 1]->report.meter && same_customer(rows[count], rows[count - 1]))
		count++;
	return count;
}

/* Records each item by itself; what its customer holds is read again where somebody has changed it. */
static void
record_one_by_one(const QzpayCatalog *catalog, QzpayUsageItem *items, int n)
{
	for (int i = 0; i < n; i++)
	{
		const QzpayEntitlement *entitlement = items[i].entitlement;
		QzpayEntitlement newest;

		CHECK_FOR_INTERRUPTS();
		if (!qzpay_entitlement_is_current(entitlement))
		{
			if (!qzpay_entitlement_read_newest(false, UUIDPGetDatum(&entitlement->customer), &newest))
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("a customer was removed while usage was recorded"),
						 errhint("Repeat the transaction.")));
			entitlement = &newest;
		}
		items[i].is_left = false;
		qzpay_usage_record(catalog, entitlement, items[i].report, true, &items[i].result);
	}
}

/* Records rows that came sorted, together or each by itself, and notes in each what became of it, or that it is left. */
static void
record_rows(BatchRow **rows, int n, bool together, const QzpayCatalog *catalog, MemoryContext batch_context)
{
	QzpayUsageItem *items = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(QzpayUsageItem));
	BatchRow  **item_rows = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(BatchRow *));
	text	  **customers = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(text *));
	QzpayEntitlement *entitlement = NULL;
	int			n_customers = 0;
	int			n_items = 0;

	for (int i = 0; i < n; i++)
	{
		if (i == 0 || !same_customer(rows[i], rows[i - 1]))
			customers[n_customers++] = rows[i]->customer;
	}
	qzpay_entitlement_prefetch(customers, n_customers);
	for (int i = 0; i < n; i++)
	{
		if (i == 0 || !same_customer(rows[i], rows[i - 1]))
		{
			CHECK_FOR_INTERRUPTS();
			entitlement = palloc(sizeof(QzpayEntitlement));
			if (!qzpay_entitlement_read_newest(true, PointerGetDatum(rows[i]->customer), entitlement))
				entitlement = NULL;
		}
		if (entitlement == NULL)
		{
			MemoryContext old = MemoryContextSwitchTo(batch_context);

			fault(rows[i], ERRCODE_QZPAY_NOT_FOUND, psprintf("customer \"%s\" not found", text_to_cstring(rows[i]->customer)));
			MemoryContextSwitchTo(old);
			continue;
		}
		item_rows[n_items] = rows[i];
		items[n_items].report = &rows[i]->report;
		items[n_items].entitlement = entitlement;
		n_items++;
	}
	if (together)
		qzpay_usage_record_together(catalog, items, n_items);
	else
		record_one_by_one(catalog, items, n_items);
	for (int i = 0; i < n_items; i++)
	{
		item_rows[i]->is_left = items[i].is_left;
		item_rows[i]->status = items[i].result.status;
		if (!items[i].is_left && items[i].result.status == QZPAY_USAGE_REFUSED)
			fault(item_rows[i], items[i].result.sqlstate, MemoryContextStrdup(batch_context, items[i].result.message));
	}
}

/* Records all of them, in an order of its own: what can be booked together, and then what is left of it. */
static void
record_batch(BatchRow *rows, int n_rows, const QzpayCatalog *catalog)
{
	MemoryContext batch_context = CurrentMemoryContext;
	MemoryContext rows_context = AllocSetContextCreate(CurrentMemoryContext, "qzpay usage", KEPT_MEMORY, KEPT_MEMORY, ALLOCSET_DEFAULT_MAXSIZE);
	BatchRow  **order = MemoryContextAllocHuge(CurrentMemoryContext, Max(n_rows, 1) * sizeof(BatchRow *));
	int			n_order = 0;
	int			n_left = 0;

	for (int i = 0; i < n_rows; i++)
	{
		rows[i].status = QZPAY_USAGE_REFUSED;
		if (rows[i].error == NULL)
			order[n_order++] = &rows[i];
	}
	qsort(order, n_order, sizeof(BatchRow *), compare_rows);
	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < n_order;)
		{
			int			n = count_together(&order[i], n_order - i);

			MemoryContextSwitchTo(rows_context);
			record_rows(&order[i], n, pass == 0, catalog, batch_context);
			MemoryContextSwitchTo(batch_context);
			MemoryContextReset(rows_context);
			i += n;
		}
		n_left = 0;
		for (int i = 0; i < n_order; i++)
		{
			if (order[i]->is_left)
				order[n_left++] = order[i];
		}
		n_order = n_left;
	}
	MemoryContextDelete(rows_context);
}

/* record_usage_batch(events): index, status, error */
Datum
qzpay_record_usage_batch(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;
	const QzpayCatalog *catalog = qzpay_catalog(qzpay_scan_snapshot());
	Jsonb	   *events;
	BatchRow   *rows;
	int			n_rows;

	require_argument(fcinfo, 0, "events");
	events = PG_GETARG_JSONB_P(0);
	if (!JB_ROOT_IS_ARRAY(events) || JB_ROOT_IS_SCALAR(events))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("events must be a JSON array")));
	qzpay_materialize_compat(fcinfo);
	rows = read_batch(events, catalog, &n_rows);
	record_batch(rows, n_rows, catalog);
	for (int i = 0; i < n_rows; i++)
	{
		Datum		values[3];
		bool		nulls[3] = {false, false, rows[i].error == NULL};

		values[0] = Int32GetDatum(i);
		values[1] = CStringGetTextDatum(status_name(rows[i].status));
		values[2] = nulls[2] ? (Datum) 0 :
			CStringGetTextDatum(psprintf("%s: %s", unpack_sql_state(rows[i].sqlstate), rows[i].error));
		tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static const char *
limit_type_name(QzpayLimitType type)
{
	return type == QZPAY_LIMIT_HARD ? "hard" : type == QZPAY_LIMIT_SOFT ? "soft" : "none";
}

/* _usage_rules(customer, at): meter_id, period_start, period_end, included, limit_type, charge_id, in_trial; one row per active meter */
Datum
qzpay_usage_rules(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *set = (ReturnSetInfo *) fcinfo->resultinfo;
	const QzpayCatalog *catalog = qzpay_catalog(qzpay_scan_snapshot());
	QzpayEntitlement entitlement;
	TimestampTz start;
	TimestampTz end;

	if (!qzpay_entitlement_read(PG_GETARG_UUID_P(0), true, &entitlement))
		qzpay_object_not_found(QZPAY_OBJECT_CUSTOMER, PG_GETARG_UUID_P(0));
	qzpay_materialize_compat(fcinfo);
	/* Never closed: it is now. */
	if (!qzpay_usage_period(&entitlement, entitlement.now, &start, &end))
		return (Datum) 0;
	for (int i = 0; i < qzpay_catalog_n_meters(catalog); i++)
	{
		const QzpayMeter *meter = qzpay_catalog_meter_at(catalog, i);
		QzpayAllowance allowance;
		Datum		values[7];
		bool		nulls[7] = {false};

		if (!meter->active)
			continue;
		qzpay_usage_allowance(catalog, &entitlement, meter, entitlement.now, &allowance);
		values[0] = UUIDPGetDatum(&meter->id);
		values[1] = TimestampTzGetDatum(start);
		values[2] = TimestampTzGetDatum(end);
		values[3] = NumericGetDatum(allowance.value);
		nulls[3] = allowance.unlimited;
		values[4] = CStringGetTextDatum(limit_type_name(allowance.type));
		values[5] = allowance.charge == NULL ? (Datum) 0 : UUIDPGetDatum(&allowance.charge->id);
		nulls[5] = allowance.charge == NULL;
		values[6] = BoolGetDatum(qzpay_entitlement_in_trial(&entitlement, entitlement.now));
		tuplestore_putvalues(set->setResult, set->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* _await_usage(tenants, customers, period_starts) */
Datum
qzpay_await_usage(PG_FUNCTION_ARGS)
{
	const QzpayCatalog *catalog = qzpay_catalog(qzpay_scan_snapshot());
	Datum	   *tenants;
	Datum	   *customers;
	Datum	   *starts;
	int			n_tenants;
	int			n_customers;
	int			n_starts;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &tenants, NULL, &n_tenants);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &customers, NULL, &n_customers);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), TIMESTAMPTZOID, sizeof(TimestampTz), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &starts, NULL, &n_starts);
	if (n_tenants != n_customers || n_tenants != n_starts)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("arrays must be of one length")));
	for (int i = 0; i < n_tenants; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int meter = 0; meter < qzpay_catalog_n_meters(catalog); meter++)
			qzpay_usage_totals_await(DatumGetUUIDP(tenants[i]), DatumGetUUIDP(customers[i]), &qzpay_catalog_meter_at(catalog, meter)->id,
									 DatumGetTimestampTz(starts[i]));
	}
	PG_RETURN_VOID();
}
