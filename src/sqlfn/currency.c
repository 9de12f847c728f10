/*
 * currency.c
 *		SQL-callable functions: currencies.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "core/money.h"
#include "errors.h"
#include "qzpay.h"
#include "sqlfn/argument.h"

QZPAY_FUNCTION(qzpay_exponent_of_currency);
QZPAY_FUNCTION(qzpay_amount_as_text);

/* Exponent of the currency in this argument; QZ101 for what is no currency. */
static int
currency_argument(FunctionCallInfo fcinfo, int n)
{
	text	   *argument = PG_GETARG_TEXT_PP(n);
	char		code[4] = {0};
	int			exponent = -1;

	if (VARSIZE_ANY_EXHDR(argument) == 3)
	{
		memcpy(code, VARDATA_ANY(argument), 3);
		exponent = qzpay_currency_exponent(code);
	}
	if (exponent < 0)
		ereport(ERROR,
				(errcode(ERRCODE_QZPAY_CURRENCY),
				 errmsg("unknown currency \"%s\"", qzpay_argument_shown(argument)),
				 errhint("Use a code of ISO 4217 in capitals, such as USD.")));
	return exponent;
}

/* currency_exponent(currency) */
Datum
qzpay_exponent_of_currency(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(currency_argument(fcinfo, 0));
}

/* format_amount(amount, currency): 9900, USD is '99.00 USD'. */
Datum
qzpay_amount_as_text(PG_FUNCTION_ARGS)
{
	QzpayDecimal amount = qzpay_decimal_int(PG_GETARG_INT64(0));
	char		buffer[QZPAY_DECIMAL_BUFSIZE];

	amount.scale = currency_argument(fcinfo, 1);
	qzpay_decimal_print(amount, buffer);
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s %s", buffer, text_to_cstring(PG_GETARG_TEXT_PP(1)))));
}
