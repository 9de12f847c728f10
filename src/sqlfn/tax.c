/*
 * tax.c
 *		SQL-callable functions: tax of lines, and the part of it that a credit takes back.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"

#include "core/proration.h"
#include "core/tax.h"
#include "qzpay.h"
#include "sqlfn/argument.h"
#include "store/decimal.h"

QZPAY_FUNCTION(qzpay_taxes_of_lines);
QZPAY_FUNCTION(qzpay_part_taken);

/* tax_amounts(bases, percentage, included) */
Datum
qzpay_taxes_of_lines(PG_FUNCTION_ARGS)
{
	int			n;
	Datum	   *values = qzpay_argument_array(fcinfo, 0, INT8OID, "amount", NULL, &n);
	QzpayDecimal percentage = qzpay_argument_decimal(fcinfo, 1, "percentage");
	QzpayDecimal included = qzpay_argument_decimal(fcinfo, 2, "percentage");
	int64_t    *bases;
	int64_t    *parts;
	QzpayCode	code;

	bases = palloc(sizeof(int64_t) * Max(n, 1));
	parts = palloc(sizeof(int64_t) * Max(n, 1));
	for (int i = 0; i < n; i++)
		bases[i] = DatumGetInt64(values[i]);
	code = qzpay_tax(bases, n, percentage, included, parts);
	if (code == QZPAY_E_RANGE || code == QZPAY_E_SCALE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a tax rate must be from 0 to 1000 percent, with at most six decimals")));
	if (code != QZPAY_OK)
		qzpay_core_error(code, "tax");
	for (int i = 0; i < n; i++)
		values[i] = Int64GetDatum(parts[i]);
	PG_RETURN_ARRAYTYPE_P(construct_array(values, n, INT8OID, sizeof(int64), true, TYPALIGN_DOUBLE));
}

/* _part_taken(amount, taken, whole): what goes along with a part that is taken back; the part that stays is what is rounded. */
Datum
qzpay_part_taken(PG_FUNCTION_ARGS)
{
	int64		amount = PG_GETARG_INT64(0);
	int64		taken = PG_GETARG_INT64(1);
	int64		whole = PG_GETARG_INT64(2);
	int64_t		part;
	QzpayCode	code;

	if (taken < 0 || taken > whole)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("more is taken back than is left"),
				 errdetail("%lld of %lld.", (long long) taken, (long long) whole)));
	/* Of nothing everything is taken. */
	if (whole == 0)
		PG_RETURN_INT64(amount);
	code = qzpay_unused(amount, whole - taken, whole, QZPAY_ROUND_HALF_UP, &part);
	if (code != QZPAY_OK)
		qzpay_core_error(code, "amount");
	PG_RETURN_INT64(part);
}
