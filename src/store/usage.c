/*
 * usage.c
 *		Usage: one report from the application, booked once into the period it belongs to.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "errors.h"
#include "store/call.h"
#include "store/clock.h"
#include "store/number.h"
#include "store/pan.h"
#include "store/period.h"
#include "store/relation.h"
#include "store/row.h"
#include "store/usage_booking.h"
#include "store/uuid.h"

/* How far ahead of the customer's now a report may be: clocks differ. */
#define MAX_AHEAD (5 * USECS_PER_MINUTE)
#define MAX_SCALE 18
#define MAX_QUANTITY INT64CONST(1000000000000000)	/* exclusive */

/* How long before the customer's contract usage may have been: of a contract that this one follows, and that nobody remembers here. */
#define LATE_DAYS 366

/* How long a key is known at least, whatever the period (the promise of record_usage()). */
#define KEY_DAYS 35
#define MAX_AMOUNT_SCALE 12

static QzpayRelation subscriptions = {.table = "subscriptions",.index = "subscriptions_customer_id_idx"};

static QzpayCall note_late = {
	.sql = "SELECT qzpay._note_late_usage($1, $2, $3, $4, $5, $6, $7)",
	.nargs = 7,
	.types = {UUIDOID, UUIDOID, UUIDOID, TIMESTAMPTZOID, UUIDOID, TIMESTAMPTZOID, NUMERICOID}
};

static void
refuse(QzpayUsageResult *result, int sqlstate, char *message, char *detail, char *hint)
{
	result->status = QZPAY_USAGE_REFUSED;
	result->sqlstate = sqlstate;
	result->message = message;
	result->detail = detail;
	result->hint = hint;
}

static char *
text_of_number(Numeric number)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));
}

static const char *
text_of_time(TimestampTz at)
{
	return pstrdup(timestamptz_to_str(at));
}

/* Whether what it adds is known before the total is. */
static bool
is_increment(const QzpayUsageReport *report)
{
	return !report->is_reading && (report->meter->aggregation == QZPAY_AGGREGATE_SUM || report->meter->aggregation == QZPAY_AGGREGATE_COUNT ||
								   report->meter->aggregation == QZPAY_AGGREGATE_AVG);
}

/* Whether the report can be booked at all. */
static bool
check_quantity(const QzpayUsageReport *report, QzpayUsageResult *result)
{
	int64		small;
	bool		is_plain = qzpay_number_is_small(report->quantity, &small) && small >= 0 && small < MAX_QUANTITY;
	Numeric		limit = is_plain && report->amount == NULL ? NULL : int64_to_numeric(MAX_QUANTITY);

	if (!is_plain && (!qzpay_number_is_finite(report->quantity) || qzpay_number_sign(report->quantity) < 0))
		refuse(result, ERRCODE_QZPAY_USAGE_QUANTITY, psprintf("quantity %s of \"%s\" must be finite and not negative",
															  text_of_number(report->quantity), report->meter->code), NULL, NULL);
	else if (!is_plain && (qzpay_number_compare(report->quantity, limit) >= 0 ||
						   DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(report->quantity))) > MAX_SCALE))
		refuse(result, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, psprintf("quantity of \"%s\" must be below 10^15 and have at most %d decimals",
																   report->meter->code, MAX_SCALE), NULL, NULL);
	else if (report->key != NULL && (VARSIZE_ANY_EXHDR(report->key) == 0 || VARSIZE_ANY_EXHDR(report->key) > 255))
		refuse(result, ERRCODE_INVALID_PARAMETER_VALUE, pstrdup("idempotency_key must have 1 to 255 bytes"), NULL, NULL);
	else if ((report->key != NULL && qzpay_text_holds_pan(report->key)) || (report->properties != NULL && qzpay_jsonb_holds_pan(report->properties)))
		refuse(result, ERRCODE_INVALID_PARAMETER_VALUE, (char *) qzpay_pan_message, NULL, NULL);
	else if (!report->meter->active)
		refuse(result, ERRCODE_QZPAY_UNKNOWN_CODE, psprintf("meter \"%s\" is not active", report->meter->code), NULL, NULL);
	else if (report->meter->counts_rows)
		refuse(result, ERRCODE_QZPAY_WRONG_STATE, psprintf("meter \"%s\" counts rows of the application, and takes no reports", report->meter->code), NULL, NULL);
	else if (report->amount != NULL && (!qzpay_number_is_finite(report->amount) || qzpay_number_sign(report->amount) < 0 ||
										 qzpay_number_compare(report->amount, limit) >= 0 ||
										 DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(report->amount))) > MAX_AMOUNT_SCALE))
		refuse(result, ERRCODE_QZPAY_USAGE_QUANTITY, psprintf("amount %s of \"%s\" must be from 0 to below 10^15 and have at most %d decimals",
															  text_of_number(report->amount), report->meter->code, MAX_AMOUNT_SCALE), NULL, NULL);
	else if (report->amount != NULL && (!is_increment(report) || report->meter->aggregation == QZPAY_AGGREGATE_AVG))
		refuse(result, ERRCODE_INVALID_PARAMETER_VALUE, psprintf("only an increment of a meter that aggregates by sum or count has an amount, not \"%s\" here",
																report->meter->code), NULL, NULL);
	else if (report->is_reading && report->meter->aggregation != QZPAY_AGGREGATE_SUM)
		refuse(result, ERRCODE_INVALID_PARAMETER_VALUE, psprintf("meter \"%s\" aggregates by %s, so its total cannot be set", report->meter->code,
																report->meter->aggregation_name), NULL, NULL);
	else
		return true;
	return false;
}

