/*
 * money.c
 *		Exact decimals and their rounding, and the largest-remainder split.
 */
#include <string.h>
#include <strings.h>

#include "core/money.h"

/*
 * parse_special
 *		Tell the spellings of NaN and infinity, with or without sign, from other garbage.
 */
static bool
parse_special(const char *text, size_t length)
{
	if (length > 0 && (*text == '-' || *text == '+'))
	{
		text++;
		length--;
	}
	return (length == 3 && (strncasecmp(text, "nan", 3) == 0 || strncasecmp(text, "inf", 3) == 0)) ||
		(length == 8 && strncasecmp(text, "infinity", 8) == 0);
}

/*
 * count_digits
 *		How many digits stand at the front of text.
 */
static size_t
count_digits(const char *text, size_t length)
{
	size_t		n = 0;

	while (n < length && text[n] >= '0' && text[n] <= '9')
		n++;
	return n;
}

/*
 * qzpay_decimal_parse
 *		Read a decimal: [+-]digits[.digits], nothing before or after it.
 *
 * text need not be terminated.  Zeros at the end of the decimals cost nothing, so 1.500 has one decimal.
 * QZPAY_E_NAN for NaN and the infinities, QZPAY_E_SCALE for more than QZPAY_MAX_SCALE decimals, QZPAY_E_OVERFLOW for more than
 * 38 digits, QZPAY_E_INVALID for anything else; *out is then untouched.
 */
QzpayCode
qzpay_decimal_parse(const char *text, size_t length, QzpayDecimal *out)
{
	size_t		sign = length > 0 && (text[0] == '-' || text[0] == '+');
	size_t		whole = count_digits(text + sign, length - sign);
	size_t		end = sign + whole;
	size_t		decimals = 0;
	QzpayInt128 coef = 0;

	if (whole > 0 && end < length && text[end] == '.')
	{
		decimals = count_digits(text + end + 1, length - end - 1);
		if (decimals > 0)
			end += 1 + decimals;
	}
	if (whole == 0 || end != length)
		return parse_special(text, length) ? QZPAY_E_NAN : QZPAY_E_INVALID;
	while (decimals > 0 && text[sign + whole + decimals] == '0')
		decimals--;
	if (decimals > QZPAY_MAX_SCALE)
		return QZPAY_E_SCALE;
	for (size_t i = 0; i < whole + decimals; i++)
	{
		int			digit = text[sign + i + (i >= whole)] - '0';

		if (coef > (QZPAY_WIDE_MAX - digit) / 10)
			return QZPAY_E_OVERFLOW;
		coef = coef * 10 + digit;
	}
	out->coef = text[0] == '-' ? -coef : coef;
	out->scale = (int) decimals;
	return QZPAY_OK;
}

/*
 * qzpay_decimal_print
 *		Write a decimal with exactly scale decimals, terminated; the length without the zero byte.
 *
 * An amount of minor units prints as {amount, exponent of its currency}.
 */
size_t
qzpay_decimal_print(QzpayDecimal value, char out[QZPAY_DECIMAL_BUFSIZE])
{
	char		reversed[QZPAY_DECIMAL_BUFSIZE];
	size_t		n = 0;
	size_t		length = 0;
	QzpayInt128 rest = value.coef < 0 ? -value.coef : value.coef;
	int			digits = 0;

	while (rest != 0 || digits <= value.scale)
	{
		if (digits == value.scale && digits > 0)
			reversed[n++] = '.';
		reversed[n++] = (char) ('0' + (int) (rest % 10));
		rest /= 10;
		digits++;
	}
	if (value.coef < 0)
		out[length++] = '-';
	while (n > 0)
		out[length++] = reversed[--n];
	out[length] = '\0';
	return length;
}

/*
 * qzpay_decimal_valid
 *		Whether a decimal built by hand keeps the limits every other function here relies on.
 */
bool
qzpay_decimal_valid(QzpayDecimal value)
{
	return value.scale >= 0 && value.scale <= QZPAY_MAX_SCALE && value.coef <= QZPAY_WIDE_MAX && value.coef >= -QZPAY_WIDE_MAX;
}

/*
 * qzpay_decimal_rescale
 *		The same value with this many decimals.
 *
 * QZPAY_E_SCALE when decimals other than zero would be lost or scale is impossible, QZPAY_E_OVERFLOW when it does not fit.
 */
