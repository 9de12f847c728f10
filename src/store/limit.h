/*
 * limit.h
 *		Counters of the rows that the application's own tables hold.
 */
#ifndef QZPAY_STORE_LIMIT_H
#define QZPAY_STORE_LIMIT_H

#include "store/entitlement.h"

/* One counter. */
typedef struct QzpayCounter
{
	pg_uuid_t	tenant;
	pg_uuid_t	customer;
	const char *feature;
	Oid			relation;
	const char *scope;
} QzpayCounter;

typedef enum QzpayCounterState
{
	QZPAY_COUNTER_MOVED,
	QZPAY_COUNTER_FULL,			/* the limit forbids it */
	QZPAY_COUNTER_MISSING		/* nobody has counted yet */
} QzpayCounterState;

extern QzpayCounterState qzpay_counter_move(const QzpayCounter *counter, int64 delta, Numeric limit, int64 *used);
extern bool qzpay_counter_start(const QzpayCounter *counter);
extern int64 qzpay_counter_read(const pg_uuid_t *tenant, const pg_uuid_t *customer, const char *feature, text *scope);
extern void qzpay_counter_set(const QzpayCounter *counter, int64 used);
extern void qzpay_counter_was_over(const QzpayCounter *counter);
extern void qzpay_counters_forget(Oid relation, const char *feature);

extern void qzpay_limit_reached(const char *feature, const char *customer, Numeric current, Numeric limit_value) pg_attribute_noreturn();

#endif							/* QZPAY_STORE_LIMIT_H */
