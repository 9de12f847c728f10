/*
 * module.c
 *		The module qzpay_pdf: a document as bytes of PDF.
 *
 * A library of its own, loaded by the first call of invoice_pdf(): so qzpay itself needs neither Pango nor Cairo, and no other session
 * carries them.
 */
#include "postgres.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "common/base64.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "pdf/layout.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT Datum qzpay_pdf_render(PG_FUNCTION_ARGS);

/* Longest text that is laid out; what is beyond is cut. */
#define TEXT_MAX 20000

/* Largest logo that is embedded. */
#define LOGO_MAX (2 * 1024 * 1024)

/* Where signals are served between rows. */
static sigset_t signals_before;

/*
 * interrupted
 *		Lets pending signals in for a moment; whether the query or the session is to end.
 */
static bool
interrupted(void)
{
	sigset_t	blocked;

	pthread_sigmask(SIG_SETMASK, &signals_before, &blocked);
	pthread_sigmask(SIG_SETMASK, &blocked, NULL);
	return QueryCancelPending || ProcDiePending;
}

/* A member of an object; NULL where there is none, or where there is no object. */
static JsonbValue *
member(JsonbContainer *object, const char *name)
{
	JsonbValue *value;

	if (object == NULL || !JsonContainerIsObject(object))
		return NULL;
	value = getKeyJsonValueFromContainer(object, name, strlen(name), NULL);
	return value != NULL && value->type != jbvNull ? value : NULL;
}

static JsonbContainer *
container(JsonbValue *value)
{
	return value != NULL && value->type == jbvBinary ? value->val.binary.data : NULL;
}

/* A text for the layout: UTF-8, not too long, without control characters; NULL for anything but a string. */
static const char *
text_of(JsonbValue *value)
{
	char	   *text;
	int			length;

	if (value == NULL || value->type != jbvString)
		return NULL;
	text = pnstrdup(value->val.string.val, value->val.string.len);
	text = pg_server_to_any(text, strlen(text), PG_UTF8);
	length = strlen(text);
	if (length > TEXT_MAX)
	{
		length = pg_encoding_mbcliplen(PG_UTF8, text, length, TEXT_MAX);
		text = psprintf("%.*s\xE2\x80\xA6", length, text);
	}
	for (char *c = text; *c != '\0'; c++)
	{
		if (((unsigned char) *c < 0x20 && *c != '\n') || *c == 0x7F)
			*c = ' ';
	}
	return text;
}

static const char *
text_member(JsonbContainer *object, const char *name)
{
	return text_of(member(object, name));
}

static bool
bool_member(JsonbContainer *object, const char *name)
{
	JsonbValue *value = member(object, name);

	return value != NULL && value->type == jbvBool && value->val.boolean;
}

/* An array; its length in *n, NULL and 0 for what is none. */
static JsonbContainer *
array_member(JsonbContainer *object, const char *name, int *n)
{
	JsonbContainer *array = container(member(object, name));

	if (array == NULL || !JsonContainerIsArray(array))
	{
		*n = 0;
		return NULL;
	}
	*n = JsonContainerSize(array);
	return array;
}

static QzpayPdfTexts
texts_member(JsonbContainer *object, const char *name)
{
	QzpayPdfTexts texts = {0};
	int			n;
	JsonbContainer *array = array_member(object, name, &n);

	texts.items = palloc0(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		const char *text = text_of(getIthJsonbValueFromContainer(array, i));

		if (text != NULL)
			texts.items[texts.n++] = text;
	}
	return texts;
}

/* An array of {label, text} as a table of two columns. */
static QzpayPdfTable
pairs_member(JsonbContainer *object, const char *name)
{
	QzpayPdfTable table = {.columns = 2};
	int			n;
	JsonbContainer *array = array_member(object, name, &n);

	table.rows = palloc0(sizeof(QzpayPdfRow) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		JsonbContainer *pair = container(getIthJsonbValueFromContainer(array, i));
		QzpayPdfRow *row = &table.rows[table.n++];

		row->cells[0] = text_member(pair, "label");
		row->cells[1] = text_member(pair, "text");
		row->strong = bool_member(pair, "strong");
	}
	return table;
}

