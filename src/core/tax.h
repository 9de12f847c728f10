/*
 * tax.h
 *		Tax of a rate on the lines of an invoice.
 */
#ifndef QZPAY_TAX_H
#define QZPAY_TAX_H

#include <stdint.h>

#include "core/code.h"
#include "core/money.h"

extern QzpayCode qzpay_tax(const int64_t *bases, int n, QzpayDecimal percentage, QzpayDecimal included, int64_t *out);

#endif							/* QZPAY_TAX_H */
