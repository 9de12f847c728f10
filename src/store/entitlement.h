/*
 * entitlement.h
 *		What a customer holds, and what that gives: the row of qzpay.entitlements read against the catalog.
 */
#ifndef QZPAY_STORE_ENTITLEMENT_H
#define QZPAY_STORE_ENTITLEMENT_H

#include "storage/itemptr.h"
#include "utils/jsonb.h"

#include "store/catalog_cache.h"

/* A product held from since until (exclusive). */
typedef struct QzpayHeld
{
	pg_uuid_t	product;
	int64		quantity;
	TimestampTz since;
	TimestampTz until;
	TimestampTz full_until;		/* from here on only what the product keeps while limited */
	TimestampTz added;			/* when it was subscribed to: decides which version of its charges applies */
} QzpayHeld;

#define QZPAY_HELD_INLINE 8

typedef struct QzpayEntitlement
{
	pg_uuid_t	tenant;
	pg_uuid_t	customer;
	bool		on_test_clock;
	TimestampTz now;			/* the customer's: of its test clock, or billing's now */
	int			n_held;
	QzpayHeld  *held;			/* held_inline, or palloc'd */
	QzpayHeld	held_inline[QZPAY_HELD_INLINE];
	Jsonb	   *overrides;		/* feature code → what was decided for this customer; or NULL */

	/* what metering needs; only filled on request */
	bool		has_usage;
	bool		has_period;		/* a running usage period of a subscription, else one is counted from the anchor on */
	TimestampTz usage_start;
	TimestampTz usage_end;
	TimestampTz usage_anchor;
	bool		in_trial;		/* until trial_end */
	TimestampTz trial_end;
	char		usage_unit[8];
	int32		usage_count;
	char		currency[4];
	const char *timezone;		/* palloc'd */
	Jsonb	   *negotiated;		/* product id → meter code → included quantity; or NULL */
	bool		has_row;
	bool		row_locked;		/* by this transaction, so it can't change any more */
	bool		was_newest;		/* when it was read: nobody had replaced or locked it */
	ItemPointerData row;		/* the version read */
} QzpayEntitlement;

/* What a limit allows at an instant. */
typedef struct QzpayAllowance
{
	bool		given;			/* something held says something about it */
	bool		unlimited;
	Numeric		value;			/* when given and not unlimited; lives as long as the catalog or the caller's memory */
	QzpayLimitType type;
	const QzpayCharge *charge;	/* what bills the meter, or NULL */
} QzpayAllowance;

extern void qzpay_entitlement_init(void);

extern bool qzpay_entitlement_read(const pg_uuid_t *customer, bool with_usage, QzpayEntitlement *result);
extern bool qzpay_entitlement_read_text(Datum external_id, bool with_usage, QzpayEntitlement *result);
extern bool qzpay_entitlement_read_for_trigger(Datum external_id, QzpayEntitlement *result);
extern bool qzpay_entitlement_read_newest(bool is_text, Datum customer, QzpayEntitlement *result);
extern void qzpay_entitlement_prefetch(text *const *customers, int n);
extern bool qzpay_entitlement_is_current(const QzpayEntitlement *entitlement);

extern bool qzpay_entitlement_access(const QzpayEntitlement *entitlement, TimestampTz at);
extern bool qzpay_entitlement_has(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayFeature *feature);
extern void qzpay_entitlement_limit(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayFeature *feature,
									QzpayAllowance *result);
extern void qzpay_entitlement_meter(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayMeter *meter, TimestampTz at,
									QzpayAllowance *result);
extern Jsonb *qzpay_entitlement_value(const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayFeature *feature);
extern void qzpay_entitlement_in_full(QzpayEntitlement *entitlement, const QzpayCatalog *catalog, const pg_uuid_t *plan);
extern bool qzpay_entitlement_in_trial(const QzpayEntitlement *entitlement, TimestampTz at);

#endif							/* QZPAY_STORE_ENTITLEMENT_H */
