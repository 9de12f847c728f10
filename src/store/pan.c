/*
 * pan.c
 *		Card numbers in what somebody hands in: refused before they are kept anywhere.
 *
 * What passes for one is core/redact.c's to say.
 */
#include "postgres.h"

#include "utils/backend_status.h"
#include "utils/fmgrprotos.h"

#include "core/redact.h"
#include "store/pan.h"

const char	qzpay_pan_message[] = "a value looks like a card number";

bool
qzpay_text_holds_pan(const text *value)
{
	return qzpay_contains_pan(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/* In a key, a string or a number, however deep. */
bool
qzpay_jsonb_holds_pan(Jsonb *value)
{
	JsonbIterator *iterator = JsonbIteratorInit(&value->root);
	JsonbIteratorToken token;
	JsonbValue	part;

	while ((token = JsonbIteratorNext(&iterator, &part, false)) != WJB_DONE)
	{
		bool		found = false;

		if (token != WJB_KEY && token != WJB_VALUE && token != WJB_ELEM)
			continue;
		if (part.type == jbvString)
			found = qzpay_contains_pan(part.val.string.val, part.val.string.len);
		else if (part.type == jbvNumeric)
		{
			char	   *digits = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(part.val.numeric)));

			found = qzpay_contains_pan(digits, strlen(digits));
			pfree(digits);
		}
		if (found)
			return true;
	}
	return false;
}

/*
 * qzpay_raise_pan
 *		Refuses the value of an argument (NULL: not known which).
 */
void
qzpay_raise_pan(const char *argument)
{
	/* The statement that brought it must not stay readable, neither in the log nor for who watches the session. */
	pgstat_report_activity(STATE_RUNNING, QZPAY_REDACTED);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg_internal("%s", qzpay_pan_message),
			 argument != NULL ? errdetail("It stands in \"%s\".", argument) : 0,
			 errhint("Card numbers never belong here: save the provider's token with attach_payment_method()."),
			 errhidestmt(true),
			 errhidecontext(true)));
}
