/*
 * render.c
 *		SQL-callable functions: text of printed documents.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "core/render.h"
#include "qzpay.h"
#include "sqlfn/argument.h"
#include "store/decimal.h"

QZPAY_FUNCTION(qzpay_printed_number);
QZPAY_FUNCTION(qzpay_escaped_for_html);
QZPAY_FUNCTION(qzpay_document_as_pdf);

/* _print_number(value, shift, decimals, point, separator, least): value × 10^-shift */
Datum
qzpay_printed_number(PG_FUNCTION_ARGS)
{
	QzpayDecimal value = qzpay_argument_decimal(fcinfo, 0, "number");
	int			shift = PG_GETARG_INT32(1);
	QzpayNumberStyle style;
	char		out[QZPAY_NUMBER_BUFSIZE];
	QzpayCode	code;

	if (shift < 0 || shift > QZPAY_PRINT_DECIMALS_MAX)
		qzpay_core_error(QZPAY_E_RANGE, "shift");
	value.scale += shift;
	value = qzpay_decimal_normalise(value);
	if (value.scale > QZPAY_MAX_SCALE)
		qzpay_core_error(QZPAY_E_SCALE, "number");
	style.point = text_to_cstring(PG_GETARG_TEXT_PP(3));
	style.separator = text_to_cstring(PG_GETARG_TEXT_PP(4));
	style.least = PG_GETARG_INT32(5);
	code = qzpay_number_print(value, PG_GETARG_INT32(2), &style, out);
	if (code != QZPAY_OK)
		qzpay_core_error(code, "way of writing numbers");
	PG_RETURN_TEXT_P(cstring_to_text(out));
}

/* The document that is the first argument. */
static Jsonb *
document_argument(FunctionCallInfo fcinfo)
{
	Jsonb	   *document = PG_GETARG_JSONB_P(0);

	if (!JB_ROOT_IS_OBJECT(document))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a document must be a JSON object")));
	return document;
}

/* A string of the document, escaped. */
static JsonbValue
escaped(const JsonbValue *from)
{
	bool		utf8 = GetDatabaseEncoding() == PG_UTF8;
	JsonbValue	to;

	to.type = jbvString;
	to.val.string.len = (int) qzpay_html_escape(from->val.string.val, (size_t) from->val.string.len, utf8, NULL);
	to.val.string.val = palloc(to.val.string.len + 1);
	qzpay_html_escape(from->val.string.val, (size_t) from->val.string.len, utf8, to.val.string.val);
	return to;
}

/* _escape_html(document): the same document, every string in it escaped; keys and numbers stay. */
Datum
qzpay_escaped_for_html(PG_FUNCTION_ARGS)
{
	Jsonb	   *document = document_argument(fcinfo);
	JsonbIterator *iterator;
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;
	JsonbValue	value;
	JsonbIteratorToken token;

	iterator = JsonbIteratorInit(&document->root);
	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		if ((token == WJB_VALUE || token == WJB_ELEM) && value.type == jbvString)
			value = escaped(&value);
		result = pushJsonbValue(&state, token, token < WJB_BEGIN_ARRAY ? &value : NULL);
	}
	PG_RETURN_JSONB_P(JsonbValueToJsonb(result));
}

/*
 * pdf_renderer
 *		The function of the module qzpay_pdf, loaded by the first call in a session.
 *
 * The module needs Pango, so it may not have been built, or not be loadable here; that is said as a missing feature, with the server's
 * reason.
 */
static PGFunction
pdf_renderer(void)
{
	static PGFunction render = NULL;
	MemoryContext before = CurrentMemoryContext;

	if (render != NULL)
		return render;
	PG_TRY();
	{
		render = (PGFunction) load_external_function("qzpay_pdf", "qzpay_pdf_render", true, NULL);
	}
	PG_CATCH();
	{
		ErrorData  *reason;

		MemoryContextSwitchTo(before);
		reason = CopyErrorData();
		FlushErrorState();
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("there is no PDF on this server"),
						errdetail("The module qzpay_pdf is not there or cannot be loaded: %s.", reason->message),
						errhint("Install Pango's development files (libpango1.0-dev), build and install qzpay again; "
								"invoice_html() needs nothing.")));
	}
	PG_END_TRY();
	return render;
}

/* _document_pdf(document) */
Datum
qzpay_document_as_pdf(PG_FUNCTION_ARGS)
{
	Jsonb	   *document = document_argument(fcinfo);

	return DirectFunctionCall1(pdf_renderer(), JsonbPGetDatum(document));
}
