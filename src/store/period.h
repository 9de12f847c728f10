/*
 * period.h
 *		Periods counted from an anchor, in a time zone.
 */
#ifndef QZPAY_STORE_PERIOD_H
#define QZPAY_STORE_PERIOD_H

#include "datatype/timestamp.h"

extern TimestampTz qzpay_period_boundary(TimestampTz anchor, const char *unit, int count, int64 n, const char *timezone);
extern void qzpay_period_at(TimestampTz anchor, const char *unit, int count, const char *timezone, TimestampTz at,
							TimestampTz *start, TimestampTz *end);

#endif							/* QZPAY_STORE_PERIOD_H */
