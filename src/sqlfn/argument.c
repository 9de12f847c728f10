/*
 * argument.c
 *		Arguments that several SQL-callable functions take.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
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