static QzpayPdfTable
lines_table(JsonbContainer *document)
{
	QzpayPdfTable table = {.has_head = true};
	const char *names[QZPAY_PDF_COLUMNS];
	int			n;
	JsonbContainer *array = array_member(document, "columns", &n);

	table.label = text_member(document, "lines_label");
	for (int i = 0; i < Min(n, QZPAY_PDF_COLUMNS); i++)
	{
		JsonbContainer *column = container(getIthJsonbValueFromContainer(array, i));

		names[table.columns] = text_member(column, "name");
		table.heads[table.columns] = text_member(column, "label");
		if (names[table.columns] != NULL)
			table.columns++;
	}
	array = array_member(document, "lines", &n);
	table.rows = palloc0(sizeof(QzpayPdfRow) * Max(2 * n, 1));
	for (int i = 0; i < n; i++)
	{
		JsonbContainer *line = container(getIthJsonbValueFromContainer(array, i));
		const char *group = text_member(line, "group");
		QzpayPdfRow *row;

		if (group != NULL)
		{
			table.rows[table.n].strong = true;
			table.rows[table.n++].cells[0] = group;
		}
		row = &table.rows[table.n++];
		for (int c = 0; c < table.columns; c++)
			row->cells[c] = c == 0 ? text_member(line, names[c]) : text_member(container(member(line, names[c])), "text");
		row->details = texts_member(line, "details");
	}
	return table;
}

static QzpayPdfTable
taxes_table(JsonbContainer *document)
{
	QzpayPdfTable table = {.columns = 3, .has_head = true};
	JsonbContainer *taxes = container(member(document, "taxes"));
	QzpayPdfTexts heads = texts_member(taxes, "columns");
	int			n;
	JsonbContainer *array = array_member(taxes, "rows", &n);

	table.label = text_member(taxes, "label");
	for (int c = 0; c < Min(heads.n, table.columns); c++)
		table.heads[c] = heads.items[c];
	table.rows = palloc0(sizeof(QzpayPdfRow) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		JsonbContainer *tax = container(getIthJsonbValueFromContainer(array, i));
		QzpayPdfRow *row = &table.rows[table.n++];

		row->cells[0] = text_member(tax, "label");
		row->cells[1] = text_member(container(member(tax, "base")), "text");
		row->cells[2] = text_member(container(member(tax, "amount")), "text");
	}
	return table;
}

static void
read_parties(JsonbContainer *document, QzpayPdfSection parties[2])
{
	int			n;
	JsonbContainer *array = array_member(document, "parties", &n);

	for (int i = 0; i < Min(n, 2); i++)
	{
		JsonbContainer *party = container(getIthJsonbValueFromContainer(array, i));

		parties[i].label = text_member(party, "label");
		parties[i].lines = texts_member(party, "lines");
	}
}

/* The picture of a data URI of type PNG or JPEG; others are for browsers, and nothing is fetched from here. */
static void
read_logo(JsonbContainer *document, QzpayPdfDocument *pdf)
{
	JsonbValue *value = member(document, "logo");
	static const char *const kinds[] = {"data:image/png;base64,", "data:image/jpeg;base64,"};

	if (value == NULL || value->type != jbvString)
		return;
	for (int kind = 0; kind < lengthof(kinds); kind++)
	{
		int			prefix = strlen(kinds[kind]);
		int			length = value->val.string.len - prefix;
		unsigned char *bytes;
		int			size;

		if (length <= 0 || length > LOGO_MAX || memcmp(value->val.string.val, kinds[kind], prefix) != 0)
			continue;
		bytes = palloc(pg_b64_dec_len(length) + 1);
		size = pg_b64_decode(value->val.string.val + prefix, length, (char *) bytes, pg_b64_dec_len(length) + 1);
		if (size > 0)
		{
			pdf->logo = bytes;
			pdf->logo_size = (size_t) size;
		}
	}
}