QzpayCode
qzpay_decimal_rescale(QzpayDecimal value, int scale, QzpayDecimal *out)
{
	QzpayInt128 coef;

	if (scale < 0 || scale > QZPAY_MAX_SCALE)
		return QZPAY_E_SCALE;
	if (scale >= value.scale)
	{
		if (!qzpay_wide_mul(value.coef, qzpay_pow10[scale - value.scale], &coef))
			return QZPAY_E_OVERFLOW;
	}
	else
	{
		int64_t		divisor = qzpay_pow10[value.scale - scale];

		if (value.coef % divisor != 0)
			return QZPAY_E_SCALE;
		coef = value.coef / divisor;
	}
	out->coef = coef;
	out->scale = scale;
	return QZPAY_OK;
}

/*
 * qzpay_decimal_normalise
 *		The same value without zeros at the end of its decimals.
 */
QzpayDecimal
qzpay_decimal_normalise(QzpayDecimal value)
{
	if (qzpay_fits_i64(value.coef))
	{
		int64_t		coef = (int64_t) value.coef;

		/* An odd number is no multiple of ten: no division. */
		while (value.scale > 0 && (coef & 1) == 0 && coef % 10 == 0)
		{
			coef /= 10;
			value.scale--;
		}
		value.coef = coef;
		return value;
	}
	while (value.scale > 0 && value.coef % 10 == 0)
	{
		value.coef /= 10;
		value.scale--;
	}
	return value;
}

/*
 * qzpay_decimal_add
 *		a + b, with the decimals of the operand that has more; QZPAY_E_OVERFLOW when that does not fit.
 */
QzpayCode
qzpay_decimal_add(QzpayDecimal a, QzpayDecimal b, QzpayDecimal *out)
{
	QzpayInt128 sum;

	if (a.scale < b.scale)
	{
		if (!qzpay_wide_mul(a.coef, qzpay_pow10[b.scale - a.scale], &a.coef))
			return QZPAY_E_OVERFLOW;
		a.scale = b.scale;
	}
	else if (b.scale < a.scale && !qzpay_wide_mul(b.coef, qzpay_pow10[a.scale - b.scale], &b.coef))
		return QZPAY_E_OVERFLOW;
	if (!qzpay_wide_add(a.coef, b.coef, &sum))
		return QZPAY_E_OVERFLOW;
	out->coef = sum;
	out->scale = a.scale;
	return QZPAY_OK;
}

/*
 * qzpay_decimal_sub
 *		a - b; as qzpay_decimal_add.
 */
QzpayCode
qzpay_decimal_sub(QzpayDecimal a, QzpayDecimal b, QzpayDecimal *out)
{
	b.coef = -b.coef;
	return qzpay_decimal_add(a, b, out);
}

/*
 * qzpay_decimal_mul
 *		a * b, exact.
 *
 * QZPAY_E_SCALE when the product has more than QZPAY_MAX_SCALE decimals other than zero, QZPAY_E_OVERFLOW when it does not fit.
 */
QzpayCode
qzpay_decimal_mul(QzpayDecimal a, QzpayDecimal b, QzpayDecimal *out)
{
	QzpayInt128 product;
	int			scale;

	if (a.scale + b.scale > QZPAY_MAX_SCALE)
	{
		a = qzpay_decimal_normalise(a);
		b = qzpay_decimal_normalise(b);
	}
	if (!qzpay_wide_mul(a.coef, b.coef, &product))
		return QZPAY_E_OVERFLOW;
	scale = a.scale + b.scale;
	/* 0.5 * 0.2 has fewer decimals than its factors together. */
	while (scale > QZPAY_MAX_SCALE)
	{
		if (product % 10 != 0)
			return QZPAY_E_SCALE;
		product /= 10;
		scale--;
	}
	out->coef = product;
	out->scale = scale;
	return QZPAY_OK;
}

/*
 * qzpay_decimal_compare
 *		-1, 0 or 1 as a is less than, equal to or greater than b; decides every pair, also where aligning them overflows.
 */
