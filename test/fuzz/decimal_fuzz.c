/*
 * decimal_fuzz.c
 *		Decimals: the text against a second reading of its grammar, the arithmetic against numbers without limit.
 */
#include <strings.h>

#include "exact.h"

/* Whether text is [+-]digits[.digits]; the canonical form of its value is written to out, which has length + 3 bytes. */
static bool
canonical(const char *text, size_t length, char *out)
{
	size_t		sign = length > 0 && (text[0] == '-' || text[0] == '+');
	const char *point = memchr(text, '.', length);
	size_t		whole_end = point ? (size_t) (point - text) : length;
	size_t		begin = sign;
	size_t		end = length;
	size_t		n = 0;

	if (whole_end == sign || (point && whole_end + 1 == length))
		return false;
	for (size_t i = sign; i < length; i++)
		if (i != whole_end && (text[i] < '0' || text[i] > '9'))
			return false;
	while (begin + 1 < whole_end && text[begin] == '0')
		begin++;
	while (point && text[end - 1] == '0')
		end--;
	if (point && end == whole_end + 1)
		end--;
	if (text[0] == '-' && !(end - begin == 1 && text[begin] == '0'))
		out[n++] = '-';
	memcpy(out + n, text + begin, end - begin);
	out[n + end - begin] = '\0';
	return true;
}

static void
check_text(const char *text, size_t length)
{
	char	   *wanted = malloc(length + 3);
	char		printed[QZPAY_DECIMAL_BUFSIZE];
	QzpayDecimal value;
	bool		number = canonical(text, length, wanted);
	QzpayCode	code = qzpay_decimal_parse(text, length, &value);

	if (code == QZPAY_OK)
	{
		FUZZ_CHECK(number && qzpay_decimal_valid(value));
		FUZZ_CHECK(qzpay_decimal_print(qzpay_decimal_normalise(value), printed) == strlen(printed));
		FUZZ_CHECK(strcmp(printed, wanted) == 0);
	}
	else if (code == QZPAY_E_NAN || code == QZPAY_E_INVALID)
		FUZZ_CHECK(!number);
	else
	{
		/* Refused for its length: either more than 18 decimals, or more than 38 digits. */
		const char *point;
		size_t		decimals;
		size_t		digits;

		FUZZ_CHECK(number);
		point = strchr(wanted, '.');
		decimals = point ? strlen(point + 1) : 0;
		digits = strlen(wanted) - (point != NULL) - (wanted[0] == '-');
		FUZZ_CHECK(code == QZPAY_E_SCALE ? decimals > QZPAY_MAX_SCALE : code == QZPAY_E_OVERFLOW && digits > 38);
	}
	free(wanted);
}

static void
check_rounding(QzpayDecimal value, QzpayRounding rounding, BN_CTX *ctx)
{
	BIGNUM	   *number = exact_decimal(value);
	BIGNUM	   *wanted = exact_round(number, rounding, ctx);
	int64_t		got;

	if (qzpay_decimal_round(value, rounding, &got) == QZPAY_OK)
	{
		BIGNUM	   *rounded = exact_from(got, EXACT_SCALE);

		FUZZ_CHECK(BN_cmp(rounded, wanted) == 0);
		BN_free(rounded);
	}
	else
	{
		BIGNUM	   *limit = exact_from(BN_is_negative(wanted) ? INT64_MIN : INT64_MAX, EXACT_SCALE);

		FUZZ_CHECK(BN_ucmp(wanted, limit) > 0);
		BN_free(limit);
	}
	BN_free(number);
	BN_free(wanted);
}

/* Whether a number needs more than 38 digits at some scale that its operation may choose. */
static bool
too_large(const BIGNUM *number, int scale)
{
	BIGNUM	   *limit = exact_power(38 + EXACT_SCALE - scale);
	bool		result = BN_ucmp(number, limit) >= 0;

	BN_free(limit);
	return result;
}

static void
check_arithmetic(QzpayDecimal a, QzpayDecimal b, BN_CTX *ctx)
{
	BIGNUM	   *x = exact_decimal(a);
	BIGNUM	   *y = exact_decimal(b);
	BIGNUM	   *sum = BN_new();
	BIGNUM	   *product = exact_product(x, y, ctx);
	int			scale = a.scale > b.scale ? a.scale : b.scale;
	QzpayDecimal got;
	QzpayCode	code;

	FUZZ_CHECK(BN_add(sum, x, y));
	code = qzpay_decimal_add(a, b, &got);
	if (code == QZPAY_OK)
		FUZZ_CHECK(qzpay_decimal_valid(got) && exact_is(sum, got));
	else
		FUZZ_CHECK(too_large(sum, scale) || too_large(x, scale) || too_large(y, scale));
	code = qzpay_decimal_mul(a, b, &got);
	if (code == QZPAY_OK)
		FUZZ_CHECK(qzpay_decimal_valid(got) && exact_is(product, got));
	else if (code == QZPAY_E_OVERFLOW)
		FUZZ_CHECK(too_large(product, a.scale + b.scale));
	else
	{
		/* Something is left beyond the 18th decimal. */
		BIGNUM	   *unit = exact_power(EXACT_SCALE - QZPAY_MAX_SCALE);
		BIGNUM	   *rest = BN_new();

		FUZZ_CHECK(code == QZPAY_E_SCALE && BN_mod(rest, product, unit, ctx) && !BN_is_zero(rest));
		BN_free(unit);
		BN_free(rest);
	}
	FUZZ_CHECK(qzpay_decimal_compare(a, b) == BN_cmp(x, y));
	FUZZ_CHECK(qzpay_decimal_compare(a, qzpay_decimal_normalise(a)) == 0);
	BN_free(x);
	BN_free(y);
	BN_free(sum);
	BN_free(product);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	FuzzInput	input = {data, length};
	BN_CTX	   *ctx = BN_CTX_new();
	QzpayDecimal a;
	QzpayDecimal b;

	check_text((const char *) data, length);
	a = fuzz_decimal(&input);
	b = fuzz_decimal(&input);
	check_arithmetic(a, b, ctx);
	check_rounding(a, QZPAY_ROUND_HALF_UP, ctx);
	check_rounding(a, QZPAY_ROUND_HALF_EVEN, ctx);
	BN_CTX_free(ctx);
	return 0;
}