/* #rrggbb; black for anything else */
static void
read_accent(JsonbContainer *document, double accent[3])
{
	const char *text = text_member(document, "accent");

	for (int n = 0; n < 3; n++)
	{
		char		digits[3] = {0};

		if (text == NULL || strlen(text) != 7)
			return;
		memcpy(digits, text + 1 + 2 * n, 2);
		accent[n] = strtol(digits, NULL, 16) / 255.0;
	}
}

static void
read_document(JsonbContainer *document, QzpayPdfDocument *pdf)
{
	const char *text;

	pdf->heading = text_member(document, "heading");
	pdf->lang = text_member(document, "lang");
	pdf->created = text_member(document, "issued_at");
	pdf->creator = "qzpay " QZPAY_VERSION;
	text = text_member(document, "direction");
	pdf->rtl = text != NULL && strcmp(text, "rtl") == 0;
	text = text_member(document, "paper");
	pdf->letter = text != NULL && strcmp(text, "Letter") == 0;
	read_accent(document, pdf->accent);
	read_logo(document, pdf);
	pdf->notices = texts_member(document, "notices");
	pdf->facts = pairs_member(document, "facts");
	read_parties(document, pdf->parties);
	pdf->author = pdf->parties[0].lines.n > 0 ? pdf->parties[0].lines.items[0] : NULL;
	pdf->lines = lines_table(document);
	pdf->taxes = taxes_table(document);
	pdf->totals = pairs_member(document, "totals");
	pdf->totals.label = text_member(document, "totals_label");
	pdf->notes.label = text_member(document, "notes_label");
	pdf->notes.lines = texts_member(document, "notes");
	pdf->footer = text_member(document, "footer");
	pdf->page = text_member(document, "page");
	if (pdf->heading == NULL)
		pdf->heading = "";
	if (pdf->lang == NULL)
		pdf->lang = "en";
	pdf->interrupted = interrupted;
}

/*
 * qzpay_pdf_render
 *		Document (jsonb in the shape of invoice_document()) as PDF (bytea).
 *
 * No error is raised while the layout holds memory of its own: it comes back first.
 */
Datum
qzpay_pdf_render(PG_FUNCTION_ARGS)
{
	QzpayPdfDocument document = {0};
	QzpayPdfResult result;
	sigset_t	all;
	const char *problem;
	bytea	   *bytes = NULL;
	size_t		size;

	read_document(&PG_GETARG_JSONB_P(0)->root, &document);
	CHECK_FOR_INTERRUPTS();
	/* Threads that Pango starts inherit the mask, so the server's handlers never run in them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &signals_before);
	problem = qzpay_pdf_layout(&document, &result);
	pthread_sigmask(SIG_SETMASK, &signals_before, NULL);

	size = result.size;
	if (problem == NULL && !result.interrupted)
		bytes = palloc_extended(VARHDRSZ + size, MCXT_ALLOC_NO_OOM | MCXT_ALLOC_HUGE);
	if (bytes != NULL)
		memcpy(VARDATA(bytes), result.bytes, size);
	free(result.bytes);
	CHECK_FOR_INTERRUPTS();
	if (problem != NULL)
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION), errmsg("the document could not be made into PDF"),
						errdetail("%s", problem)));
	if (result.interrupted)
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("the layout of a document was canceled")));
	if (bytes == NULL || size > MaxAllocSize - VARHDRSZ)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("a PDF of %zu bytes is too large", size)));
	SET_VARSIZE(bytes, VARHDRSZ + size);
	PG_RETURN_BYTEA_P(bytes);
}
