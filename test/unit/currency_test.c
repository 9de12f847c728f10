/*
 * currency_test.c
 *		Minor units of currencies.
 */
#include "core/money.h"
#include "tap.h"

int
main(void)
{
	/* What providers take most, and the Americas. */
	static const char *const with_cents[] = {
		"AUD", "BOB", "BRL", "CAD", "CHF", "CNY", "COP", "CRC", "CZK", "DKK", "DOP", "EUR", "GBP", "GTQ", "HKD", "HNL", "HUF", "IDR",
		"ILS", "INR", "KES", "MXN", "MYR", "NGN", "NIO", "NOK", "NZD", "PAB", "PEN", "PHP", "PLN", "RON", "SAR", "SEK", "SGD", "THB",
		"TRY", "TWD", "UAH", "UYU", "VES", "ZAR"
	};
	int			counts[5] = {0, 0, 0, 0, 0};
	int			known = 0;
	char		code[4] = "AAA";

	tap_note("currency");
	tap_int(qzpay_currency_exponent("USD"), 2, "USD");
	tap_int(qzpay_currency_exponent("ARS"), 2, "ARS");
	tap_int(qzpay_currency_exponent("AED"), 2, "AED, the first of its list");
	tap_int(qzpay_currency_exponent("ZWL"), 2, "ZWL, the last of its list");
	tap_int(qzpay_currency_exponent("JPY"), 0, "JPY");
	tap_int(qzpay_currency_exponent("CLP"), 0, "CLP");
	tap_int(qzpay_currency_exponent("XPF"), 0, "XPF");
	tap_int(qzpay_currency_exponent("KWD"), 3, "KWD");
	tap_int(qzpay_currency_exponent("CLF"), 4, "CLF");
	tap_int(qzpay_currency_exponent("UYW"), 4, "UYW");
	for (size_t i = 0; i < sizeof(with_cents) / sizeof(with_cents[0]); i++)
		tap_int(qzpay_currency_exponent(with_cents[i]), 2, "%s", with_cents[i]);
	tap_int(qzpay_currency_exponent("XAU"), -1, "gold has no minor unit");
	tap_int(qzpay_currency_exponent("XTS"), -1, "the code for tests");
	tap_int(qzpay_currency_exponent("usd"), -1, "lower case");
	tap_int(qzpay_currency_exponent("US"), -1, "two letters");
	tap_int(qzpay_currency_exponent(""), -1, "empty");
	tap_int(qzpay_currency_exponent("USDT"), -1, "four letters");
	for (code[0] = 'A'; code[0] <= 'Z'; code[0]++)
		for (code[1] = 'A'; code[1] <= 'Z'; code[1]++)
			for (code[2] = 'A'; code[2] <= 'Z'; code[2]++)
			{
				int			exponent = qzpay_currency_exponent(code);

				if (exponent >= 0)
				{
					known++;
					counts[exponent]++;
				}
			}
	/* Every code of the lists is found by the search, which needs them sorted. */
	tap_int(counts[0], 17, "currencies without decimals");
	tap_int(counts[3], 7, "currencies with three decimals");
	tap_int(counts[4], 2, "currencies with four decimals");
	tap_int(known, 17 + 145 + 7 + 2, "currencies together");
	return tap_done();
}
