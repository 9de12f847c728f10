/*
 * rate.h
 *		Rates of customers, in memory that all sessions share.
 */
#ifndef QZPAY_STORE_RATE_H
#define QZPAY_STORE_RATE_H

#include "utils/uuid.h"

#include "core/rate.h"

extern void qzpay_rate_init(void);

extern bool qzpay_rate_is_shared(void);
extern void qzpay_rate_take_for(const pg_uuid_t *customer, const char *feature, int64 now, uint32 limit, uint32 cost, QzpayRateAnswer *answer);

#endif							/* QZPAY_STORE_RATE_H */
