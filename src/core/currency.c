/*
 * currency.c
 *		Minor units of the ISO 4217 currencies.
 *
 * List one of the standard, without what cannot be billed in: metals, testing and "no currency" codes, and units of account that
 * have no minor unit.  Fund codes are in the list.  A currency that left the standard since 2022 keeps its line, because documents
 * in it stay.
 */
#include <string.h>

#include "core/money.h"

/* One string per exponent, each sorted, codes of three letters and a space: the standard's table as it reads. */
static const struct
{
	int			exponent;
	const char *codes;
}			currencies[] = {
	{
		0,
		"BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF "
	},
	{
		2,
		"AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY "
		"COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF IDR ILS "
		"INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD "
		"NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP "
		"SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG ZWL "
	},
	{
		3,
		"BHD IQD JOD KWD LYD OMR TND "
	},
	{
		4,
		"CLF UYW "
	}
};

/*
 * qzpay_currency_exponent
 *		How many decimals the minor unit of a currency has: 2 for USD, 0 for JPY; -1 for what is no currency of the standard.
 *
 * The code is three capital letters, terminated.
 */
int
qzpay_currency_exponent(const char *code)
{
	for (int i = 0; i < 3; i++)
		if (code[i] < 'A' || code[i] > 'Z')
			return -1;
	if (code[3] != '\0')
		return -1;
	for (size_t i = 0; i < sizeof(currencies) / sizeof(currencies[0]); i++)
	{
		size_t		low = 0;
		size_t		high = strlen(currencies[i].codes) / 4;

		while (low < high)
		{
			size_t		middle = (low + high) / 2;
			int			order = memcmp(code, currencies[i].codes + middle * 4, 3);

			if (order == 0)
				return currencies[i].exponent;
			if (order < 0)
				high = middle;
			else
				low = middle + 1;
		}
	}
	return -1;
}
