/*
 * calendar.h
 *		Civil time: days, boundaries of periods, names of intervals.
 *
 * A civil time has no zone.  Converting to and from an instant is the
 * server's, above this floor.
 */
#ifndef QZPAY_CALENDAR_H
#define QZPAY_CALENDAR_H

#include <stddef.h>
#include <stdint.h>

#include "core/code.h"

#define QZPAY_USEC_PER_CIVIL_DAY INT64_C(86400000000)

/* Years the proleptic Gregorian calendar of the server can express. */
#define QZPAY_YEAR_MIN (-4713)
#define QZPAY_YEAR_MAX 294276

/* 1 <= count of an interval <= this. */
#define QZPAY_INTERVAL_COUNT_MAX 1000

typedef struct QzpayCivil
{
	int32_t		year;
	int			month;			/* 1 to 12 */
	int			day;			/* 1 to 31 */
	int64_t		usec_of_day;
} QzpayCivil;

typedef enum QzpayUnit
{
	QZPAY_UNIT_DAY,
	QZPAY_UNIT_WEEK,
	QZPAY_UNIT_MONTH,
	QZPAY_UNIT_YEAR
} QzpayUnit;

extern QzpayCode qzpay_unit_parse(const char *name, QzpayUnit *unit);
extern const char *qzpay_unit_name(QzpayUnit unit);
extern QzpayCode qzpay_interval_parse(const char *text, size_t length, QzpayUnit *unit, int *count);

extern int	qzpay_days_in_month(int32_t year, int month);
extern int64_t qzpay_civil_day_number(const QzpayCivil *civil);
extern int64_t qzpay_civil_days_between(const QzpayCivil *from, const QzpayCivil *to);
extern QzpayCode qzpay_civil_add(const QzpayCivil *anchor, QzpayUnit unit, int64_t count, QzpayCivil *out);

extern QzpayCode qzpay_month_equivalent(QzpayUnit unit, int count, int64_t *numerator, int64_t *denominator);

#endif							/* QZPAY_CALENDAR_H */
