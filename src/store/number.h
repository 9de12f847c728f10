/*
 * number.h
 *		Arithmetic on the server's numeric, by its own functions.
 */
#ifndef QZPAY_STORE_NUMBER_H
#define QZPAY_STORE_NUMBER_H

#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "store/decimal.h"

static inline Numeric
qzpay_number_add(Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric_add, NumericGetDatum(a), NumericGetDatum(b)));
}

static inline Numeric
qzpay_number_subtract(Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric_sub, NumericGetDatum(a), NumericGetDatum(b)));
}

static inline Numeric
qzpay_number_multiply(Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric_mul, NumericGetDatum(a), NumericGetDatum(b)));
}

static inline Numeric
qzpay_number_divide(Numeric a, Numeric b)
{
	return DatumGetNumeric(DirectFunctionCall2(numeric_div, NumericGetDatum(a), NumericGetDatum(b)));
}

static inline int
qzpay_number_compare(Numeric a, Numeric b)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a), NumericGetDatum(b)));
}

static inline Numeric
qzpay_number_zero(void)
{
	return int64_to_numeric(0);
}

static inline bool
qzpay_number_is_finite(Numeric a)
{
	return !numeric_is_nan(a) && !numeric_is_inf(a);
}

/* Whether the number is a whole one of up to 16 digits, by value, so that 1.0 is one too, and which.  NaN and the infinities are none. */
static inline bool
qzpay_number_is_whole(Numeric a, int64 *value)
{
	QzpayDecimal decimal;

	if (qzpay_decimal_from_numeric(NumericGetDatum(a), &decimal) != QZPAY_OK || decimal.scale != 0 ||
		decimal.coef >= INT64CONST(10000000000000000) || decimal.coef <= -INT64CONST(10000000000000000))
		return false;
	*value = (int64) decimal.coef;
	return true;
}

/*
 * The same of a number that is written without decimals: what is nearly always counted.  Four digits of base 10000 behind the short header
 * take 10 bytes, but so does 1e30: zeros at the end are not stored.
 */
static inline bool
qzpay_number_is_small(Numeric a, int64 *value)
{
	return VARSIZE(a) <= VARHDRSZ + 10 && qzpay_number_is_finite(a) &&
		DatumGetInt32(DirectFunctionCall1(numeric_scale, NumericGetDatum(a))) == 0 && qzpay_number_is_whole(a, value);
}

/* -1, 0 or 1 */
static inline int
qzpay_number_sign(Numeric a)
{
	return qzpay_number_compare(a, qzpay_number_zero());
}

/* round(100 × part / whole), half away from zero; whole must not be zero. */
static inline Numeric
qzpay_number_percent(Numeric part, Numeric whole)
{
	Numeric		hundred = qzpay_number_multiply(int64_to_numeric(100), part);
	Datum		ratio = DirectFunctionCall2(numeric_div, NumericGetDatum(hundred), NumericGetDatum(whole));

	return DatumGetNumeric(DirectFunctionCall2(numeric_round, ratio, Int32GetDatum(0)));
}

#endif							/* QZPAY_STORE_NUMBER_H */
