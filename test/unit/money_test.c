/*
 * money_test.c
 *		Decimals, rounding and the split.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/money.h"
#include "tap.h"

static QzpayDecimal
dec(const char *text)
{
	QzpayDecimal value = {0, 0};

	tap_ok(qzpay_decimal_parse(text, strlen(text), &value) == QZPAY_OK, "%s", text);
	return value;
}

static void
check_print(const char *text, const char *wanted)
{
	char		out[QZPAY_DECIMAL_BUFSIZE];
	size_t		length = qzpay_decimal_print(dec(text), out);

	tap_text(out, wanted, "prints back");
	tap_int(length, strlen(wanted), "and says its length");
}

static void
check_refused(const char *text, QzpayCode wanted)
{
	QzpayDecimal value = {77, 7};

	tap_int(qzpay_decimal_parse(text, strlen(text), &value), wanted, "%s", text);
	tap_ok(value.coef == 77 && value.scale == 7, "and leaves its result alone");
}

static void
test_text(void)
{
	static const char *const garbage[] = {
		"", "-", "+", ".", "1.", ".5", "-.5", "1..2", "1.2.3", "1.2.300", " 1", "1 ", "1e5", "0x10", "1,5", "--1", "+-1", "1-", "nane",
		"infinit", "12a", "1.5a", "1.0000000000000000001a", "999999999999999999999999999999999999999a", "1..0", "100000000000000000000000000000000000000.",
		"100000000000000000000000000000000000000.5.5", "1.", "-1.", "\xd9\xa1"
	};
	static const char *const not_numbers[] = {"NaN", "nan", "-NaN", "inf", "Infinity", "-infinity", "+INF"};

	tap_note("decimal text");
	check_print("0", "0");
	check_print("-0", "0");
	check_print("0.0", "0");
	check_print("0.000", "0");
	check_print("000123", "123");
	check_print("+7", "7");
	check_print("1.500", "1.5");
	check_print("100", "100");
	check_print("100.00", "100");
	check_print("-0.05", "-0.05");
	check_print("0.000000000000000001", "0.000000000000000001");
	check_print("-0.000000000000000001", "-0.000000000000000001");
	check_print("0.0000000000000000010000", "0.000000000000000001");
	check_print("99999999999999999999999999999999999999", "99999999999999999999999999999999999999");
	check_print("-99999999999999999999999999999999999999", "-99999999999999999999999999999999999999");
	check_print("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999");
	check_print("-9223372036854775808", "-9223372036854775808");
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++)
		check_refused(garbage[i], QZPAY_E_INVALID);
	for (size_t i = 0; i < sizeof(not_numbers) / sizeof(not_numbers[0]); i++)
		check_refused(not_numbers[i], QZPAY_E_NAN);
	check_refused("100000000000000000000000000000000000000", QZPAY_E_OVERFLOW);
	check_refused("-100000000000000000000000000000000000000.5", QZPAY_E_OVERFLOW);
	check_refused("99999999999999999999999999999999999999.9", QZPAY_E_OVERFLOW);
	check_refused("0.0000000000000000001", QZPAY_E_SCALE);
	check_refused("1.12345678901234567890123", QZPAY_E_SCALE);
	{
		QzpayDecimal value;

		tap_ok(qzpay_decimal_parse("12.5xyz", 4, &value) == QZPAY_OK && value.coef == 125 && value.scale == 1, "stops at its length");
		tap_ok(qzpay_decimal_int(INT64_MIN).coef == INT64_MIN, "whole number");
		tap_int(qzpay_decimal_sign(dec("-0.1")), -1, "sign of a negative");
		tap_int(qzpay_decimal_sign(dec("0.0")), 0, "sign of zero");
		tap_int(qzpay_decimal_sign(dec("0.1")), 1, "sign of a positive");
		tap_ok(!qzpay_decimal_valid((QzpayDecimal) {1, -1}), "negative scale is not valid");
		tap_ok(!qzpay_decimal_valid((QzpayDecimal) {1, 19}), "scale 19 is not valid");
		tap_ok(!qzpay_decimal_valid((QzpayDecimal) {QZPAY_WIDE_MAX + 1, 0}), "39 digits are not valid");
		tap_ok(!qzpay_decimal_valid((QzpayDecimal) {-QZPAY_WIDE_MAX - 1, 0}), "39 negative digits are not valid");
		tap_ok(qzpay_decimal_valid((QzpayDecimal) {-QZPAY_WIDE_MAX, 18}), "38 digits are valid");
	}
}

static void
check_value(QzpayCode code, QzpayDecimal value, const char *wanted)
{
	char		out[QZPAY_DECIMAL_BUFSIZE];

	tap_int(code, QZPAY_OK, "%s", wanted);
	qzpay_decimal_print(value, out);
	tap_text(out, wanted, "value");
}

static void
test_arithmetic(void)
{
	QzpayDecimal value = {0, 0};
	QzpayDecimal most = {QZPAY_WIDE_MAX, 0};
	QzpayCode	code;

	tap_note("decimal arithmetic");
	code = qzpay_decimal_add(dec("0.1"), dec("0.2"), &value);
	check_value(code, value, "0.3");
	code = qzpay_decimal_add(dec("1.5"), dec("0.25"), &value);
	check_value(code, value, "1.75");
	code = qzpay_decimal_sub(dec("1"), dec("1.001"), &value);
	check_value(code, value, "-0.001");
	code = qzpay_decimal_sub(dec("1.001"), dec("1"), &value);
	check_value(code, value, "0.001");
	tap_int(qzpay_decimal_add(most, dec("1"), &value), QZPAY_E_OVERFLOW, "sum of 39 digits");
	tap_int(qzpay_decimal_add(most, most, &value), QZPAY_E_OVERFLOW, "sum beyond 128 bits");
	tap_int(qzpay_decimal_sub((QzpayDecimal) {-QZPAY_WIDE_MAX, 0}, dec("1"), &value), QZPAY_E_OVERFLOW, "difference of 39 digits");
	tap_int(qzpay_decimal_add(most, dec("0.5"), &value), QZPAY_E_OVERFLOW, "aligning the left overflows");
	tap_int(qzpay_decimal_add(dec("0.5"), most, &value), QZPAY_E_OVERFLOW, "aligning the right overflows");

	code = qzpay_decimal_mul(dec("0.000000000001"), dec("0.000001"), &value);
	check_value(code, value, "0.000000000000000001");
	code = qzpay_decimal_mul(dec("-12.5"), dec("8"), &value);
	check_value(code, value, "-100.0");
	code = qzpay_decimal_mul(dec("0.000000000000000005"), dec("0.2"), &value);
	check_value(code, value, "0.000000000000000001");
	code = qzpay_decimal_mul(dec("10000000000000000000"), dec("-9999999999999999999"), &value);
	check_value(code, value, "-99999999999999999990000000000000000000");
	tap_int(qzpay_decimal_mul(dec("0.000000000000000001"), dec("0.5"), &value), QZPAY_E_SCALE, "product with 19 decimals");
	tap_int(qzpay_decimal_mul(dec("10000000000000000000"), dec("10000000000000000000"), &value), QZPAY_E_OVERFLOW, "10^19 squared");
	tap_int(qzpay_decimal_mul(dec("-9223372036854775808"), dec("9223372036854775808000"), &value), QZPAY_E_OVERFLOW, "wide by narrow");
	code = qzpay_decimal_mul(most, dec("0"), &value);
	check_value(code, value, "0");
	code = qzpay_decimal_mul(dec("0"), most, &value);
	check_value(code, value, "0");

	tap_int(qzpay_decimal_compare(dec("1.0"), dec("1.000")), 0, "equal whatever the scale");
	tap_int(qzpay_decimal_compare(dec("1.001"), dec("1")), 1, "greater");
	tap_int(qzpay_decimal_compare(dec("1"), dec("1.001")), -1, "less");
	tap_int(qzpay_decimal_compare(most, dec("0.000000000000000001")), 1, "too great to align");
	tap_int(qzpay_decimal_compare(dec("0.000000000000000001"), most), -1, "too great to align, on the right");
	most.coef = -most.coef;
	tap_int(qzpay_decimal_compare(most, dec("-0.5")), -1, "too negative to align");
	tap_int(qzpay_decimal_compare(dec("-0.5"), most), 1, "too negative to align, on the right");

	code = qzpay_decimal_rescale(dec("1.5"), 4, &value);
	check_value(code, value, "1.5000");
	code = qzpay_decimal_rescale(value, 1, &value);
	check_value(code, value, "1.5");
	tap_int(qzpay_decimal_rescale(value, 0, &value), QZPAY_E_SCALE, "decimals would be lost");
	tap_int(qzpay_decimal_rescale(value, 19, &value), QZPAY_E_SCALE, "scale 19");
	tap_int(qzpay_decimal_rescale(value, -1, &value), QZPAY_E_SCALE, "scale -1");
	tap_int(qzpay_decimal_rescale(most, 1, &value), QZPAY_E_OVERFLOW, "does not fit at this scale");
	value = qzpay_decimal_normalise((QzpayDecimal) {1000, 2});
	check_value(QZPAY_OK, value, "10");
	value = qzpay_decimal_normalise((QzpayDecimal) {(QzpayInt128) INT64_MAX * 1000000, 8});
	check_value(QZPAY_OK, value, "92233720368547758.07");
}

static void
check_round(const char *text, int64_t half_up, int64_t half_even)
{
	int64_t		got = 0;

	tap_int(qzpay_decimal_round(dec(text), QZPAY_ROUND_HALF_UP, &got), QZPAY_OK, "rounds");
	tap_int(got, half_up, "half away from zero");
	tap_int(qzpay_decimal_round(dec(text), QZPAY_ROUND_HALF_EVEN, &got), QZPAY_OK, "rounds");
	tap_int(got, half_even, "half to even");
}

static void
test_rounding(void)
{
	int64_t		got = 0;
	QzpayInt128 wide = 0;
	QzpayRounding rounding = QZPAY_ROUND_HALF_UP;

	tap_note("rounding");
	check_round("0.5", 1, 0);
	check_round("-0.5", -1, 0);
	check_round("1.5", 2, 2);
	check_round("-1.5", -2, -2);
	check_round("2.5", 3, 2);
	check_round("-2.5", -3, -2);
	check_round("2.499999999999999999", 2, 2);
	check_round("2.500000000000000001", 3, 3);
	check_round("757.5", 758, 758);
	check_round("751.5", 752, 752);
	check_round("42", 42, 42);
	check_round("9223372036854775807.4", INT64_MAX, INT64_MAX);
	check_round("-9223372036854775808.4", INT64_MIN, INT64_MIN);
	tap_int(qzpay_decimal_round(dec("-9223372036854775808.5"), QZPAY_ROUND_HALF_EVEN, &got), QZPAY_OK, "rounds to even at the end of int64");
	tap_int(got, INT64_MIN, "and stays within it");
	tap_int(qzpay_decimal_round(dec("-9223372036854775808.5"), QZPAY_ROUND_HALF_UP, &got), QZPAY_E_OVERFLOW, "rounds down beyond int64");
	tap_int(qzpay_decimal_round(dec("9223372036854775807.5"), QZPAY_ROUND_HALF_UP, &got), QZPAY_E_OVERFLOW, "rounds up beyond int64");
	tap_int(qzpay_decimal_round(dec("9223372036854775808"), QZPAY_ROUND_HALF_UP, &got), QZPAY_E_OVERFLOW, "is beyond int64");
	tap_int(qzpay_divide_round(7, 0, QZPAY_ROUND_HALF_UP, &wide), QZPAY_E_RANGE, "division by zero");
	tap_int(qzpay_divide_round(7, -2, QZPAY_ROUND_HALF_UP, &wide), QZPAY_E_RANGE, "negative denominator");
	tap_int(qzpay_rounding_parse("half_even", &rounding), QZPAY_OK, "half_even");
	tap_int(rounding, QZPAY_ROUND_HALF_EVEN, "is half_even");
	tap_int(qzpay_rounding_parse("half_up", &rounding), QZPAY_OK, "half_up");
	tap_int(rounding, QZPAY_ROUND_HALF_UP, "is half_up");
	tap_int(qzpay_rounding_parse("up", &rounding), QZPAY_E_INVALID, "anything else");
}

static void
check_split(int64_t amount, const char *weights, const char *wanted)
{
	QzpayDecimal parsed[16];
	int64_t		parts[16];
	char		got[512] = "";
	char		copy[256];
	int			n = 0;

	snprintf(copy, sizeof(copy), "%s", weights);
	for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
		qzpay_decimal_parse(word, strlen(word), &parsed[n++]);
	tap_int(qzpay_split(amount, parsed, n, parts), QZPAY_OK, "%s", weights);
	for (int i = 0; i < n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%" PRId64, i ? " " : "", parts[i]);
	tap_text(got, wanted, "parts");
}

static void
test_split(void)
{
	QzpayDecimal weights[4];
	int64_t		parts[4];

	tap_note("split");
	check_split(100, "1 1 1", "34 33 33");
	check_split(-100, "1 1 1", "-34 -33 -33");
	check_split(101, "45 45 10", "46 45 10");
	check_split(5, "0 1 0 1 0", "0 3 0 2 0");
	check_split(0, "1 2 3", "0 0 0");
	check_split(0, "0 0", "0 0");
	check_split(1, "0.000001 0.000001", "1 0");
	check_split(10, "1.5 2.25 0.25", "4 6 0");
	check_split(2, "1 1 1 1 1 1 1", "1 1 0 0 0 0 0");
	check_split(7, "3", "7");
	/* 9900 in sevenths and twelfths: remainders of different size. */
	check_split(9900, "3 3 1", "4243 4243 1414");
	check_split(INT64_MAX, "1 1", "4611686018427387904 4611686018427387903");
	check_split(INT64_MIN, "1", "-9223372036854775808");
	check_split(INT64_MIN, "1 2", "-3074457345618258603 -6148914691236517205");
	check_split(INT64_MAX, "9223372036854775807 9223372036854775808", "4611686018427387903 4611686018427387904");
	check_split(1000, "0.333333333333333333 0.333333333333333333 0.333333333333333334", "333 333 334");

	weights[0] = qzpay_decimal_int(1);
	tap_int(qzpay_split(5, weights, 0, parts), QZPAY_E_INVALID, "no parts");
	weights[1] = qzpay_decimal_int(-1);
	tap_int(qzpay_split(5, weights, 2, parts), QZPAY_E_RANGE, "negative weight");
	weights[0] = weights[1] = qzpay_decimal_int(0);
	tap_int(qzpay_split(5, weights, 2, parts), QZPAY_E_INVALID, "all weights zero");
	weights[0] = weights[1] = (QzpayDecimal) {(QzpayInt128) INT64_MAX + 1, 0};
	tap_int(qzpay_split(5, weights, 2, parts), QZPAY_E_OVERFLOW, "weights too great together");
	weights[0] = (QzpayDecimal) {(QzpayInt128) INT64_MAX * 4, 0};
	tap_int(qzpay_split(5, weights, 1, parts), QZPAY_E_OVERFLOW, "one weight too great");
	weights[0] = (QzpayDecimal) {QZPAY_WIDE_MAX, 0};
	weights[1] = (QzpayDecimal) {1, 18};
	tap_int(qzpay_split(5, weights, 2, parts), QZPAY_E_OVERFLOW, "weights that cannot be aligned");

	/* Parts add up and none is a whole unit off its exact share, over many shapes. */
	{
		uint64_t	seed = 12345;
		bool		exact = true;

		for (int round = 0; round < 20000; round++)
		{
			QzpayDecimal many[7];
			int64_t		got[7];
			int64_t		sum = 0;
			int64_t		total = 0;
			int64_t		amount;
			int			n;

			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
			n = 1 + (int) (seed >> 33) % 7;
			amount = (int64_t) (seed >> 40) - 8000000;
			for (int i = 0; i < n; i++)
			{
				seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
				many[i] = qzpay_decimal_int((int64_t) (seed >> 60) * (int64_t) (seed >> 50 & 15) + (i == 0));
				total += (int64_t) many[i].coef;
			}
			exact &= qzpay_split(amount, many, n, got) == QZPAY_OK;
			for (int i = 0; i < n; i++)
			{
				int64_t		error = got[i] * total - amount * (int64_t) many[i].coef;

				exact &= error < total && error > -total;
				sum += got[i];
			}
			exact &= sum == amount;
		}
		tap_ok(exact, "20000 random splits add up, each part within one unit of its share");
	}
}

static void
test_codes(void)
{
	tap_note("codes");
	tap_text(qzpay_code_message(QZPAY_OK), "no error", "OK");
	for (int code = QZPAY_E_OVERFLOW; code <= QZPAY_E_CRYPTO; code++)
		tap_ok(strcmp(qzpay_code_message((QzpayCode) code), "unknown error") != 0, "%s", qzpay_code_message((QzpayCode) code));
	tap_text(qzpay_code_message((QzpayCode) 999), "unknown error", "no code");
}

int
main(void)
{
	test_codes();
	test_text();
	test_arithmetic();
	test_rounding();
	test_split();
	return tap_done();
}
