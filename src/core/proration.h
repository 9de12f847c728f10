/*
 * proration.h
 *		The part of a debit that was used, and what is left of it.
 */
#ifndef QZPAY_PRORATION_H
#define QZPAY_PRORATION_H

#include <stdint.h>

#include "core/code.h"
#include "core/money.h"

extern QzpayCode qzpay_prorate(int64_t amount, int64_t part, int64_t whole, QzpayRounding rounding, int64_t *out);
extern QzpayCode qzpay_unused(int64_t amount, int64_t used, int64_t whole, QzpayRounding rounding, int64_t *out);

#endif							/* QZPAY_PRORATION_H */
