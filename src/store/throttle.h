/*
 * throttle.h
 *		Failed guesses per tenant, counted where no ROLLBACK reaches.
 */
#ifndef QZPAY_STORE_THROTTLE_H
#define QZPAY_STORE_THROTTLE_H

#include "utils/uuid.h"

extern void qzpay_throttle_init(void);
extern int	qzpay_throttle_failures(const pg_uuid_t *tenant, bool failed);

#endif							/* QZPAY_STORE_THROTTLE_H */