/*
 * qzpay_usage_period
 *		The usage period of an instant; false when it is closed.
 *
 * The running period is that of the subscription, also while the run that closes it is late; later instants belong to the period that follows
 * by the calendar.  Without a subscription, only the period of now is open.
 */
bool
qzpay_usage_period(const QzpayEntitlement *entitlement, TimestampTz at, TimestampTz *start, TimestampTz *end)
{
	TimestampTz open_start;
	TimestampTz open_end;

	if (entitlement->has_period)
	{
		open_start = entitlement->usage_start;
		open_end = entitlement->usage_end;
	}
	else
		qzpay_period_at(entitlement->usage_anchor, entitlement->usage_unit, entitlement->usage_count, entitlement->timezone,
						entitlement->now, &open_start, &open_end);
	if (at < open_start)
		return false;
	*start = open_start;
	*end = open_end;
	if (at >= open_end)
	{
		/*
		 * The next one begins where the running one ends: that may be by the clock of a zone the customer has left, somewhat before or after the
		 * boundary it stands for.
		 */
		qzpay_period_at(entitlement->usage_anchor, entitlement->usage_unit, entitlement->usage_count, entitlement->timezone, open_end, start, end);
		if (*end - open_end < open_end - *start)
			qzpay_period_at(entitlement->usage_anchor, entitlement->usage_unit, entitlement->usage_count, entitlement->timezone, *end, start, end);
		if (at < *end)
			*start = open_end;
		else
			qzpay_period_at(entitlement->usage_anchor, entitlement->usage_unit, entitlement->usage_count, entitlement->timezone, at, start, end);
	}
	return true;
}

/* Fills the event but for its quantity; false when its time is refused. */
static bool
place_in_time(QzpayBooking *booking, QzpayUsageResult *result)
{
	const QzpayEntitlement *entitlement = booking->entitlement;
	QzpayUsageEvent *event = &booking->event;
	TimestampTz floor;

	event->occurred_at = booking->report->has_occurred_at ? booking->report->occurred_at : entitlement->now;
	if (TIMESTAMP_NOT_FINITE(event->occurred_at))
	{
		refuse(result, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, pstrdup("occurred_at must be finite"), NULL, NULL);
		return false;
	}
	if (event->occurred_at > entitlement->now + MAX_AHEAD)
	{
		refuse(result, ERRCODE_QZPAY_USAGE_FUTURE, psprintf("usage of \"%s\" at %s is in the future", booking->report->meter->code,
															text_of_time(event->occurred_at)),
			   psprintf("It is %s for this customer.", text_of_time(entitlement->now)), NULL);
		return false;
	}
	if (qzpay_usage_period(entitlement, event->occurred_at, &event->period_start, &booking->period_end))
		return true;
	floor = Min(entitlement->usage_anchor, entitlement->now) - LATE_DAYS * USECS_PER_DAY;
	if (event->occurred_at < floor)
	{
		refuse(result, ERRCODE_QZPAY_USAGE_CLOSED, psprintf("usage of \"%s\" at %s lies before the customer's contract", booking->report->meter->code,
															text_of_time(event->occurred_at)),
			   psprintf("Usage is taken from %s on.", text_of_time(floor)), NULL);
		return false;
	}
	booking->is_late = booking->report->late_to_next && qzpay_usage_period(entitlement, entitlement->now, &event->period_start, &booking->period_end);
	if (!booking->is_late)
		refuse(result, ERRCODE_QZPAY_USAGE_CLOSED, psprintf("the usage period of %s is closed", text_of_time(event->occurred_at)), NULL,
			   pstrdup("With late => 'next' it is counted in the running period."));
	return booking->is_late;
}

