/*
 * exact.h
 *		An oracle for decimals: whole numbers without limit, in units of 10^-36.
 *
 * 36 decimals hold the product of any two decimals of the core, so the oracle never rounds unless told to.
 */
#ifndef QZPAY_EXACT_H
#define QZPAY_EXACT_H

#include <openssl/bn.h>

#include "core/money.h"
#include "fuzz.h"

#define EXACT_SCALE 36

/* 10 to a power. */
static inline BIGNUM *
exact_power(int exponent)
{
	BIGNUM	   *result = BN_new();

	FUZZ_CHECK(result != NULL && BN_set_word(result, 1));
	while (exponent-- > 0)
		FUZZ_CHECK(BN_mul_word(result, 10));
	return result;
}

/* A coefficient of this scale in units of 10^-36. */
static inline BIGNUM *
exact_from(QzpayInt128 coef, int scale)
{
	unsigned __int128 magnitude = coef < 0 ? -(unsigned __int128) coef : (unsigned __int128) coef;
	BIGNUM	   *result = BN_new();
	BIGNUM	   *low = BN_new();

	FUZZ_CHECK(BN_set_word(result, (uint64_t) (magnitude >> 64)) && BN_lshift(result, result, 64));
	FUZZ_CHECK(BN_set_word(low, (uint64_t) magnitude) && BN_add(result, result, low));
	BN_free(low);
	for (int i = scale; i < EXACT_SCALE; i++)
		FUZZ_CHECK(BN_mul_word(result, 10));
	BN_set_negative(result, coef < 0);
	return result;
}

static inline BIGNUM *
exact_decimal(QzpayDecimal value)
{
	return exact_from(value.coef, value.scale);
}

/* a * b, both in units of 10^-36, in the same units; the product must need no more decimals. */
static inline BIGNUM *
exact_product(const BIGNUM *a, const BIGNUM *b, BN_CTX *ctx)
{
	BIGNUM	   *result = BN_new();
	BIGNUM	   *rest = BN_new();
	BIGNUM	   *unit = exact_power(EXACT_SCALE);

	FUZZ_CHECK(BN_mul(result, a, b, ctx) && BN_div(result, rest, result, unit, ctx) && BN_is_zero(rest));
	BN_free(rest);
	BN_free(unit);
	return result;
}

/* Whether a decimal of the core is this number. */
static inline bool
exact_is(const BIGNUM *wanted, QzpayDecimal got)
{
	BIGNUM	   *number = exact_decimal(got);
	bool		same = BN_cmp(wanted, number) == 0;

	BN_free(number);
	return same;
}

/* The nearest whole number, as the core rounds, by doubling and looking at the remainder. */
static inline BIGNUM *
exact_round(const BIGNUM *value, QzpayRounding rounding, BN_CTX *ctx)
{
	BIGNUM	   *unit = exact_power(EXACT_SCALE);
	BIGNUM	   *whole = BN_new();
	BIGNUM	   *rest = BN_new();
	int			order;

	FUZZ_CHECK(BN_div(whole, rest, value, unit, ctx));
	BN_set_negative(rest, 0);
	BN_set_negative(whole, 0);
	FUZZ_CHECK(BN_lshift1(rest, rest));
	order = BN_cmp(rest, unit);
	if (order > 0 || (order == 0 && (rounding == QZPAY_ROUND_HALF_UP || BN_is_odd(whole))))
		FUZZ_CHECK(BN_add_word(whole, 1));
	BN_set_negative(whole, BN_is_negative(value));
	BN_free(unit);
	BN_free(rest);
	return whole;
}

/* A decimal made from the input: small, large or anything, so that every way through the code is met. */
static inline QzpayDecimal
fuzz_decimal(FuzzInput *input)
{
	QzpayDecimal result = {0, 0};
	uint8_t		kind = fuzz_byte(input);

	switch (kind & 3)
	{
		case 0:
			result.coef = fuzz_byte(input);
			result.scale = fuzz_byte(input) % 4;
			break;
		case 1:
			result.coef = fuzz_int64(input) % 100000000;
			result.scale = fuzz_byte(input) % 13;
			break;
		case 2:
			result.coef = fuzz_int64(input);
			result.scale = fuzz_byte(input) % (QZPAY_MAX_SCALE + 1);
			break;
		default:
			result.coef = ((QzpayInt128) fuzz_int64(input) * INT64_MAX + fuzz_int64(input)) % (QZPAY_WIDE_MAX + 1);
			result.scale = fuzz_byte(input) % (QZPAY_MAX_SCALE + 1);
	}
	return result;
}

#endif							/* QZPAY_EXACT_H */
