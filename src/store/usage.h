/*
 * usage.h
 *		Usage: events written once, and the totals they make.
 */
#ifndef QZPAY_STORE_USAGE_H
#define QZPAY_STORE_USAGE_H

#include "store/entitlement.h"
#include "store/row.h"

/* One report of usage, as the application makes it. */
typedef struct QzpayUsageReport
{
	const QzpayMeter *meter;
	Numeric		quantity;
	text	   *key;			/* idempotency key, or NULL */
	bool		has_occurred_at;
	TimestampTz occurred_at;
	bool		is_reading;		/* the quantity is the period's total, not an increment */
	Jsonb	   *properties;		/* or NULL */
	Numeric		amount;			/* what it is worth in minor units, or NULL: the quantity */
	bool		late_to_next;	/* of a closed period: counted in the running one instead of refused */
} QzpayUsageReport;

typedef enum QzpayUsageStatus
{
	QZPAY_USAGE_RECORDED,
	QZPAY_USAGE_DUPLICATE,
	QZPAY_USAGE_REFUSED
} QzpayUsageStatus;

typedef struct QzpayUsageResult
{
	QzpayUsageStatus status;
	Numeric		total;			/* of the meter in the event's period; the mean where it aggregates by avg */
	int			sqlstate;		/* when refused */
	char	   *message;
	char	   *detail;			/* or NULL */
	char	   *hint;			/* or NULL */
} QzpayUsageResult;

/* A row of usage_events. */
typedef struct QzpayUsageEvent
{
	pg_uuid_t	tenant;
	pg_uuid_t	customer;
	pg_uuid_t	id;
	pg_uuid_t	meter;
	TimestampTz period_start;
	TimestampTz occurred_at;
	TimestampTz recorded_at;
	TimestampTz keys_since;		/* the same key may have been recorded from then on */
	Numeric		quantity;		/* what it adds to the total */
	Numeric		reading;		/* what was stated, where that is something else; or NULL */
	Numeric		amount;			/* or NULL */
	text	   *key;
	Jsonb	   *properties;
	ItemPointerData row;
} QzpayUsageEvent;

/* A running total to be added to. */
typedef struct QzpayUsageTotal
{
	pg_uuid_t	tenant;
	pg_uuid_t	customer;
	pg_uuid_t	meter;
	TimestampTz period_start;

	bool		exclusive;		/* decide under the lock of the first shard */
	bool		is_gauge;		/* fed by readings, not by increments */
	int64		adding;			/* events to be added */
	Numeric		amount;			/* of those, or NULL: their quantity */
	Numeric		before;			/* sum of all shards */
	Numeric		after;
	int64		events;			/* that made it, before */
} QzpayUsageTotal;

/* Called with total->before under the lock; sets total->after and the difference, or returns false to leave everything as it is. */
typedef bool (*QzpayUsageDecision) (QzpayUsageTotal *total, Numeric *difference, void *arg);

/* A report of a batch, what its customer holds, and the answer. */
typedef struct QzpayUsageItem
{
	const QzpayUsageReport *report;
	const QzpayEntitlement *entitlement;
	bool		is_left;		/* not booked with the others: it has to be booked alone, when all others are */
	QzpayUsageResult result;
} QzpayUsageItem;

typedef enum QzpayTotalResult
{
	QZPAY_TOTAL_ADDED,
	QZPAY_TOTAL_LEFT,			/* the decision was no */
	QZPAY_TOTAL_MIXED			/* increments and readings in one period */
} QzpayTotalResult;

extern void qzpay_usage_init(void);

extern void qzpay_usage_allowance(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayMeter *meter, TimestampTz at,
								  QzpayAllowance *allowance);
extern void qzpay_usage_record_together(const QzpayCatalog *catalog, QzpayUsageItem *items, int n_items);
extern void qzpay_usage_record(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayUsageReport *report,
							   bool among_others, QzpayUsageResult *result);
extern bool qzpay_usage_period(const QzpayEntitlement *entitlement, TimestampTz at, TimestampTz *start, TimestampTz *end);

extern void qzpay_usage_events_init(void);
extern void qzpay_usage_event_prepare(TimestampTz recorded_at);
extern bool qzpay_usage_event_find(const QzpayUsageEvent *sought, bool in_own_month, QzpayUsageEvent *found, TransactionId *in_progress);
extern bool qzpay_usage_event_insert(QzpayUsageEvent *event, bool tentative);
extern void qzpay_usage_events_begin(QzpayRows *rows, TimestampTz recorded_at, int room);
extern void qzpay_usage_events_add(QzpayRows *rows, const QzpayUsageEvent *event);
extern void qzpay_usage_event_delete(QzpayUsageEvent *event);

extern void qzpay_usage_totals_init(void);
extern bool qzpay_usage_total_claim(const QzpayUsageTotal *total, QzpayKeyLock *lock);
extern QzpayTotalResult qzpay_usage_total_add(QzpayUsageTotal *total, QzpayUsageDecision decide, void *arg);
extern void qzpay_usage_totals_prefetch(const QzpayUsageTotal *const *sought, int n);
extern Numeric qzpay_usage_total_read(const QzpayUsageTotal *total, Snapshot snapshot, int64 *events);
extern void qzpay_usage_totals_await(const pg_uuid_t *tenant, const pg_uuid_t *customer, const pg_uuid_t *meter, TimestampTz period_start);

extern bool qzpay_usage_value_id(const QzpayMeter *meter, Jsonb *properties, pg_uuid_t *id);
extern bool qzpay_usage_value_known(const QzpayUsageTotal *total, const pg_uuid_t *id);
extern void qzpay_usage_value_add(const QzpayUsageTotal *total, const pg_uuid_t *id);

#endif							/* QZPAY_STORE_USAGE_H */