static void
fill_event(QzpayBooking *booking)
{
	const QzpayUsageReport *report = booking->report;
	QzpayUsageEvent *event = &booking->event;

	event->tenant = booking->entitlement->tenant;
	event->customer = booking->entitlement->customer;
	event->meter = report->meter->id;
	event->recorded_at = qzpay_clock_recorded();
	event->keys_since = DT_NOBEGIN;
	event->key = report->key;
	event->properties = report->properties;
	event->amount = report->amount;
	if (report->key != NULL)
		qzpay_uuid_derive(&event->id, &event->customer, VARDATA_ANY(report->key), VARSIZE_ANY_EXHDR(report->key));
	else
		qzpay_uuid_next(&event->id);
	/* What adds to the total is what was reported, unless the meter or the call says otherwise. */
	event->reading = report->is_reading || (report->meter->aggregation != QZPAY_AGGREGATE_SUM && report->meter->aggregation != QZPAY_AGGREGATE_AVG) ?
		report->quantity : NULL;
	event->quantity = report->meter->aggregation == QZPAY_AGGREGATE_COUNT ? int64_to_numeric(1) : report->quantity;
}

static bool
same_properties(Jsonb *a, Jsonb *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return compareJsonbContainers(&a->root, &b->root) == 0;
}

static bool
same_amount(Numeric a, Numeric b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return qzpay_number_compare(a, b) == 0;
}

/* Whether the stored event under the key says what the report says; a report without a time doesn't name one. */
static bool
same_content(const QzpayBooking *booking, const QzpayUsageEvent *stored)
{
	const QzpayUsageEvent *event = &booking->event;
	Numeric		stated = event->reading != NULL ? event->reading : event->quantity;
	Numeric		stored_statement = stored->reading != NULL ? stored->reading : stored->quantity;

	return memcmp(&stored->meter, &event->meter, sizeof(pg_uuid_t)) == 0 &&
		(stored->reading == NULL) == (event->reading == NULL) &&
		qzpay_number_compare(stated, stored_statement) == 0 &&
		(!booking->report->has_occurred_at || stored->occurred_at == event->occurred_at) &&
		same_properties(stored->properties, event->properties) &&
		same_amount(stored->amount, event->amount) &&
		stored->key != NULL && VARSIZE_ANY_EXHDR(stored->key) == VARSIZE_ANY_EXHDR(event->key) &&
		memcmp(VARDATA_ANY(stored->key), VARDATA_ANY(event->key), VARSIZE_ANY_EXHDR(event->key)) == 0;
}

/*
 * Keys are looked for among what was recorded since the event's period began, and 35 days at least; of a customer on a test clock, whose
 * periods say nothing of the time of recording, in all that is kept.
 */
static void
set_key_horizon(QzpayBooking *booking)
{
	QzpayUsageEvent *event = &booking->event;

	if (!booking->entitlement->on_test_clock)
		event->keys_since = Min(event->period_start, event->recorded_at - KEY_DAYS * USECS_PER_DAY);
}

/* What a sum of so many events comes to. */
static Numeric
total_of(const QzpayMeter *meter, Numeric sum, int64 events)
{
	return meter->aggregation == QZPAY_AGGREGATE_AVG && events > 0 ? qzpay_number_divide(sum, int64_to_numeric(events)) : sum;
}

