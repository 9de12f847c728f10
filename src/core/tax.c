/*
 * tax.c
 *		Tax of a rate on the lines of an invoice.
 *
 * Authorities want the tax of a rate on an invoice to be that of the sum, customers want it line by line: the exact taxes of the lines
 * are added, the sum is rounded once, and the lines share it by largest remainder.
 */
#include "core/tax.h"

/* Decimals of a percentage, and the greatest percentage (1000 %). */
#define PERCENTAGE_SCALE 6
#define PERCENTAGE_MAX (INT64_C(1000) * 1000000)

/* What turns a base into its tax. */
typedef struct Rate
{
	int64_t		percentage;		/* in millionths of a percent */
	int64_t		whole;			/* 100 % and what is included in the price, likewise */
	int			sign;			/* of the tax of all lines: their parts mirror those of the opposite */
} Rate;

/* A percentage in millionths; QZPAY_E_RANGE outside of 0 to 1000, QZPAY_E_SCALE with more decimals. */
static QzpayCode
percentage_units(QzpayDecimal percentage, int64_t *out)
{
	QzpayDecimal units = qzpay_decimal_normalise(percentage);

	if (units.scale > PERCENTAGE_SCALE)
		return QZPAY_E_SCALE;
	if (units.coef < 0 || units.coef > PERCENTAGE_MAX)
		return QZPAY_E_RANGE;
	units.coef *= qzpay_pow10[PERCENTAGE_SCALE - units.scale];
	if (units.coef > PERCENTAGE_MAX)
		return QZPAY_E_RANGE;
	*out = (int64_t) units.coef;
	return QZPAY_OK;
}

/* The whole units of a line's tax, cut downwards, and what remains of it, from 0 to less than rate->whole. */
static int64_t
tax_remainder(const Rate *rate, int64_t base, QzpayInt128 *cut)
{
	QzpayInt128 numerator = (QzpayInt128) base * rate->percentage * rate->sign;
	QzpayInt128 quotient = numerator / rate->whole;
	QzpayInt128 remainder = numerator % rate->whole;

	if (remainder < 0)
	{
		quotient--;
		remainder += rate->whole;
	}
	*cut = quotient;
	return (int64_t) remainder;
}

/* The greatest remainder that at least `wanted` lines reach. */
static int64_t
find_threshold(const Rate *rate, const int64_t *bases, int n, QzpayInt128 wanted)
{
	int64_t		low = 1;
	int64_t		high = rate->whole - 1;
	QzpayInt128 cut;

	while (low < high)
	{
		int64_t		middle = low + (high - low + 1) / 2;
		int			count = 0;

		for (int i = 0; i < n; i++)
			count += tax_remainder(rate, bases[i], &cut) >= middle;
		if (count >= wanted)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/*
 * qzpay_tax
 *		Tax of one rate on the bases of an invoice's lines, in minor units: base × percentage / (100 + included).
 *
 * included is the sum of the percentages that the prices contain, 0 where tax is added to them.  The parts add up to the exact sum,
 * rounded half away from zero; each is its exact tax cut or rounded up by one unit, where remainders are largest, among equals on the
 * first line.  Lines of the opposite sign get the opposite parts.
 *
 * QZPAY_E_RANGE for a percentage outside of 0 to 1000, QZPAY_E_SCALE for one of more than six decimals, QZPAY_E_OVERFLOW for a tax
 * beyond int64_t.
 */
QzpayCode
qzpay_tax(const int64_t *bases, int n, QzpayDecimal percentage, QzpayDecimal included, int64_t *out)
{
	Rate		rate = {.sign = 1};
	QzpayInt128 sum = 0;
	QzpayInt128 left;
	QzpayInt128 cut;
	int64_t		threshold;
	QzpayCode	code;

	code = percentage_units(percentage, &rate.percentage);
	if (code == QZPAY_OK)
		code = percentage_units(included, &rate.whole);
	if (code == QZPAY_OK)
	{
		rate.whole += 100 * qzpay_pow10[PERCENTAGE_SCALE];
		for (int i = 0; i < n; i++)
			sum += (QzpayInt128) bases[i] * rate.percentage;
		code = qzpay_divide_round(sum, rate.whole, QZPAY_ROUND_HALF_UP, &left);
	}
	if (code != QZPAY_OK)
		return code;
	if (left < 0)
	{
		rate.sign = -1;
		left = -left;
	}
	for (int i = 0; i < n; i++)
	{
		tax_remainder(&rate, bases[i], &cut);
		/* One unit of room, for the share of what is left. */
		if (!qzpay_fits_i64(cut + 1) || !qzpay_fits_i64(cut - 1))
			return QZPAY_E_OVERFLOW;
		out[i] = (int64_t) cut * rate.sign;
		left -= cut;
	}
	if (left == 0)
		return QZPAY_OK;
	threshold = find_threshold(&rate, bases, n, left);
	for (int i = 0; i < n; i++)
		left -= tax_remainder(&rate, bases[i], &cut) > threshold;
	for (int i = 0; i < n; i++)
	{
		int64_t		remainder = tax_remainder(&rate, bases[i], &cut);

		if (remainder > threshold || (remainder == threshold && left-- > 0))
			out[i] += rate.sign;
	}
	return QZPAY_OK;
}
