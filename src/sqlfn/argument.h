/*
 * argument.h
 *		Arguments that several SQL-callable functions take.
 */
#ifndef QZPAY_SQLFN_ARGUMENT_H
#define QZPAY_SQLFN_ARGUMENT_H

#include "fmgr.h"
#include "pgtime.h"

#include "core/money.h"

extern char *qzpay_argument_shown(text *argument);
extern QzpayDecimal qzpay_argument_decimal(FunctionCallInfo fcinfo, int n, const char *what);
extern Datum *qzpay_argument_array(FunctionCallInfo fcinfo, int n, Oid element, const char *what, bool **nulls, int *length);
extern QzpayRounding qzpay_argument_rounding(FunctionCallInfo fcinfo, int n);
extern pg_tz *qzpay_timezone_named(const char *text, int length);
extern pg_tz *qzpay_argument_timezone(FunctionCallInfo fcinfo, int n);

#endif							/* QZPAY_SQLFN_ARGUMENT_H */
