/*
 * instant.h
 *		Instants and dates as JSON documents write them: a subset of ISO 8601 that means the same in every session.
 */
#ifndef QZPAY_INSTANT_H
#define QZPAY_INSTANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/calendar.h"
#include "core/code.h"

typedef struct QzpayInstant
{
	bool		is_date;		/* a day without time or zone: civil.usec_of_day is 0 and usec means nothing */
	int64_t		usec;			/* microseconds since 1970-01-01T00:00Z */
	QzpayCivil	civil;			/* as written */
} QzpayInstant;

extern QzpayCode qzpay_instant_parse(const char *text, size_t length, QzpayInstant *out);

#endif							/* QZPAY_INSTANT_H */