/* Answers a report whose key is there. */
static void
answer_duplicate(const QzpayBooking *booking, const QzpayUsageEvent *stored, QzpayUsageResult *result)
{
	QzpayUsageTotal total = booking->total;
	Snapshot	latest;
	Numeric		sum;
	int64		events;

	if (!same_content(booking, stored))
	{
		refuse(result, ERRCODE_QZPAY_USAGE_KEY_MISMATCH,
			   psprintf("idempotency key \"%s\" was used for other usage", text_to_cstring(booking->event.key)), NULL,
			   pstrdup("A repeated report must be the same in meter, quantity, action, amount, properties and, if given, time."));
		return;
	}
	latest = RegisterSnapshot(GetLatestSnapshot());
	total.period_start = stored->period_start;
	result->status = QZPAY_USAGE_DUPLICATE;
	sum = qzpay_usage_total_read(&total, latest, &events);
	result->total = total_of(booking->report->meter, sum, events);
	UnregisterSnapshot(latest);
}

static void
lock_event(const QzpayBooking *booking, QzpayKeyLock *lock)
{
	const struct
	{
		pg_uuid_t	customer;
		pg_uuid_t	id;
	}			key = {booking->event.customer, booking->event.id};

	qzpay_key_lock(lock, &key, sizeof(key));
}

/* Takes the inserted event back. */
void
qzpay_booking_take_back(QzpayBooking *booking)
{
	/* A row can't be deleted by the command that has inserted it. */
	CommandCounterIncrement();
	qzpay_usage_event_delete(&booking->event);
	CommandCounterIncrement();
}

/*
 * Inserts the event; false when its key is there, or may be, or is being inserted, and then the row is still there.
 *
 * Months other than its own are looked at after the insertion: of two transactions that insert one key into two months, one sees the other.
 */
static bool
insert_key(QzpayBooking *booking, QzpayUsageEvent *stored, TransactionId *in_progress)
{
	bool		is_new = qzpay_usage_event_insert(&booking->event, true);

	/* The index may also mind a row that somebody has taken back. */
	return !qzpay_usage_event_find(&booking->event, !is_new, stored, in_progress);
}

static int	wary = 0;			/* how many keys to look for before they are inserted */

/* Whether keys have not just been repeated, so that it is worth inserting the next ones without looking. */
bool
qzpay_booking_expects_new_keys(void)
{
	return wary == 0;
}

/*
 * Looks for the event's key, until it is certain whether it is there; if not, and with insert_it, the event is inserted, and without, the key's
 * lock is kept.  The booking has no row when this begins.
 *
 * Of several that met in inserting a key each has taken its row back, and looks and inserts under the lock: so one has the key, and the
 * others wait for that one's transaction without the lock.
 */
static bool
look_and_insert(QzpayBooking *booking, bool insert_it, QzpayKeyLock *lock, QzpayUsageEvent *stored)
{
	for (;;)
	{
		TransactionId in_progress = InvalidTransactionId;

		lock_event(booking, lock);
		if (!qzpay_usage_event_find(&booking->event, true, stored, &in_progress))
		{
			if (!insert_it)
				return false;
			if (insert_key(booking, stored, &in_progress))
			{
				wary = Max(wary - 1, 0);
				qzpay_key_unlock(lock);
				return false;
			}
			qzpay_booking_take_back(booking);
		}
		qzpay_key_unlock(lock);
		if (!TransactionIdIsValid(in_progress))
		{
			wary = 16;
			return true;
		}
		XactLockTableWait(in_progress, NULL, NULL, XLTW_None);
	}
}

/*
 * Whether the event's key is there; if not, and with insert_it, the event is inserted, and without, the key's lock is kept.
 *
 * Inserting tells by itself whether the key is there, so that a new one needs one descent of the index and no lock; where keys have just been
 * repeated, they are looked for first.
 */
static bool
is_duplicate(QzpayBooking *booking, bool insert_it, QzpayKeyLock *lock, QzpayUsageEvent *stored)
{
	TransactionId in_progress = InvalidTransactionId;

	if (insert_it && wary == 0)
	{
		if (insert_key(booking, stored, &in_progress))
			return false;
		qzpay_booking_take_back(booking);
	}
	return look_and_insert(booking, insert_it, lock, stored);
}

/*
 * qzpay_booking_insert_key
 *		Inserts the event of an increment; false, and the answer in result, where its key is there.
 */
bool
qzpay_booking_insert_key(QzpayBooking *booking, QzpayUsageResult *result)
{
	QzpayKeyLock lock;
	QzpayUsageEvent stored;

	if (booking->event.key == NULL)
		(void) qzpay_usage_event_insert(&booking->event, false);
	else if (is_duplicate(booking, true, &lock, &stored))
	{
		answer_duplicate(booking, &stored, result);
		return false;
	}
	return true;
}

