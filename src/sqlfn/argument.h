/*
 * argument.h
 *		Arguments that several SQL-callable functions take.
 */
#ifndef QZPAY_SQLFN_ARGUMENT_H
#define QZPAY_SQLFN_ARGUMENT_H

#include "fmgr.h"
#include "pgtime.h"

#include "core/money.h"

extern void qzpay_raise_card_number(void) pg_attribute_noreturn();
extern char *qzpay_argument_shown(text *argument);
extern QzpayDecimal qzpay_argument_decimal(FunctionCallInfo fcinfo, int n, const char *what);
extern QzpayRounding qzpay_argument_rounding(FunctionCallInfo fcinfo, int n);
extern pg_tz *qzpay_timezone_named(const char *text, int length);
extern pg_tz *qzpay_argument_timezone(FunctionCallInfo fcinfo, int n);

#endif							/* QZPAY_SQLFN_ARGUMENT_H */
