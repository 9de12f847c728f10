/*
 * money.c
 *		SQL-callable functions: amounts.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"

#include "core/money.h"
#include "qzpay.h"
#include "sqlfn/argument.h"
#include "store/decimal.h"

QZPAY_FUNCTION(qzpay_rounded_amount);
QZPAY_FUNCTION(qzpay_split_amounts);

/* round_amount(exact, rounding) */
Datum
qzpay_rounded_amount(PG_FUNCTION_ARGS)
{
	QzpayDecimal exact = qzpay_argument_decimal(fcinfo, 0, "amount");
	int64_t		amount;
	QzpayCode	code = qzpay_decimal_round(exact, qzpay_argument_rounding(fcinfo, 1), &amount);

	if (code != QZPAY_OK)
		qzpay_core_error(code, "amount");
	PG_RETURN_INT64(amount);
}

/* split_amount(amount, weights): parts that add up, by largest remainder. */
Datum
qzpay_split_amounts(PG_FUNCTION_ARGS)
{
	int64		amount = PG_GETARG_INT64(0);
	int			n;
	Datum	   *values = qzpay_argument_array(fcinfo, 1, NUMERICOID, "weight", NULL, &n);
	QzpayDecimal *weights;
	int64_t    *parts;
	QzpayCode	code;

	weights = palloc(sizeof(QzpayDecimal) * Max(n, 1));
	parts = palloc(sizeof(int64_t) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		code = qzpay_decimal_from_numeric(values[i], &weights[i]);
		if (code != QZPAY_OK)
			qzpay_core_error(code, "weight");
	}
	code = qzpay_split(amount, weights, n, parts);
	if (code == QZPAY_E_INVALID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 n == 0 ? errmsg("there are no weights to split by") : errmsg("weights that are all zero cannot split an amount")));
	if (code == QZPAY_E_RANGE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a weight must not be negative")));
	if (code != QZPAY_OK)
		qzpay_core_error(code, "sum of weights");
	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(parts[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(values, n, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE));
}
