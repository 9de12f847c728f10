/*
 * usage_booking.h
 *		A report of usage on its way into the tables: the steps that a single one and a batch have in common.
 */
#ifndef QZPAY_STORE_USAGE_BOOKING_H
#define QZPAY_STORE_USAGE_BOOKING_H

#include "store/row.h"
#include "store/usage.h"

/* A report on its way. */
typedef struct QzpayBooking
{
	const QzpayCatalog *catalog;
	const QzpayEntitlement *entitlement;
	const QzpayUsageReport *report;
	QzpayAllowance allowance;
	QzpayUsageEvent event;
	QzpayUsageTotal total;
	TimestampTz period_end;
	bool		is_late;		/* booked into the running period, its own being closed */
	pg_uuid_t	value;			/* what a meter that counts distinct values counts here */
	bool		value_is_new;
} QzpayBooking;

extern bool qzpay_booking_prepare(QzpayBooking *booking, const QzpayCatalog *catalog, const QzpayEntitlement *entitlement, const QzpayUsageReport *report,
								  QzpayUsageResult *result);
extern bool qzpay_booking_adds_blindly(const QzpayBooking *booking);

extern bool qzpay_booking_expects_new_keys(void);
extern bool qzpay_booking_insert_key(QzpayBooking *booking, QzpayUsageResult *result);
extern bool qzpay_booking_enter_key(QzpayBooking *booking, QzpayRows *rows, int row, QzpayUsageResult *result);
extern void qzpay_booking_take_back(QzpayBooking *booking);
extern void qzpay_booking_refuse(const QzpayBooking *booking, QzpayTotalResult outcome, QzpayUsageResult *result);
extern void qzpay_booking_alert(const QzpayBooking *booking);
extern void qzpay_booking_finish(const QzpayBooking *booking, QzpayUsageResult *result);

#endif							/* QZPAY_STORE_USAGE_BOOKING_H */
