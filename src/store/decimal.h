/*
 * decimal.h
 *		The server's numeric and the core's decimal.
 */
#ifndef QZPAY_STORE_DECIMAL_H
#define QZPAY_STORE_DECIMAL_H

#include "core/money.h"

extern QzpayCode qzpay_decimal_from_numeric(Datum value, QzpayDecimal *out);
extern Datum qzpay_decimal_to_numeric(const QzpayDecimal *value);
extern void qzpay_core_error(QzpayCode code, const char *what) pg_attribute_noreturn();

#endif							/* QZPAY_STORE_DECIMAL_H */
