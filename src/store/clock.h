/*
 * clock.h
 *		The only places that tell the time.
 */
#ifndef QZPAY_STORE_CLOCK_H
#define QZPAY_STORE_CLOCK_H

#include "datatype/timestamp.h"
#include "utils/uuid.h"

extern void qzpay_clock_init(void);

extern TimestampTz qzpay_clock_now(void);
extern TimestampTz qzpay_clock_of(bool has_clock, const pg_uuid_t *clock);
extern TimestampTz qzpay_clock_recorded(void);
extern TimestampTz qzpay_clock_real(void);

extern bool qzpay_clock_set(bool is_set, TimestampTz at, TimestampTz *previous);

#endif							/* QZPAY_STORE_CLOCK_H */