/*
 * qzpay_booking_enter_key
 *		The same for an event that an earlier command has put into its table, among others, but into no index.
 */
bool
qzpay_booking_enter_key(QzpayBooking *booking, QzpayRows *rows, int row, QzpayUsageResult *result)
{
	TransactionId in_progress = InvalidTransactionId;
	QzpayKeyLock lock;
	QzpayUsageEvent stored;
	bool		is_new = qzpay_rows_enter(rows, row, booking->event.key != NULL, &booking->event.row);

	if (booking->event.key == NULL || !qzpay_usage_event_find(&booking->event, !is_new, &stored, &in_progress))
		return true;
	qzpay_booking_take_back(booking);
	if (!look_and_insert(booking, true, &lock, &stored))
		return true;
	answer_duplicate(booking, &stored, result);
	return false;
}

/* QzpayUsageDecision: what the report adds, unless that exceeds a hard limit. */
static bool
decide(QzpayUsageTotal *total, Numeric *difference, void *arg)
{
	QzpayBooking *booking = arg;
	Numeric		stated = booking->report->quantity;

	if (is_increment(booking->report))
		*difference = booking->event.quantity;
	else if (booking->report->meter->aggregation == QZPAY_AGGREGATE_UNIQUE)
	{
		/* Whoever else adds the value changes the total as well, and we are asked again. */
		booking->value_is_new = !qzpay_usage_value_known(total, &booking->value);
		*difference = booking->value_is_new ? int64_to_numeric(1) : qzpay_number_zero();
	}
	else if (booking->report->meter->aggregation == QZPAY_AGGREGATE_MAX && qzpay_number_compare(stated, total->before) <= 0)
		*difference = qzpay_number_zero();
	else
		*difference = qzpay_number_subtract(stated, total->before);
	total->after = qzpay_number_add(total->before, *difference);
	booking->event.quantity = *difference;
	return booking->allowance.unlimited || booking->allowance.type != QZPAY_LIMIT_HARD ||
		qzpay_number_compare(total->after, booking->allowance.value) <= 0 || qzpay_number_sign(*difference) <= 0;
}

/* Says why the total was left as it is. */
void
qzpay_booking_refuse(const QzpayBooking *booking, QzpayTotalResult outcome, QzpayUsageResult *result)
{
	const char *meter = booking->report->meter->code;

	if (outcome == QZPAY_TOTAL_MIXED)
		refuse(result, ERRCODE_QZPAY_WRONG_STATE, psprintf("increments and readings of \"%s\" cannot be mixed in one usage period", meter), NULL,
			   pstrdup("Report a meter with action increment or with action set, not with both."));
	else
		refuse(result, ERRCODE_QZPAY_USAGE_LIMIT,
			   psprintf("usage of \"%s\" would exceed the limit of %s", meter, text_of_number(booking->allowance.value)),
			   psprintf("{\"limit\": \"%s\", \"current\": %s, \"limit_value\": %s}", meter, text_of_number(booking->total.before),
						text_of_number(booking->allowance.value)),
			   pstrdup("A higher plan or an add-on raises the limit."));
}

/* Inserts the event of a reading, whose total has been written; raises 40001 when its key has been used for an increment meanwhile. */
static void
insert_decided(QzpayBooking *booking)
{
	QzpayUsageEvent stored;
	TransactionId in_progress = InvalidTransactionId;

	if (booking->event.key == NULL)
		(void) qzpay_usage_event_insert(&booking->event, false);
	else if (!insert_key(booking, &stored, &in_progress))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("idempotency key \"%s\" is being used for other usage", text_to_cstring(booking->event.key)),
				 errhint("Repeat the transaction.")));
}

/*
 * Writes event and total; false when refused or a duplicate.
 *
 * An increment's event comes first; a reading's quantity is known only under the lock of the total, and its key is locked until then.  Among
 * others of one transaction the lock comes first, so that whoever waits for it holds no key yet that somebody else may want.
 */