int
qzpay_decimal_compare(QzpayDecimal a, QzpayDecimal b)
{
	/* What does not fit is greater in magnitude than anything that does, so its sign decides. */
	if (a.scale < b.scale)
	{
		if (!qzpay_wide_mul(a.coef, qzpay_pow10[b.scale - a.scale], &a.coef))
			return a.coef > 0 ? 1 : -1;
	}
	else if (b.scale < a.scale && !qzpay_wide_mul(b.coef, qzpay_pow10[a.scale - b.scale], &b.coef))
		return b.coef > 0 ? -1 : 1;
	return (a.coef > b.coef) - (a.coef < b.coef);
}

/*
 * round_quotient
 *		Move a quotient that was cut towards zero by one, where its remainder says so.
 */
static QzpayInt128
round_quotient(QzpayInt128 quotient, QzpayInt128 remainder, QzpayInt128 divisor, QzpayRounding rounding)
{
	QzpayInt128 magnitude = remainder < 0 ? -remainder : remainder;
	/* Compared so, the remainder is never doubled and nothing can overflow. */
	QzpayInt128 missing = divisor - magnitude;
	bool		away = magnitude > missing;

	if (magnitude == missing)
		away = rounding == QZPAY_ROUND_HALF_UP || quotient % 2 != 0;
	if (away)
		quotient += remainder < 0 ? -1 : 1;
	return quotient;
}

/*
 * qzpay_divide_round
 *		numerator / denominator, rounded to a whole number.
 *
 * Needs |numerator| <= QZPAY_WIDE_MAX.  QZPAY_E_RANGE when denominator is not positive.
 */
QzpayCode
qzpay_divide_round(QzpayInt128 numerator, QzpayInt128 denominator, QzpayRounding rounding, QzpayInt128 *out)
{
	if (denominator <= 0)
		return QZPAY_E_RANGE;
	*out = round_quotient(numerator / denominator, numerator % denominator, denominator, rounding);
	return QZPAY_OK;
}

/*
 * qzpay_decimal_round
 *		A decimal as a whole number of (minor) units: the one rounding of an invoice line.
 *
 * QZPAY_E_OVERFLOW when it is beyond int64_t.
 */
QzpayCode
qzpay_decimal_round(QzpayDecimal value, QzpayRounding rounding, int64_t *out)
{
	int64_t		divisor = qzpay_pow10[value.scale];
	QzpayInt128 result;

	if (value.scale == 0)
		result = value.coef;
	else if (qzpay_fits_i64(value.coef))
	{
		int64_t		coef = (int64_t) value.coef;

		result = round_quotient(coef / divisor, coef % divisor, divisor, rounding);
	}
	else
		result = round_quotient(value.coef / divisor, value.coef % divisor, divisor, rounding);
	if (!qzpay_fits_i64(result))
		return QZPAY_E_OVERFLOW;
	*out = (int64_t) result;
	return QZPAY_OK;
}

/*
 * qzpay_rounding_parse
 *		'half_up' (half away from zero) or 'half_even'; anything else is QZPAY_E_INVALID.
 */
QzpayCode
qzpay_rounding_parse(const char *name, QzpayRounding *out)
{
	if (strcmp(name, "half_up") == 0)
		*out = QZPAY_ROUND_HALF_UP;
	else if (strcmp(name, "half_even") == 0)
		*out = QZPAY_ROUND_HALF_EVEN;
	else
		return QZPAY_E_INVALID;
	return QZPAY_OK;
}

/*
 * share_remainder
 *		What is left of amount * weight after division by total; *quotient may be NULL.
 *
 * amount <= 2^63 and weight, total < 2^64, so the product fits; in the usual case it even fits the fast division.
 */
static uint64_t
share_remainder(uint64_t amount, uint64_t weight, uint64_t total, uint64_t *quotient)
{
	uint64_t	narrow;
	QzpayUint128 product;

	if (!__builtin_mul_overflow(amount, weight, &narrow))
	{
		if (quotient != NULL)
			*quotient = narrow / total;
		return narrow % total;
	}
	product = (QzpayUint128) amount * weight;
	if (quotient != NULL)
		*quotient = (uint64_t) (product / total);
	return (uint64_t) (product % total);
}

/*
 * split_weight
 *		A weight as a whole number of 10^-scale; it was checked to fit by total_weight.
 */
static uint64_t
split_weight(const QzpayDecimal *weight, int scale)
{
	QzpayDecimal plain = qzpay_decimal_normalise(*weight);

	return (uint64_t) plain.coef * (uint64_t) qzpay_pow10[scale - plain.scale];
}

