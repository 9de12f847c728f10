/*
 * argument.c
 *		Arguments that several SQL-callable functions take.
 */
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "sqlfn/argument.h"
#include "store/decimal.h"

/* A text for a message, cut where it is long. */
char *
qzpay_argument_shown(text *argument)
{
	int			size = VARSIZE_ANY_EXHDR(argument);

	return pnstrdup(VARDATA_ANY(argument), pg_mbcliplen(VARDATA_ANY(argument), size, Min(size, 64)));
}

/* A numeric that the core can compute with; an error naming it otherwise. */
QzpayDecimal
qzpay_argument_decimal(FunctionCallInfo fcinfo, int n, const char *what)
{
	QzpayDecimal value;
	QzpayCode	code = qzpay_decimal_from_numeric(PG_GETARG_DATUM(n), &value);

	if (code != QZPAY_OK)
		qzpay_core_error(code, what);
	return value;
}

/*
 * qzpay_argument_array
 *		The elements of an array of numeric or bigint.  what names one of them.  Without nulls, a null is an error.
 */
Datum *
qzpay_argument_array(FunctionCallInfo fcinfo, int n, Oid element, const char *what, bool **nulls, int *length)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(n);
	Datum	   *elements;
	bool	   *are_null;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("an array must have one dimension, that of each %s", what)));
	if (element == INT8OID)
		deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elements, &are_null, length);
	else
		deconstruct_array(array, element, -1, false, TYPALIGN_INT, &elements, &are_null, length);
	if (nulls != NULL)
		*nulls = are_null;
	for (int i = 0; nulls == NULL && i < *length; i++)
	{
		if (are_null[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", what)));
	}
	return elements;
}

/* 'half_up' or 'half_even' */
QzpayRounding
qzpay_argument_rounding(FunctionCallInfo fcinfo, int n)
{
	text	   *argument = PG_GETARG_TEXT_PP(n);
	char	   *name;
	QzpayRounding rounding;

	/* The default, without a copy: this is called per row of usage. */
	if (VARSIZE_ANY_EXHDR(argument) == strlen("half_up") && memcmp(VARDATA_ANY(argument), "half_up", strlen("half_up")) == 0)
		return QZPAY_ROUND_HALF_UP;
	name = text_to_cstring(argument);
	if (qzpay_rounding_parse(name, &rounding) != QZPAY_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown rounding \"%s\"", name),
				 errhint("The ways of rounding are half_up (half away from zero) and half_even.")));
	pfree(name);
	return rounding;
}

/* A time zone by its full name. */
pg_tz *
qzpay_timezone_named(const char *text, int length)
{
	char		name[TZ_STRLEN_MAX + 1];
	pg_tz	   *zone = NULL;

	if (length <= TZ_STRLEN_MAX)
	{
		memcpy(name, text, length);
		name[length] = '\0';
		zone = pg_tzset(name);
	}
	if (zone == NULL || !pg_tz_acceptable(zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown time zone \"%s\"", pnstrdup(text, pg_mbcliplen(text, length, Min(length, 64)))),
				 errhint("Use a name of pg_timezone_names, such as America/Argentina/Buenos_Aires.")));
	return zone;
}

/* The same of an argument. */
pg_tz *
qzpay_argument_timezone(FunctionCallInfo fcinfo, int n)
{
	text	   *argument = PG_GETARG_TEXT_PP(n);

	return qzpay_timezone_named(VARDATA_ANY(argument), VARSIZE_ANY_EXHDR(argument));
}