static bool
write_booking(QzpayBooking *booking, bool among_others, QzpayUsageResult *result)
{
	bool		event_first = is_increment(booking->report);
	bool		locks_key = !event_first && booking->event.key != NULL;
	QzpayKeyLock total_lock;
	bool		locks_total = among_others && booking->total.exclusive && qzpay_usage_total_claim(&booking->total, &total_lock);
	bool		is_new;
	QzpayKeyLock lock;
	QzpayUsageEvent stored;
	QzpayTotalResult outcome = QZPAY_TOTAL_LEFT;

	if (event_first)
		is_new = qzpay_booking_insert_key(booking, result);
	else
	{
		is_new = !(locks_key && is_duplicate(booking, false, &lock, &stored));
		if (!is_new)
			answer_duplicate(booking, &stored, result);
	}
	if (is_new)
	{
		outcome = qzpay_usage_total_add(&booking->total, decide, booking);
		if (outcome == QZPAY_TOTAL_ADDED && !event_first)
			insert_decided(booking);
		if (outcome == QZPAY_TOTAL_ADDED && booking->value_is_new)
			qzpay_usage_value_add(&booking->total, &booking->value);
		if (locks_key)
			qzpay_key_unlock(&lock);
	}
	if (locks_total)
		qzpay_key_unlock(&total_lock);
	if (outcome == QZPAY_TOTAL_ADDED)
	{
		CommandCounterIncrement();
		return true;
	}
	if (is_new)
	{
		if (event_first)
			qzpay_booking_take_back(booking);
		qzpay_booking_refuse(booking, outcome, result);
	}
	return false;
}

/*
 * Whether nothing gives access and a paused subscription is the reason; the version of the entitlement that was read decides, so the newest
 * state of subscriptions goes with it or the recording fails.
 */
static bool
is_paused(const QzpayEntitlement *entitlement)
{
	Snapshot	latest;
	ScanKeyData keys[2];
	QzpayScan	scan;
	TupleTableSlot *slot;
	bool		paused = false;

	if (qzpay_entitlement_access(entitlement, entitlement->now))
		return false;
	latest = RegisterSnapshot(GetLatestSnapshot());
	qzpay_scan_key_uuid(&keys[0], 1, &entitlement->tenant);
	qzpay_scan_key_uuid(&keys[1], 2, &entitlement->customer);
	qzpay_scan_begin(&scan, &subscriptions, latest, keys, 2);
	while (!paused && (slot = qzpay_scan_next(&scan)) != NULL)
	{
		bool		isnull;
		Datum		status = slot_getattr(slot, qzpay_relation_column(&subscriptions, "status"), &isnull);

		paused = strcmp(DatumGetCString(DirectFunctionCall1(enum_out, status)), "paused") == 0;
	}
	qzpay_scan_end(&scan);
	UnregisterSnapshot(latest);
	return paused;
}

/* Says that an event came after its own period was closed. */
static void
mark_late(const QzpayBooking *booking)
{
	const QzpayUsageEvent *event = &booking->event;
	Datum		values[7];
	Datum		nothing;
	bool		isnull;

	values[0] = UUIDPGetDatum(&event->tenant);
	values[1] = UUIDPGetDatum(&event->customer);
	values[2] = UUIDPGetDatum(&event->meter);
	values[3] = TimestampTzGetDatum(event->period_start);
	values[4] = UUIDPGetDatum(&event->id);
	values[5] = TimestampTzGetDatum(event->occurred_at);
	values[6] = NumericGetDatum(event->quantity);
	qzpay_call(&note_late, &event->tenant, values, NULL, false, 1, &nothing, &isnull);
	CommandCounterIncrement();
}

/*
 * qzpay_usage_allowance
 *		What a meter gives at an instant; an average is limited by nothing.
 */
void
qzpay_usage_allowance(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayMeter *meter, TimestampTz at,
					  QzpayAllowance *allowance)
{
	qzpay_entitlement_meter(catalog, entitlement, meter, at, allowance);
	if (meter->aggregation == QZPAY_AGGREGATE_AVG)
	{
		allowance->unlimited = true;
		allowance->charge = NULL;
	}
}

/* Whether a report for a closed period repeats one that was recorded in time; result is its answer then. */
static bool
repeats_closed(QzpayBooking *booking, QzpayUsageResult *result)
{
	QzpayUsageEvent stored;
	TransactionId in_progress = InvalidTransactionId;

	if (result->sqlstate != ERRCODE_QZPAY_USAGE_CLOSED || booking->event.key == NULL ||
		!qzpay_usage_event_find(&booking->event, true, &stored, &in_progress) || TransactionIdIsValid(in_progress))
		return false;
	memset(result, 0, sizeof(*result));
	answer_duplicate(booking, &stored, result);
	return true;
}

