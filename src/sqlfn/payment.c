/*
 * payment.c
 *		SQL-callable functions: what a provider's answer means, when to ask again, whether its secrets are there.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/outcome.h"
#include "qzpay.h"
#include "store/clock.h"
#include "store/secrets.h"

QZPAY_FUNCTION(qzpay_answer_class);
QZPAY_FUNCTION(qzpay_retry_after);
QZPAY_FUNCTION(qzpay_lookup_delay);
QZPAY_FUNCTION(qzpay_secrets_present);

/* An interval of whole seconds. */
static Interval *
seconds_interval(int64 seconds)
{
	Interval   *result = palloc0(sizeof(Interval));

	result->time = seconds * USECS_PER_SEC;
	return result;
}

/* _answer_class(transport, status): status may be NULL where there was none. */
Datum
qzpay_answer_class(PG_FUNCTION_ARGS)
{
	QzpayTransport transport;
	char	   *name;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (!qzpay_outcome_transport_parse(name, &transport))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no transport result \"%s\"", name),
				 errhint("One of ok, not_sent, timeout, reset, truncated, too_large, invalid.")));
	PG_RETURN_TEXT_P(cstring_to_text(qzpay_outcome_class_name(qzpay_outcome_class(transport, PG_ARGISNULL(1) ? 0 : PG_GETARG_INT32(1)))));
}

/* _retry_after(value) */
Datum
qzpay_retry_after(PG_FUNCTION_ARGS)
{
	char	   *value = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int64		now = qzpay_clock_real() / USECS_PER_SEC + (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	int64		wait = qzpay_outcome_retry_after(value, now);

	if (wait < 0)
		PG_RETURN_NULL();
	PG_RETURN_INTERVAL_P(seconds_interval(wait));
}

/* _lookup_delay(done) */
Datum
qzpay_lookup_delay(PG_FUNCTION_ARGS)
{
	int64		delay = qzpay_outcome_lookup_delay(PG_GETARG_INT32(0));

	if (delay < 0)
		PG_RETURN_NULL();
	PG_RETURN_INTERVAL_P(seconds_interval(delay));
}

/* _secrets_present(names) */
Datum
qzpay_secrets_present(PG_FUNCTION_ARGS)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
	Datum	   *names;
	bool	   *nulls;
	int			n;
	int			i;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n);
	for (i = 0; i < n; i++)
	{
		if (nulls[i] || qzpay_secret(TextDatumGetCString(names[i])) == NULL)
			PG_RETURN_BOOL(false);
	}
	PG_RETURN_BOOL(true);
}
