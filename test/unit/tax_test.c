/*
 * tax_test.c
 *		Tax on lines: exact, rounded once, shared by largest remainder.
 */
#include "core/tax.h"
#include "tap.h"

#define MAX_LINES 9

static const QzpayDecimal none = {0, 0};

/* Checks the parts of up to five lines, whose number ends with the first expected part of INT64_MIN. */
static void
check(const int64_t *bases, int n, QzpayDecimal percentage, QzpayDecimal included, const int64_t *expected, const char *name)
{
	int64_t		got[MAX_LINES] = {0};

	tap_int(qzpay_tax(bases, n, percentage, included, got), QZPAY_OK, "%s", name);
	for (int i = 0; i < n; i++)
		tap_int(got[i], expected[i], "%s, line %d", name, i + 1);
}

static void
test_worked(void)
{
	const QzpayDecimal vat21 = {21, 0};
	const QzpayDecimal vat19 = {190, 1};
	const QzpayDecimal quarter = {8250, 3};

	tap_note("tax, worked numbers");
	check((const int64_t[]) {9900, 750}, 2, vat21, none, (const int64_t[]) {2079, 158}, "21 % on 99.00 and 7.50: 2236.5 is 2237");
	/* Three times 0.5: each alone would be 1, their sum is 1.5, so 2. */
	check((const int64_t[]) {5, 5, 5}, 3, (QzpayDecimal) {10, 0}, none, (const int64_t[]) {1, 1, 0}, "the sum is rounded, not its parts");
	check((const int64_t[]) {101, 101, 101}, 3, vat19, none, (const int64_t[]) {20, 19, 19}, "57.57 is 58: the first of equals gets the unit");
	check((const int64_t[]) {12100}, 1, vat21, vat21, (const int64_t[]) {2100}, "121.00 contain 21.00");
	check((const int64_t[]) {1000}, 1, vat19, vat19, (const int64_t[]) {160}, "10.00 contain 1.60 (1.5966)");
	check((const int64_t[]) {12500}, 1, (QzpayDecimal) {20, 0}, (QzpayDecimal) {25, 0}, (const int64_t[]) {2000}, "two taxes in one price: 20 of 125");
	check((const int64_t[]) {10000}, 1, (QzpayDecimal) {3, 0}, vat21, (const int64_t[]) {248}, "3 % on what 21 % leave of 100.00");
	check((const int64_t[]) {33333}, 1, quarter, none, (const int64_t[]) {2750}, "8.25 %");
	check((const int64_t[]) {9900, 0, 0}, 3, none, none, (const int64_t[]) {0, 0, 0}, "0 %");
}

static void
test_signs(void)
{
	const QzpayDecimal ten = {10, 0};

	tap_note("tax, credits");
	check((const int64_t[]) {-5, -5, -5}, 3, ten, none, (const int64_t[]) {-1, -1, 0}, "credits mirror debits");
	check((const int64_t[]) {100, -105}, 2, ten, none, (const int64_t[]) {10, -11}, "half a unit in favour of the customer");
	check((const int64_t[]) {-100, 104}, 2, ten, none, (const int64_t[]) {-10, 10}, "nothing in the sum");
	check((const int64_t[]) {100, -104}, 2, ten, none, (const int64_t[]) {10, -10}, "nothing in the sum, from the other side");
	check((const int64_t[]) {0, 5, 0}, 3, ten, none, (const int64_t[]) {0, 1, 0}, "a line of nothing never gets the unit");
}

static void
test_errors(void)
{
	int64_t		got[2];
	const int64_t bases[2] = {INT64_MAX, INT64_MIN};
	const QzpayDecimal thousand = {1000, 0};

	tap_note("tax, errors");
	tap_int(qzpay_tax(bases, 1, (QzpayDecimal) {-1, 0}, none, got), QZPAY_E_RANGE, "a negative rate");
	tap_int(qzpay_tax(bases, 1, (QzpayDecimal) {1001, 0}, none, got), QZPAY_E_RANGE, "more than 1000 %%");
	tap_int(qzpay_tax(bases, 1, (QzpayDecimal) {INT64_MAX, 0}, none, got), QZPAY_E_RANGE, "far more");
	tap_int(qzpay_tax(bases, 1, (QzpayDecimal) {1, 7}, none, got), QZPAY_E_SCALE, "seven decimals");
	tap_int(qzpay_tax(bases, 1, none, (QzpayDecimal) {1, 7}, got), QZPAY_E_SCALE, "seven decimals included");
	tap_int(qzpay_tax(bases, 1, thousand, none, got), QZPAY_E_OVERFLOW, "ten times the greatest amount");
	tap_int(qzpay_tax(bases + 1, 1, thousand, none, got), QZPAY_E_OVERFLOW, "ten times the least");
	tap_int(qzpay_tax(bases, 2, thousand, none, got), QZPAY_E_OVERFLOW, "though the sum would fit");
	tap_int(qzpay_tax(bases, 0, thousand, none, got), QZPAY_OK, "no lines");
	tap_int(qzpay_tax(bases, 1, (QzpayDecimal) {1000000000, 6}, thousand, got), QZPAY_OK, "the greatest amount with the greatest rate in it");
	tap_int(got[0], INT64_C(8384883669867978006), "is 10/11 tax");
}

/* Random invoices: the parts add up to the rounded sum, and each is less than a unit from its exact tax. */
static void
test_sums(void)
{
	uint64_t	seed = 7;
	bool		sums = true;
	bool		close = true;

	tap_note("tax, sums");
	for (int round = 0; round < 20000; round++)
	{
		int64_t		bases[MAX_LINES];
		int64_t		parts[MAX_LINES];
		QzpayDecimal percentage;
		QzpayDecimal included = none;
		QzpayInt128 exact = 0;
		QzpayInt128 rounded;
		QzpayInt128 whole;
		int64_t		sum = 0;
		int			n;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
		n = 1 + (int) ((seed >> 60) % MAX_LINES);
		percentage.coef = (seed >> 33) % 400000;
		percentage.scale = (int) ((seed >> 20) % 5) + 1;
		if (seed >> 63)
			included = percentage;
		for (int i = 0; i < n; i++)
		{
			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
			bases[i] = (int64_t) ((seed >> 30) % 200000) - (round % 3 == 0 ? 100000 : 0);
			exact += bases[i] * percentage.coef;
		}
		whole = 100 * (QzpayInt128) qzpay_pow10[percentage.scale] + included.coef;
		if (qzpay_tax(bases, n, percentage, included, parts) != QZPAY_OK ||
			qzpay_divide_round(exact, whole, QZPAY_ROUND_HALF_UP, &rounded) != QZPAY_OK)
		{
			sums = percentage.coef > 1000 * (QzpayInt128) qzpay_pow10[percentage.scale] && sums;
			continue;
		}
		for (int i = 0; i < n; i++)
		{
			QzpayInt128 error = parts[i] * whole - bases[i] * percentage.coef;

			sum += parts[i];
			close &= error < whole && error > -whole;
		}
		sums &= sum == rounded;
	}
	tap_ok(sums, "the parts are the rounded sum");
	tap_ok(close, "each is less than a unit from its exact tax");
}

int
main(void)
{
	test_worked();
	test_signs();
	test_errors();
	test_sums();
	return tap_done();
}
