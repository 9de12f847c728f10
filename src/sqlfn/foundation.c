/*
 * foundation.c
 *		SQL-callable functions: the installation, time, ids, text that must not be kept.
 */
#include "postgres.h"

#include "commands/event_trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "core/redact.h"
#include "qzpay.h"
#include "store/clock.h"
#include "store/context.h"
#include "store/installation.h"
#include "store/pan.h"
#include "store/tenant_of.h"
#include "store/uuid.h"

QZPAY_FUNCTION(qzpay_library_version);
QZPAY_FUNCTION(qzpay_load_library);
QZPAY_FUNCTION(qzpay_installation_uuid);
QZPAY_FUNCTION(qzpay_now);
QZPAY_FUNCTION(qzpay_now_of_customer);
QZPAY_FUNCTION(qzpay_real_now);
QZPAY_FUNCTION(qzpay_recorded_at);
QZPAY_FUNCTION(qzpay_set_clock);
QZPAY_FUNCTION(qzpay_derived_uuid);
QZPAY_FUNCTION(qzpay_new_uuid);
QZPAY_FUNCTION(qzpay_text_contains_pan);
QZPAY_FUNCTION(qzpay_redacted_json);
QZPAY_FUNCTION(qzpay_redacted_text);
QZPAY_FUNCTION(qzpay_refuse_pan);

/* The version this library was built as; ALTER EXTENSION may be behind or ahead of it. */
Datum
qzpay_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(QZPAY_VERSION));
}

/* Event trigger: calling it has loaded the library, whose hook guards the extension.  Nothing else is to be done. */
Datum
qzpay_load_library(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_EVENT_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED), errmsg("not called as an event trigger")));
	PG_RETURN_NULL();
}

static Datum
return_uuid(const pg_uuid_t *value)
{
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));

	*result = *value;
	return UUIDPGetDatum(result);
}

/* installation_id() */
Datum
qzpay_installation_uuid(PG_FUNCTION_ARGS)
{
	return return_uuid(qzpay_installation_id());
}

/* now() */
Datum
qzpay_now(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(qzpay_clock_now());
}

/* now(customer): the time the customer lives in. */
Datum
qzpay_now_of_customer(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *customer = PG_GETARG_UUID_P(0);
	pg_uuid_t	tenant;
	pg_uuid_t	clock;
	bool		has_clock;

	qzpay_context_require();
	if (!qzpay_tenant_of_clocked(customer, &tenant, &clock, &has_clock) || !qzpay_context_allows(&tenant))
		qzpay_object_not_found(QZPAY_OBJECT_CUSTOMER, customer);
	PG_RETURN_TIMESTAMPTZ(qzpay_clock_of(has_clock, &clock));
}

/* _real_now() */
Datum
qzpay_real_now(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(qzpay_clock_real());
}

/* _recorded_at() */
Datum
qzpay_recorded_at(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(qzpay_clock_recorded());
}

/* _clock_set(at): NULL ends the override; returns the one before, or NULL. */
Datum
qzpay_set_clock(PG_FUNCTION_ARGS)
{
	TimestampTz previous;

	if (!qzpay_clock_set(!PG_ARGISNULL(0), PG_ARGISNULL(0) ? 0 : PG_GETARG_TIMESTAMPTZ(0), &previous))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(previous);
}

/* uuid_v5(namespace, name) */
Datum
qzpay_derived_uuid(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));

	qzpay_uuid_derive_text(result, PG_GETARG_UUID_P(0), PG_GETARG_DATUM(1));
	PG_RETURN_UUID_P(result);
}

/* uuid_v7() */
Datum
qzpay_new_uuid(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));

	qzpay_uuid_next(result);
	PG_RETURN_UUID_P(result);
}

/* contains_pan(value) */
Datum
qzpay_text_contains_pan(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(qzpay_text_holds_pan(PG_GETARG_TEXT_PP(0)));
}

/* _refuse_pan(text) */
Datum
qzpay_refuse_pan(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_VOID();
	if (qzpay_text_holds_pan(PG_GETARG_TEXT_PP(0)))
		qzpay_raise_pan(NULL);
	PG_RETURN_VOID();
}

/*
 * redacted
 *		A text with what must not be kept replaced; the result leaves room for a header before it.
 */
static char *
redacted(const char *text, size_t size, size_t *length)
{
	size_t		capacity = size + sizeof(QZPAY_REDACTED);
	char	   *result = palloc(VARHDRSZ + capacity);

	*length = qzpay_redact(text, size, result + VARHDRSZ, capacity);
	/* Many short secrets may make the text longer. */
	if (*length >= capacity)
	{
		capacity = *length + 1;
		result = repalloc(result, VARHDRSZ + capacity);
		*length = qzpay_redact(text, size, result + VARHDRSZ, capacity);
	}
	return result;
}

/* redact(value) */
Datum
qzpay_redacted_text(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	size_t		length;
	char	   *result = redacted(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), &length);

	SET_VARSIZE(result, VARHDRSZ + length);
	PG_RETURN_TEXT_P(result);
}

/* A number that passes for a card's becomes a string that says so. */
static void
redact_number(JsonbValue *value)
{
	char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));

	if (!qzpay_contains_pan(digits, strlen(digits)))
		return;
	value->type = jbvString;
	value->val.string.val = pstrdup(QZPAY_REDACTED);
	value->val.string.len = strlen(QZPAY_REDACTED);
}

/*
 * qzpay_redacted_json
 *		_redact_json(value): strings, keys and numbers are looked at, but for the numbers of the outermost object.
 *
 * That object is a row, and its numbers are columns of amounts and counters, where nobody writes a card number and a great one might pass
 * for it by chance.
 */
Datum
qzpay_redacted_json(PG_FUNCTION_ARGS)
{
	Jsonb	   *in = PG_GETARG_JSONB_P(0);
	JsonbIterator *iterator = JsonbIteratorInit(&in->root);
	JsonbParseState *state = NULL;
	JsonbIteratorToken token;
	JsonbValue	value;
	JsonbValue *result = NULL;
	size_t		length;
	int			depth = 0;
	bool		is_scalar = false;

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		switch (token)
		{
			case WJB_BEGIN_ARRAY:
				/* A bare value is kept as an array of one. */
				is_scalar |= depth == 0 && value.val.array.rawScalar;
				depth++;
				result = pushJsonbValue(&state, token, is_scalar ? &value : NULL);
				break;
			case WJB_BEGIN_OBJECT:
				depth++;
				result = pushJsonbValue(&state, token, NULL);
				break;
			case WJB_END_ARRAY:
			case WJB_END_OBJECT:
				depth--;
				result = pushJsonbValue(&state, token, NULL);
				break;
			default:
				if (value.type == jbvString)
				{
					value.val.string.val = redacted(value.val.string.val, value.val.string.len, &length) + VARHDRSZ;
					value.val.string.len = (int) length;
				}
				else if (value.type == jbvNumeric && depth > 1)
					redact_number(&value);
				result = pushJsonbValue(&state, token, &value);
				break;
		}
	}
	PG_RETURN_JSONB_P(JsonbValueToJsonb(result));
}
