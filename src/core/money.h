/*
 * money.h
 *		Exact decimals, rounding to minor units, currencies, and splitting an amount into parts that add up.
 *
 * An amount of money is an int64_t of minor units (cents) beside an ISO 4217 code.  Prices and quantities may have decimals: they
 * are QzpayDecimal, exact.  There is no floating point anywhere.
 */
#ifndef QZPAY_MONEY_H
#define QZPAY_MONEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/code.h"
#include "core/wide.h"

/* coef * 10^-scale; 0 <= scale <= QZPAY_MAX_SCALE and |coef| <= QZPAY_WIDE_MAX (38 digits). */
typedef struct QzpayDecimal
{
	QzpayInt128 coef;
	int			scale;
} QzpayDecimal;

typedef enum QzpayRounding
{
	QZPAY_ROUND_HALF_UP = 0,	/* half away from zero: the default */
	QZPAY_ROUND_HALF_EVEN
} QzpayRounding;

/* Longest decimal as text with its terminating zero: sign, 39 digits, point. */
#define QZPAY_DECIMAL_BUFSIZE 44

/*
 * qzpay_decimal_int
 *		A whole number as a decimal.
 */
static inline QzpayDecimal
qzpay_decimal_int(int64_t value)
{
	QzpayDecimal result = {value, 0};

	return result;
}

/*
 * qzpay_decimal_sign
 *		-1, 0 or 1.
 */
static inline int
qzpay_decimal_sign(QzpayDecimal value)
{
	return (value.coef > 0) - (value.coef < 0);
}

extern QzpayCode qzpay_decimal_parse(const char *text, size_t length, QzpayDecimal *out);
extern size_t qzpay_decimal_print(QzpayDecimal value, char out[QZPAY_DECIMAL_BUFSIZE]);
extern bool qzpay_decimal_valid(QzpayDecimal value);
extern QzpayCode qzpay_decimal_rescale(QzpayDecimal value, int scale, QzpayDecimal *out);
extern QzpayDecimal qzpay_decimal_normalise(QzpayDecimal value);
extern QzpayCode qzpay_decimal_add(QzpayDecimal a, QzpayDecimal b, QzpayDecimal *out);
extern QzpayCode qzpay_decimal_sub(QzpayDecimal a, QzpayDecimal b, QzpayDecimal *out);
extern QzpayCode qzpay_decimal_mul(QzpayDecimal a, QzpayDecimal b, QzpayDecimal *out);
extern int	qzpay_decimal_compare(QzpayDecimal a, QzpayDecimal b);
extern QzpayCode qzpay_decimal_round(QzpayDecimal value, QzpayRounding rounding, int64_t *out);

extern QzpayCode qzpay_divide_round(QzpayInt128 numerator, QzpayInt128 denominator, QzpayRounding rounding, QzpayInt128 *out);
extern QzpayCode qzpay_rounding_parse(const char *name, QzpayRounding *out);

extern int	qzpay_currency_exponent(const char *code);

extern QzpayCode qzpay_split(int64_t amount, const QzpayDecimal *weights, int n, int64_t *out);

#endif