/*
 * qzpay_booking_prepare
 *		What is to be booked, and where; false, and the answer in result, where nothing is.
 */
bool
qzpay_booking_prepare(QzpayBooking *booking, const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayUsageReport *report,
					  QzpayUsageResult *result)
{
	memset(booking, 0, sizeof(*booking));
	memset(result, 0, sizeof(*result));
	booking->catalog = catalog;
	booking->entitlement = entitlement;
	booking->report = report;
	if (!check_quantity(report, result))
		return false;
	if (report->meter->aggregation == QZPAY_AGGREGATE_UNIQUE && !qzpay_usage_value_id(report->meter, report->properties, &booking->value))
	{
		refuse(result, ERRCODE_INVALID_PARAMETER_VALUE, psprintf("meter \"%s\" counts the values of the property \"%s\", which the report lacks",
																report->meter->code, report->meter->value_property), NULL,
			   pstrdup("It must be a string, a number, true or false."));
		return false;
	}
	if (is_paused(entitlement))
	{
		refuse(result, ERRCODE_QZPAY_NO_ACCESS, psprintf("usage of \"%s\" is refused while the subscription is paused", report->meter->code), NULL,
			   pstrdup("Resume the subscription, or keep its access while it is paused."));
		return false;
	}
	fill_event(booking);
	booking->total.tenant = entitlement->tenant;
	booking->total.customer = entitlement->customer;
	booking->total.meter = report->meter->id;
	if (!place_in_time(booking, result))
	{
		(void) repeats_closed(booking, result);
		return false;
	}
	qzpay_usage_allowance(catalog, entitlement, report->meter, booking->is_late ? entitlement->now : booking->event.occurred_at, &booking->allowance);
	booking->total.period_start = booking->event.period_start;
	booking->total.is_gauge = report->is_reading;
	booking->total.adding = 1;
	booking->total.amount = report->amount;
	booking->total.exclusive = !is_increment(report) || (!booking->allowance.unlimited && booking->allowance.type == QZPAY_LIMIT_HARD);
	set_key_horizon(booking);
	qzpay_usage_event_prepare(booking->event.recorded_at);
	return true;
}

/*
 * qzpay_booking_adds_blindly
 *		Whether it adds the same to the total whatever that is, so that it may be added together with others.
 */
bool
qzpay_booking_adds_blindly(const QzpayBooking *booking)
{
	return !booking->total.exclusive && !booking->is_late;
}

/*
 * qzpay_booking_finish
 *		What follows the addition to the total.  Raises 40001 when the customer's contract or period has changed since it was read.
 *
 * Whoever closes the period first takes the entitlement's row and then waits for the totals; we wrote to the total and now look at the row.
 * So either it sees our usage, or we see it here.
 */
void
qzpay_booking_finish(const QzpayBooking *booking, QzpayUsageResult *result)
{
	if (!qzpay_entitlement_is_current(booking->entitlement))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("the contract or usage period of the customer changed while usage was recorded"),
				 errhint("Repeat the transaction.")));
	result->status = QZPAY_USAGE_RECORDED;
	result->total = total_of(booking->report->meter, booking->total.after, booking->total.events + booking->total.adding);
	if (booking->is_late)
		mark_late(booking);
	qzpay_booking_alert(booking);
}

/*
 * qzpay_usage_record
 *		Books one report; what is wrong with it is an answer, not an error, so that a batch goes on.
 *
 * The entitlement must have been read by qzpay_entitlement_read_newest().  Raises 40001 when its usage period was closed meanwhile.  Those
 * among others of a batch must come in an order of customers and meters that all batches have in common.
 */
void
qzpay_usage_record(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayUsageReport *report, bool among_others, QzpayUsageResult *result)
{
	QzpayBooking booking;

	if (qzpay_booking_prepare(&booking, catalog, entitlement, report, result) && write_booking(&booking, among_others, result))
		qzpay_booking_finish(&booking, result);
}

/* Called once, by _PG_init. */
void
qzpay_usage_init(void)
{
	qzpay_usage_events_init();
	qzpay_usage_totals_init();
}
