/*
 * split_fuzz.c
 *		Splits and prorations against numbers without limit; the split's oracle hands out the rest one by one.
 */
#include "core/proration.h"
#include "exact.h"

#define PARTS 12

static void
check_split(int64_t amount, const QzpayDecimal *weights, int n, BN_CTX *ctx)
{
	int64_t		got[PARTS];
	BIGNUM	   *remainders[PARTS];
	BIGNUM	   *total = BN_new();
	BIGNUM	   *number = exact_from(amount, EXACT_SCALE);
	BIGNUM	   *part = BN_new();
	uint64_t	wanted[PARTS];
	uint64_t	left = amount < 0 ? -(uint64_t) amount : (uint64_t) amount;
	bool		negative = false;

	BN_zero(total);
	BN_set_negative(number, 0);
	for (int i = 0; i < n; i++)
	{
		BIGNUM	   *weight = exact_decimal(weights[i]);

		negative |= weights[i].coef < 0;
		FUZZ_CHECK(BN_add(total, total, weight));
		BN_free(weight);
	}
	if (qzpay_split(amount, weights, n, got) != QZPAY_OK)
	{
		/* Refused: a negative weight, nothing to split by, or weights of more than 64 bits. */
		BIGNUM	   *limit = exact_from((QzpayInt128) 1 << 64, QZPAY_MAX_SCALE);

		FUZZ_CHECK(negative || BN_is_zero(total) || BN_cmp(total, limit) >= 0);
		BN_free(limit);
	}
	else if (!BN_is_zero(total))
	{
		for (int i = 0; i < n; i++)
		{
			BIGNUM	   *weight = exact_decimal(weights[i]);

			remainders[i] = BN_new();
			FUZZ_CHECK(BN_mul(part, number, weight, ctx) && BN_div(part, remainders[i], part, total, ctx));
			wanted[i] = BN_get_word(part);
			left -= wanted[i];
			BN_free(weight);
		}
		while (left-- > 0)
		{
			int			best = 0;

			for (int i = 1; i < n; i++)
				if (BN_cmp(remainders[i], remainders[best]) > 0)
					best = i;
			wanted[best]++;
			BN_zero(remainders[best]);
		}
		for (int i = 0; i < n; i++)
		{
			FUZZ_CHECK(got[i] == (int64_t) (amount < 0 ? -wanted[i] : wanted[i]));
			BN_free(remainders[i]);
		}
	}
	BN_free(total);
	BN_free(number);
	BN_free(part);
}

static void
check_proration(int64_t amount, int64_t part, int64_t whole, QzpayRounding rounding)
{
	int64_t		used = 0;
	int64_t		unused = 0;
	QzpayCode	code = qzpay_prorate(amount, part, whole, rounding, &used);
	BIGNUM	   *product;
	BIGNUM	   *twice;
	BIGNUM	   *error;
	BIGNUM	   *denominator;

	if (whole <= 0 || part < 0 || part > whole)
	{
		FUZZ_CHECK(code == QZPAY_E_RANGE);
		return;
	}
	FUZZ_CHECK(code == QZPAY_OK && qzpay_unused(amount, part, whole, rounding, &unused) == QZPAY_OK);
	FUZZ_CHECK(used + unused == amount);
	/* |used * whole - amount * part| * 2 <= whole says that used is a nearest number. */
	product = exact_from((QzpayInt128) amount * part, EXACT_SCALE);
	twice = exact_from((QzpayInt128) used * whole, EXACT_SCALE);
	denominator = exact_from(whole, EXACT_SCALE);
	error = BN_new();
	FUZZ_CHECK(BN_sub(error, twice, product) && BN_lshift1(error, error));
	FUZZ_CHECK(BN_ucmp(error, denominator) <= 0);
	/* On a tie it is the one away from zero, or the even one. */
	if (BN_ucmp(error, denominator) == 0)
		FUZZ_CHECK(rounding == QZPAY_ROUND_HALF_EVEN ? used % 2 == 0 : BN_is_negative(error) == (amount < 0));
	BN_free(product);
	BN_free(twice);
	BN_free(denominator);
	BN_free(error);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	FuzzInput	input = {data, length};
	BN_CTX	   *ctx = BN_CTX_new();
	QzpayDecimal weights[PARTS];
	int64_t		amount = fuzz_int64(&input);
	int64_t		part = fuzz_int64(&input);
	int64_t		whole = fuzz_int64(&input);
	uint8_t		shape = fuzz_byte(&input);
	int			n = shape % PARTS + 1;

	if (shape & 0x80)
	{
		amount %= 10000;
		whole = whole & 0xfff;
		part = part & 0xfff;
	}
	else if (shape & 0x40 && whole > 0)
		part = (int64_t) ((uint64_t) part % (uint64_t) whole);
	for (int i = 0; i < n; i++)
	{
		weights[i] = fuzz_decimal(&input);
		/* Mostly weights that can be. */
		if (weights[i].coef < 0 && (shape & 0x20))
			weights[i].coef = -weights[i].coef;
	}
	check_split(amount, weights, n, ctx);
	check_proration(amount, part, whole, shape & 1 ? QZPAY_ROUND_HALF_EVEN : QZPAY_ROUND_HALF_UP);
	BN_CTX_free(ctx);
	return 0;
}
