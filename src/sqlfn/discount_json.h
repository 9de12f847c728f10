/*
 * discount_json.h
 *		Carts, discounts and options as JSON, into what the core takes.
 */
#ifndef QZPAY_SQLFN_DISCOUNT_JSON_H
#define QZPAY_SQLFN_DISCOUNT_JSON_H

#include "pgtime.h"
#include "utils/jsonb.h"

#include "core/discount.h"

#define QZPAY_MAX_CART_LINES 10000
#define QZPAY_MAX_DISCOUNTS 1000

/* Texts point into the JSON that was read. */
typedef struct QzpayDiscountList
{
	int			n;
	QzpayDiscount *discounts;
	const QzpayDiscount **pointers; /* to them */
	pg_tz	  **zones;			/* of their schedules */
} QzpayDiscountList;

typedef struct QzpayDiscountOptions
{
	bool		has_at;
	int64_t		at;				/* microseconds since 1970 */
	pg_tz	   *zone;			/* of dates, and of schedules that name none */
	QzpayStackingRule rule;
	JsonbContainer *redemptions;	/* NULL: none */
} QzpayDiscountOptions;

extern void qzpay_discount_options_read(Jsonb *json, QzpayDiscountOptions *options);
extern void qzpay_discounts_read(Jsonb *json, pg_tz *zone, QzpayDiscountList *list);
extern void qzpay_cart_read(Jsonb *json, const QzpayDiscountOptions *options, QzpayCart *cart);
extern void qzpay_discount_facts_read(const QzpayDiscountOptions *options, const QzpayDiscountList *list, QzpayDiscountFacts *facts);

#endif							/* QZPAY_SQLFN_DISCOUNT_JSON_H */