/*
 * total_weight
 *		Check the weights; find their common scale and their sum in it.
 */
static QzpayCode
total_weight(const QzpayDecimal *weights, int n, int *scale, uint64_t *total)
{
	QzpayInt128 sum = 0;

	*scale = 0;
	for (int i = 0; i < n; i++)
	{
		QzpayDecimal plain = qzpay_decimal_normalise(weights[i]);

		if (plain.coef < 0)
			return QZPAY_E_RANGE;
		if (plain.scale > *scale)
			*scale = plain.scale;
	}
	for (int i = 0; i < n; i++)
	{
		QzpayDecimal plain = qzpay_decimal_normalise(weights[i]);
		QzpayInt128 aligned;

		if (!qzpay_wide_mul(plain.coef, qzpay_pow10[*scale - plain.scale], &aligned) || aligned > UINT64_MAX)
			return QZPAY_E_OVERFLOW;
		sum += aligned;
		if (sum > UINT64_MAX)
			return QZPAY_E_OVERFLOW;
	}
	*total = (uint64_t) sum;
	return QZPAY_OK;
}

/*
 * find_threshold
 *		The greatest remainder r such that at least `wanted` parts have a remainder >= r.
 *
 * Bisection over the value instead of sorting: no memory is needed, and the work is n * log2(total).
 */
static uint64_t
find_threshold(uint64_t amount, const QzpayDecimal *weights, int n, int scale, uint64_t total, uint64_t wanted)
{
	uint64_t	low = 1;
	uint64_t	high = total - 1;

	while (low < high)
	{
		uint64_t	middle = low + (high - low + 1) / 2;
		uint64_t	count = 0;

		for (int i = 0; i < n; i++)
			count += share_remainder(amount, split_weight(&weights[i], scale), total, NULL) >= middle;
		if (count >= wanted)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/*
 * qzpay_split
 *		Split an amount in proportion to weights, into parts that add up to it exactly.
 *
 * Largest remainder: each part is cut towards zero, and the units left over go one each to the parts with the largest remainders,
 * among equals to the one with the lower index.  A negative amount splits as its positive counterpart; a part of weight zero is 0.
 * out has room for n parts and must not overlap the weights.
 *
 * QZPAY_E_INVALID when there are no parts, or all weights are zero but the amount is not; QZPAY_E_RANGE for a negative weight;
 * QZPAY_E_OVERFLOW when the weights, brought to whole numbers, add up to 2^64 or more.
 */
QzpayCode
qzpay_split(int64_t amount, const QzpayDecimal *weights, int n, int64_t *out)
{
	uint64_t	magnitude = amount < 0 ? -(uint64_t) amount : (uint64_t) amount;
	uint64_t	total;
	uint64_t	left = magnitude;
	uint64_t	threshold;
	uint64_t	above = 0;
	int			scale;
	QzpayCode	code;

	if (n <= 0)
		return QZPAY_E_INVALID;
	code = total_weight(weights, n, &scale, &total);
	if (code != QZPAY_OK)
		return code;
	if (total == 0 && amount != 0)
		return QZPAY_E_INVALID;
	for (int i = 0; i < n; i++)
	{
		uint64_t	part = 0;

		if (total > 0)
			share_remainder(magnitude, split_weight(&weights[i], scale), total, &part);
		left -= part;
		/* Only the whole of INT64_MIN is beyond INT64_MAX, and negating it as unsigned gives it back. */
		out[i] = (int64_t) (amount < 0 ? -part : part);
	}
	if (left == 0)
		return QZPAY_OK;

	threshold = find_threshold(magnitude, weights, n, scale, total, left);
	for (int i = 0; i < n; i++)
		above += share_remainder(magnitude, split_weight(&weights[i], scale), total, NULL) > threshold;
	left -= above;
	for (int i = 0; i < n; i++)
	{
		uint64_t	remainder = share_remainder(magnitude, split_weight(&weights[i], scale), total, NULL);

		if (remainder > threshold)
			out[i] += amount < 0 ? -1 : 1;
		else if (remainder == threshold && left > 0)
		{
			out[i] += amount < 0 ? -1 : 1;
			left--;
		}
	}
	return QZPAY_OK;
}
